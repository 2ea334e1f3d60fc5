/** The activity log, wired: its table, its bucket and its key behind the ports. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createWriter, type Writer } from '../activity/append.ts';
import { createArchive } from '../activity/archive.ts';
import type { Audited } from '../activity/audit.ts';
import { createCheckpointer, type Numbered } from '../activity/checkpoint.ts';
import { type Copier, createCopier } from '../activity/copies.ts';
import type { LogTable, Objects } from '../activity/log.ts';
import { createHearing } from '../activity/marks.ts';
import type { HostsLook } from '../activity/watchHosts.ts';
import { activityTable, checkActivityTable } from '../aws/activityTable.ts';
import { Forbidden, NotFound } from '../core/errors.ts';
import { hours, minutes, type Time } from '../core/time.ts';
import type { Json } from '../core/verdict.ts';
import type { ActivityConfig, AuditConfig } from './config.ts';

/**
 * Never changed once a log has begun: an account's events stay in its shard. One shard takes what one writer at a time can write, some thousand events a second; more
 * accounts spread over more of them.
 */
export const SHARDS = 8;
export interface ActivityLog {
  readonly table: LogTable;
  readonly objects: Objects;
}

/** Made when it is first wanted, and kept; what could not be made is made anew when it is wanted again. */
export const lazily = <T>(make: () => Promise<T>): (() => Promise<T>) => {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make().catch((e: unknown) => {
      made = undefined;
      throw e;
    });
    return made;
  };
};

/** The bucket's client loads when something is too large for the table, or a checkpoint is kept. */
const lazyObjects = (open: () => Promise<Objects>): Objects => {
  const objects = lazily(open);
  return {
    put: async (key, bytes) => (await objects()).put(key, bytes),
    get: async (key) => (await objects()).get(key),
    letGo: async (key) => (await objects()).letGo(key),
  };
};

export const activityLog = ({
  region,
  table,
  bucket,
}: Pick<ActivityConfig, 'region' | 'table' | 'bucket'>): ActivityLog => ({
  table: activityTable({ region, table }),
  objects: lazyObjects(async () => (await import('../aws/objects.ts')).bucketObjects({ region, bucket })),
});

const checks = new Map<string, () => Promise<void>>();
/** Asked before the first write or signature of a process, whoever in it is first; again, as long as it cannot be told. @throws StateUnusable: it is another kind of table */
const tableChecked = ({ region, table }: Pick<ActivityConfig, 'region' | 'table'>): Promise<void> => {
  const name = `${region} ${table}`;
  const check = checks.get(name) ?? lazily(() => checkActivityTable({ region, table }));
  checks.set(name, check);
  return check();
};

/** @param knows with the archive, a writer knows what only that has: who reads what is months old has to */
export const activityWriter = (config: ActivityConfig, knows: 'the table' | 'the archive' = 'the table'): Writer => {
  const log = activityLog(config);
  const writer = createWriter({
    ...log,
    now: () => Date.now(),
    shards: SHARDS,
    ...(knows === 'the archive' ? { archive: createArchive(log) } : {}),
  });
  return {
    ...writer,
    append: async (...events) => {
      await tableChecked(config);
      return writer.append(...events);
    },
  };
};

/** In which hours EventBridge brought something. */
export const activityHearing = (config: ActivityConfig): ReturnType<typeof createHearing> =>
  createHearing(activityLog(config).table);

/** The trail is looked at so often; at once again while there is more. CloudTrail delivers about every five minutes. */
const READ_EVERY = minutes(5);
/** After a no of IAM, or where the bucket is gone, nothing is asked for so long: each retry costs, and neither mends itself. */
const DENIED_FOR = hours(1);

export interface Paced<T = Audited> {
  /** Undefined: it was not its time. */
  readonly audited?: T;
  /** What IAM refused, or what is not there. */
  readonly denied?: string;
}

