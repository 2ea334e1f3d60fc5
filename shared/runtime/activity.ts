/** The activity log, wired: its table, its bucket and its key behind the ports. */
import { createWriter, type Writer } from '../activity/append.ts';
import { createCheckpointer, type Numbered } from '../activity/checkpoint.ts';
import type { LogTable, Objects } from '../activity/log.ts';
import { activityTable } from '../aws/activityTable.ts';
import type { ActivityConfig } from './config.ts';

/**
 * Never changed once a log has begun: an account's events stay in its shard. One shard takes what one writer at a time can write, some thousand events a second; more
 * accounts spread over more of them.
 */
export const SHARDS = 8;
/** So long a body is in the table. */
export const HOT_DAYS = 90;

export interface ActivityLog {
  readonly table: LogTable;
  readonly objects: Objects;
}

/** The bucket's client loads when something is too large for the table, or a checkpoint is kept. */
const lazyObjects = (open: () => Promise<Objects>): Objects => {
  let opened: Promise<Objects> | undefined;
  const objects = (): Promise<Objects> => {
    opened ??= open();
    return opened;
  };
  return {
    put: async (key, bytes) => (await objects()).put(key, bytes),
    get: async (key) => (await objects()).get(key),
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

export const activityWriter = (config: ActivityConfig): Writer =>
  createWriter({ ...activityLog(config), now: () => Date.now(), shards: SHARDS, hotDays: HOT_DAYS });

/** The log's own name, which its checkpoints carry. */
export const originOf = ({ account, stage }: Pick<ActivityConfig, 'account' | 'stage'>): string =>
  `steward/${account}/${stage}`;

/** Signs what is new. The key is asked for once. */
export const checkpointer = (config: ActivityConfig): (() => Promise<Numbered | undefined>) => {
  const log = activityLog(config);
  let made: Promise<() => Promise<Numbered | undefined>> | undefined;
  const make = async () => {
    const { noteSigner } = await import('../aws/noteSigner.ts');
    const signer = await noteSigner({ name: originOf(config), region: config.region, keyId: config.key });
    return createCheckpointer({ ...log, signer, now: () => Date.now() });
  };
  return async () => {
    made ??= make();
    // A key that could not be asked for is asked for again.
    made.catch(() => {
      made = undefined;
    });
    return (await made)();
  };
};
