/** The real outside of the CLI: a terminal or a pipe, the clock, and AWS. */
import { setTimeout as sleep } from 'node:timers/promises';
import { NotFound } from '../shared/core/errors.ts';
import type { Io } from './session.ts';

/** `steward incidents | head`: who reads has enough. */
const stopWhenUnread = (stream: NodeJS.WriteStream): void => {
  stream.on('error', (e: NodeJS.ErrnoException) => {
    if (e.code !== 'EPIPE') throw e;
    process.exit();
  });
};

export const terminal = (): Io => {
  stopWhenUnread(process.stdout);
  return {
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    // NO_COLOR and FORCE_COLOR as picocolors knows them; a pipe gets plain text.
    colors: process.env['NO_COLOR'] ? false : Boolean(process.env['FORCE_COLOR'] ?? process.stdout.isTTY),
    width: process.stdout.isTTY ? process.stdout.columns : undefined,
    asks: Boolean(process.stdin.isTTY && process.stdout.isTTY),
    env: process.env,
    sleep: (ms) => sleep(ms),
    confirm: async (question) => {
      const { createInterface } = await import('node:readline/promises');
      const line = createInterface({ input: process.stdin, output: process.stdout });
      try {
        return /^y(es)?$/i.test((await line.question(`${question} [y/N] `)).trim());
      } finally {
        line.close();
      }
    },
    readCopy: async (address, { profile, region = process.env['AWS_REGION'] ?? 'us-east-1' }) => {
      const [{ copyAddress, newestCopy }, { bucketObjects }, { trailFiles }] = await Promise.all([
        import('../shared/activity/copies.ts'),
        import('../shared/aws/objects.ts'),
        import('../shared/aws/trailFiles.ts'),
      ]);
      const at = copyAddress(address);
      const options = { region, bucket: at.bucket, ...(profile ? { profile } : {}) };
      const key = await newestCopy(trailFiles(options), at);
      const bytes = await bucketObjects(options).get(key);
      if (!bytes) throw new NotFound(`there is no s3://${at.bucket}/${key}`);
      return Buffer.from(bytes).toString('utf8');
    },
    openTrail: async ({ region }, { profile }) => {
      const { trailSource } = await import('../shared/aws/trailSource.ts');
      return trailSource({ region, ...(profile ? { profile } : {}) });
    },
    openLog: async ({ table, bucket, key, region }, { profile }) => {
      const options = { region, ...(profile ? { profile } : {}) };
      const [{ activityTable }, { bucketObjects }, { noteSigner }] = await Promise.all([
        import('../shared/aws/activityTable.ts'),
        import('../shared/aws/objects.ts'),
        import('../shared/aws/noteSigner.ts'),
      ]);
      const { publicKey } = await noteSigner({ ...options, keyId: key, name: 'the log' });
      return {
        table: activityTable({ ...options, table }),
        objects: bucketObjects({ ...options, bucket }),
        keys: [publicKey],
      };
    },
    connect: async (where) => (await import('./lambda.ts')).lambdaSteward(where),
  };
};