/** Runs the auditor when it is due. */
export const paced = <T extends { readonly whole: boolean }>(
  audit: (hasTime: () => boolean) => Promise<T>,
  now: () => Time,
) => {
  let due = 0;
  let denied: string | undefined;
  return async (hasTime: () => boolean): Promise<Paced<T>> => {
    if (now() < due) return denied === undefined ? {} : { denied };
    try {
      const started = now();
      const audited = await audit(hasTime);
      denied = undefined;
      // A little early, so that a schedule of whole minutes does not miss every other.
      due = audited.whole ? started + READ_EVERY - minutes(0.5) : 0;
      return { audited };
    } catch (e) {
      if (!(e instanceof Forbidden || e instanceof NotFound)) throw e;
      due = now() + DENIED_FOR;
      denied = e.message;
      return { denied };
    }
  };
};

/** Reads the trail; its clients load when it is first due. */
export const auditor = (config: AuditConfig): ((hasTime: () => boolean) => Promise<Paced>) => {
  const made = lazily(async () => {
    const [{ createAuditor }, { trailSource }, { notePolicy }] = await Promise.all([
      import('../activity/audit.ts'),
      import('../aws/trailSource.ts'),
      import('../activity/entries.ts'),
    ]);
    const { account, region, policy } = config;
    const { table } = activityLog(config);
    const writer = activityWriter(config, 'the archive');
    const home = { account, region };
    // Once for each process: a deployment starts new ones.
    await notePolicy({ table, writer, now: Date.now(), home }, policy as unknown as Json);
    return createAuditor({
      source: trailSource({ region }),
      table,
      writer,
      now: () => Date.now(),
      sleep,
      home,
      declared: Object.keys(policy.trails),
      backfillDays: policy.activity.backfillDays,
      flood: policy.activity.floodAbove,
    });
  });
  return paced(
    async (hasTime) => (await made())(hasTime),
    () => Date.now(),
  );
};

/** Looks at what hosts shipped, and at Session Manager, if the policy wants it. */
export const hostWatcher = (config: AuditConfig): ((hasTime: () => boolean) => Promise<Paced<HostsLook>>) => {
  const { account, region, policy } = config;
  if (policy.activity.hosts === 'off') return async () => ({});
  const made = lazily(async () => {
    const [{ createHostWatch }, { createSessionWatch }, { sessionSource }] = await Promise.all([
      import('../activity/watchHosts.ts'),
      import('../activity/watchSessions.ts'),
      import('../aws/sessionSource.ts'),
    ]);
    const sessions = createSessionWatch({
      source: sessionSource({ region }),
      writer: activityWriter(config),
      home: { account, region },
    });
    return createHostWatch({ ...activityLog(config), now: () => Date.now(), sessions });
  });
  return paced(
    async (hasTime) => (await made())(hasTime),
    () => Date.now(),
  );
};

/** The log's own name, which its checkpoints carry. */
export const originOf = ({ account, stage }: Pick<ActivityConfig, 'account' | 'stage'>): string =>
  `steward/${account}/${stage}`;

/** To the second account, where steward.yml names one. */
export const copier = (config: AuditConfig): Copier | undefined => {
  const { copy } = config.policy.activity;
  if (!copy) return undefined;
  const { region } = config;
  const copies = lazyObjects(async () =>
    (await import('../aws/objects.ts')).bucketObjects({ region, bucket: copy.bucket, owner: copy.account }),
  );
  return createCopier({ table: activityLog(config).table, copies, now: () => Date.now() });
};

/** Signs what is new. The key is asked for once. */
export const checkpointer = (config: ActivityConfig): (() => Promise<Numbered | undefined>) => {
  const log = activityLog(config);
  const made = lazily(async () => {
    await tableChecked(config);
    const { noteSigner } = await import('../aws/noteSigner.ts');
    const signer = await noteSigner({ name: originOf(config), region: config.region, keyId: config.key });
    return createCheckpointer({ ...log, signer, now: () => Date.now() });
  });
  return async () => (await made())();
};
