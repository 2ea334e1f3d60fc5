/** An activity log in memory, with a key of its own. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { createWriter } from '../../shared/activity/append.ts';
import { createCheckpointer } from '../../shared/activity/checkpoint.ts';
import type { LogTable, Objects } from '../../shared/activity/log.ts';
import type { Signer } from '../../shared/activity/note.ts';
import { createSearch, type Query, type Row } from '../../shared/activity/search.ts';
import { seconds } from '../../shared/core/time.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { createRandom } from '../../world/random.ts';
import { trailEvents } from '../../world/trailEvents.ts';

export const NOW = Date.parse('2026-11-25T02:00:00Z');
export const ACCOUNT = '111122223333';

export const signerWith = (type: 'ed25519' | 'ec' = 'ed25519', name = `steward/${ACCOUNT}/test`): Signer => {
  const { publicKey, privateKey } =
    type === 'ed25519' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    name,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    sign: async (message) => sign(type === 'ed25519' ? null : 'sha256', message, privateKey),
  };
};

/** Made once: keys take time. */
export const SIGNER = signerWith();
export const KEYS = [SIGNER.publicKey];

/** Records of one account, a second apart. */
export const someEvents = (count: number, seed = 1, account = ACCOUNT, from = NOW): Buffer[] => {
  const next = trailEvents({ account, region: 'eu-central-1', resources: 50, random: createRandom(seed) });
  return Array.from({ length: count }, (_, n) => Buffer.from(next(from + seconds(n))));
};

export interface Ports {
  readonly table: LogTable;
  readonly objects: Objects;
}

export const setting = (ports: Ports, shards = 2, signer = SIGNER) => {
  const clock = { now: NOW };
  const now = () => clock.now;
  return {
    ...ports,
    clock,
    writer: createWriter({ ...ports, now, shards }),
    checkpoint: createCheckpointer({ ...ports, signer, now }),
    search: createSearch(ports),
  };
};

export const aLog = (shards = 2) => {
  const memory = memoryLog();
  return { memory, ...setting(memory, shards) };
};

/** All pages. */
export const allRows = async (ports: Ports, query: Query, limit = 1_000): Promise<Row[]> => {
  const search = createSearch(ports);
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const page = await search.page(query, limit, cursor);
    rows.push(...page.rows);
    cursor = page.cursor;
  } while (cursor !== undefined);
  return rows;
};

export const textsOf = (events: readonly { toString(): string }[]): string[] => events.map(String).sort();
export const rawTexts = (rows: readonly Row[]): string[] =>
  rows.map((r) => Buffer.from(r.raw).toString('latin1')).sort();
