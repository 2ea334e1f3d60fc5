/** Session Manager's sessions, and how their documents say that they are recorded. */
import { GetDocumentCommand, paginateDescribeSessions, type Session, SSMClient } from '@aws-sdk/client-ssm';
import type { SeenSession } from '../activity/sessionFacts.ts';
import type { SessionSource } from '../activity/watchSessions.ts';
import { Forbidden, NotFound } from '../core/errors.ts';
import { iso, type Time } from '../core/time.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** What a session has by default. */
const DEFAULT = 'SSM-SessionManagerRunShell';

const seenOf = (s: Session): SeenSession[] =>
  s.SessionId && s.Target && s.StartDate
    ? [
        {
          id: s.SessionId,
          host: s.Target,
          owner: s.Owner ?? 'unknown',
          document: s.DocumentName || DEFAULT,
          from: s.StartDate.getTime(),
          ...(s.EndDate ? { end: s.EndDate.getTime() } : {}),
          status: s.Status ?? 'unknown',
        },
      ]
    : [];

interface Preferences {
  readonly sessionType?: string;
  readonly inputs?: {
    readonly s3BucketName?: string;
    readonly s3KeyPrefix?: string;
    readonly cloudWatchLogGroupName?: string;
  };
}

/** @param content of a session document, JSON */
export const recordingIn = (content: string, document: string): Awaited<ReturnType<SessionSource['recording']>> => {
  const { sessionType = 'Standard_Stream', inputs = {} } = JSON.parse(content) as Preferences;
  if (sessionType === 'Port') return { is: 'tunnel', because: `${document} forwards a port` };
  const { s3BucketName, s3KeyPrefix, cloudWatchLogGroupName } = inputs;
  const where = [
    ...(s3BucketName ? [`s3://${s3BucketName}/${s3KeyPrefix ?? ''}`] : []),
    ...(cloudWatchLogGroupName ? [`log group ${cloudWatchLogGroupName}`] : []),
  ];
  return where.length > 0
    ? { is: 'recorded', because: where.join(', ') }
    : { is: 'not recorded', because: `${document} names no bucket and no log group` };
};

/** SSM's own word for a document that is not there. */
const isNoDocument = (e: unknown): boolean => ((e as Error).cause as Error | undefined)?.name === 'InvalidDocument';

export const sessionSource = (options: ClientOptions): SessionSource => {
  const client = new SSMClient(clientConfig(options, 3));

  const list = (State: 'Active' | 'History', after?: Time): Promise<SeenSession[]> =>
    calling('cannot list the sessions of Session Manager', async () => {
      const found: SeenSession[] = [];
      const Filters =
        after === undefined ? [] : [{ key: 'InvokedAfter' as const, value: iso(after).replace(/\.\d+Z$/, 'Z') }];
      for await (const { Sessions = [] } of paginateDescribeSessions({ client }, { State, Filters }))
        found.push(...Sessions.flatMap(seenOf));
      return found;
    });

  return {
    // What ends in between is in the second list.
    seen: async (after) => [...(await list('Active')), ...(await list('History', after))],
    recording: async (document) => {
      try {
        const { Content = '{}' } = await calling(`cannot read the session document ${document}`, () =>
          client.send(new GetDocumentCommand({ Name: document, DocumentFormat: 'JSON' })),
        );
        return recordingIn(Content, document);
      } catch (e) {
        if (e instanceof Forbidden) return { is: 'unknown', because: e.message };
        if (!(e instanceof NotFound || isNoDocument(e))) throw e;
        return {
          is: 'not recorded',
          because: `there is no document ${document}: nobody has set where sessions are recorded`,
        };
      }
    },
  };
};
