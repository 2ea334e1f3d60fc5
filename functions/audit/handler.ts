import { MetricUnit } from '@aws-lambda-powertools/metrics';
import type { Context } from 'aws-lambda';
import type { Audited } from '../../shared/activity/audit.ts';
import type { Numbered } from '../../shared/activity/checkpoint.ts';
import type { Copier } from '../../shared/activity/copies.ts';
import type { HostsLook } from '../../shared/activity/watchHosts.ts';
import type { Paced } from '../../shared/runtime/activity.ts';
import { onEvent, type Telemetry } from '../../shared/runtime/lambda.ts';

export interface Audit {
  /** The last checkpoint; none: the log is empty. */
  readonly checkpoint?: { readonly number: number; readonly links: number; readonly at: number };
  readonly trail?: Omit<Audited, 'findings'> & { readonly findings: number };
  readonly hosts?: Omit<HostsLook, 'findings'> & { readonly findings: number };
  readonly denied?: string;
  /** Why the checkpoint is not in the second account. */
  readonly uncopied?: string;
}
export interface AuditDeps {
  readonly checkpoint: () => Promise<Numbered | undefined>;
  /** Where steward.yml names a second account. */
  readonly copy?: Copier | undefined;
  readonly audit: (hasTime: () => boolean) => Promise<Paced>;
  /** What hosts shipped; nothing, if the policy wants none. */
  readonly watch: (hasTime: () => boolean) => Promise<Paced<HostsLook>>;
  readonly now: () => number;
}

/** What a run leaves for its last step: a file's batch, the mark, the hours. Milliseconds. */
const LAST_STEP = 20_000;

/** A metric costs for each hour in which it is written: what is nothing is not. */
const tellRead = ({ metrics, logger }: Telemetry, { trail, added, brought, behind, findings }: Audited): void => {
  metrics.addMetric('ReadBehind', MetricUnit.Milliseconds, Math.max(0, behind));
  if (added > 0) metrics.addMetric('CaughtUp', MetricUnit.Count, added);
  if (brought > 0) metrics.addMetric('Brought', MetricUnit.Count, brought);
  const gaps = findings.filter((f) => f.kind === 'gap').length;
  if (gaps > 0) metrics.addMetric('ActivityGaps', MetricUnit.Count, gaps);
  if (findings.length > gaps) metrics.addMetric('DigestFindings', MetricUnit.Count, findings.length - gaps);
  for (const { because, ...finding } of findings) logger.warn(`${finding.kind}: ${because}`, { trail, ...finding });
};

const tellHosts = ({ metrics, logger }: Telemetry, { findings }: HostsLook): void => {
  if (findings.length > 0) metrics.addMetric('HostFindings', MetricUnit.Count, findings.length);
  for (const { host, because, ...times } of findings) logger.warn(`${host}: ${because}`, times);
};

const tellDenied = ({ metrics, logger }: Telemetry, what: string, { denied }: Paced<unknown>): void => {
  if (denied === undefined) return;
  metrics.addMetric('ReadDenied', MetricUnit.Count, 1);
  logger.error(`${what} cannot be read: ${denied}`);
};

const tellUncopied = ({ metrics, logger }: Telemetry, because: string): void => {
  metrics.addMetric('CopyFailed', MetricUnit.Count, 1);
  logger.error(`the checkpoint is not in the second account: ${because}`);
};

/** Signs, and puts what was signed into the second account. */
const signing =
  ({ checkpoint, copy }: Pick<AuditDeps, 'checkpoint' | 'copy'>) =>
  async (): Promise<Signed> => {
    const signed = await checkpoint();
    return { signed, uncopied: signed && (await copy?.(signed)) };
  };
interface Signed {
  readonly signed: Numbered | undefined;
  readonly uncopied: string | undefined;
}

const countedIn = <T extends { readonly findings: readonly unknown[] }>(
  name: 'trail' | 'hosts',
  audited: T | undefined,
) => (audited ? { [name]: { ...audited, findings: audited.findings.length } } : {});
/** What a run answers, without what there is not. */
const answerOf = ({ signed, uncopied }: Signed, read: Paced, watched: Paced<HostsLook>): Audit => {
  const denied = read.denied ?? watched.denied;
  return {
    ...(signed
      ? { checkpoint: { number: signed.number, links: signed.statement.size, at: signed.statement.time } }
      : {}),
    ...countedIn('trail', read.audited),
    ...countedIn('hosts', watched.audited),
    ...(denied === undefined ? {} : { denied }),
    ...(uncopied === undefined ? {} : { uncopied }),
  };
};

/** Each minute: what is new in the log is signed. Each fifth: what the trail has and EventBridge did not bring is read, and its digests are checked. Neither waits for the other to succeed. */
export const makeHandler = ({ checkpoint, copy, audit, watch, now }: AuditDeps, telemetry: Telemetry) =>
  onEvent(telemetry, async (_event: unknown, context: Context): Promise<Audit> => {
    const { metrics } = telemetry;
    const hasTime = (): boolean => context.getRemainingTimeInMillis() > LAST_STEP;
    const [own, [read, watched]] = await inTurn(signing({ checkpoint, copy }), () =>
      inTurn(
        () => audit(hasTime),
        () => watch(hasTime),
      ),
    );
    const { signed, uncopied } = own;
    const { audited } = read;
    tellDenied(telemetry, 'the trail', read);
    tellDenied(telemetry, 'what Session Manager has', watched);
    if (uncopied !== undefined) tellUncopied(telemetry, uncopied);
    if (audited) tellRead(telemetry, audited);
    if (watched.audited) tellHosts(telemetry, watched.audited);
    if (signed) metrics.addMetric('UnsignedFor', MetricUnit.Milliseconds, Math.max(0, now() - signed.statement.time));
    return answerOf(own, read, watched);
  });

/** Both, one after the other; then the first error, if there was one. */
const inTurn = async <A, B>(first: () => Promise<A>, second: () => Promise<B>): Promise<[A, B]> => {
  const one = first();
  const other = one.then(second, second);
  await Promise.allSettled([one, other]);
  return [await one, await other];
};
