/** Puts the adapters behind the ports. The only place that knows both. EC2, SSM and CloudWatch clients load on first use. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ulid } from 'ulid';
import type { ClientOptions, Credentials, Transport } from '../aws/clients.ts';
import { type Queue, sqsQueue } from '../aws/queue.ts';
import { dynamoStore } from '../aws/store.ts';
import type { FleetReads } from '../aws/together.ts';
import { undefinedIfGone } from '../core/errors.ts';
import { isGone } from '../core/hosts.ts';
import type { Deps } from '../core/pass.ts';
import { sessionPolicy } from '../core/permissions.ts';
import type { Web } from '../core/ports.ts';
import type { Common, Remediation } from '../core/remediation.ts';
import { clustersWithServices } from '../core/services.ts';
import { ACT_WITHIN } from '../core/step.ts';
import { everythingIn, idOf, type Target, typeOf } from '../core/target.ts';
import type { Config } from './config.ts';

export interface Wired extends Deps {
  readonly queue: Queue;
  /** Tags of an alarm, read under heal's own role. */
  readonly alarmTags: (alarm: Target) => Promise<Readonly<Record<string, string>>>;
  /** What the surveys have in common, under the sweep's own role. */
  readonly common: Common;
}

/** Alarms in one survey: what is more has had its events. */
const MOST_FIRING = 1_000;
export const surveyed = (options: ClientOptions): Common => ({
  firing: async () => (await import('../aws/cloudwatch.ts')).cloudWatchAlarms(options).firing(MOST_FIRING),
  running: async () => (await import('../aws/instances.ts')).runningInstances(options),
  clusters: async () => clustersWithServices((await import('../aws/ecs.ts')).ecsContainers(options)),
});

export interface ReachOptions {
  readonly stage: string;
  readonly region: string;
  readonly now: () => number;
  readonly transport?: Transport;
  readonly sleep: (ms: number) => Promise<void>;
  readonly credentials?: { accessKeyId: string; secretAccessKey: string };
  /** Another Internet than the real one. */
  readonly web?: Web;
  /** When reads that several passes have in common are sent; at once, unless it is said. */
  readonly soon?: (run: () => void) => void;
}

/** Reaches AWS through an assumed role, narrowed for each look and each act; and asks where a target stands. */
export const reachAws = (options: ReachOptions): Required<Pick<Deps, 'reach' | 'place'>> => {
  const { stage, now, transport, soon = queueMicrotask } = options;
  let sessions: Promise<ReturnType<typeof import('../aws/sessions.ts').stsSessions>> | undefined;
  const fleets = new Map<string, { credentials: Credentials; reads: FleetReads }>();

  const assume = async (remediation: Remediation, target: Target, session: Session): Promise<Credentials> => {
    sessions ??= import('../aws/sessions.ts').then((m) => m.stsSessions(options));
    const policy = sessionPolicy(remediation.permissions, { stage, target, ...session });
    return (await sessions)({ remediation: remediation.name, stage, target, phase: session.phase, policy });
  };
  const hostOptions = (target: Target, credentials: Credentials) => ({
    account: target.account,
    region: target.region,
    stage,
    credentials,
    sleep: options.sleep,
    ...(transport ? { transport } : {}),
    ...(options.web ? { web: options.web } : {}),
  });

  /** One session for what all targets of an account and region have in common. It can only read: nothing that it may is of one target. */
  const fleet = async (remediation: Remediation, target: Target): Promise<FleetReads> => {
    const everything = everythingIn(target);
    const [credentials, { fleetReads }] = await Promise.all([
      assume(remediation, everything, LOOK),
      import('../aws/ports.ts'),
    ]);
    const name = `${remediation.name} ${everything.arn}`;
    const known = fleets.get(name);
    if (known?.credentials === credentials) return known.reads;
    const reads = fleetReads(hostOptions(everything, credentials), { now, soon });
    fleets.set(name, { credentials, reads });
    return reads;
  };

  return {
    reach: async (remediation, target, session) => {
      const [credentials, reads, { awsPorts }] = await Promise.all([
        assume(remediation, target, session),
        session.phase === 'look' ? fleet(remediation, target) : undefined,
        import('../aws/ports.ts'),
      ]);
      const began = now();
      const isLate = session.phase === 'act' ? { isLate: () => now() - began > ACT_WITHIN } : {};
      return awsPorts({ ...hostOptions(target, credentials), ...isLate }, reads);
    },
    place: async (remediation, target) => {
      if (typeOf(target) !== 'instance') return undefined;
      const { instances } = await fleet(remediation, target);
      const found = await instances.describe(idOf(target)).catch(undefinedIfGone);
      return found && !isGone(found) ? { zone: found.zoneId, tags: found.tags } : undefined;
    },
  };
};
type Session = Parameters<Deps['reach']>[2];
const LOOK: Session = { phase: 'look', touched: [] };

export const wire = (config: Config): Wired => {
  const now = () => Date.now();
  const { region, stage, table, policy } = config;
  return {
    now,
    newId: () => ulid(),
    store: dynamoStore({ region, table, retentionDays: policy.retentionDays, now }),
    policy,
    home: config.account,
    // A moment, so that the messages of one batch ask together.
    ...reachAws({ stage, region, now, sleep: (ms) => sleep(ms), soon: (run) => void setTimeout(run, 5) }),
    queue: sqsQueue({ region }, config.queueUrl),
    common: surveyed({ region }),
    alarmTags: async (alarm) =>
      (await import('../aws/cloudwatch.ts')).cloudWatchAlarms({ region: alarm.region }).tags(alarm.arn),
  };
};
