/** What CloudWatch Logs gives of the hosts' log group: a gzip of some lines of one stream, base 64. */
import { gunzipSync } from 'node:zlib';
import * as z from 'zod/mini';
import { hostGroup } from '../core/shipping.ts';
import { hostEvent } from './hostLine.ts';

export interface LogsEvent {
  readonly awslogs: { readonly data: string };
}
const logsEvent = z.object({ awslogs: z.object({ data: z.string() }) });
export const isLogsEvent = (event: unknown): event is LogsEvent => logsEvent.safeParse(event).success;

const PREFIX = '{"awslogs":{"data":"';
/** As it waits in the log's queue. */
export const feedBody = ({ awslogs: { data } }: LogsEvent): string => JSON.stringify({ awslogs: { data } });
export const isFeed = (body: string): boolean => body.startsWith(PREFIX);

const payload = z.object({
  messageType: z.string(),
  owner: z.string(),
  logGroup: z.string(),
  logStream: z.string(),
  logEvents: z.array(z.object({ message: z.string() })),
});

/** CloudWatch gives 1 MB at most; what unpacks to more than this is not from there. */
const LARGEST = 64 << 20;

/**
 * Each line as the log keeps it. What cannot be unpacked, or is of another group, is kept as it is: nothing that comes by this way is thrown away.
 */
export const eventsOfFeed = (
  body: string,
  { account, region, stage }: { readonly account: string; readonly region: string; readonly stage: string },
): Buffer[] => {
  try {
    const { awslogs } = JSON.parse(body) as LogsEvent;
    const text = gunzipSync(Buffer.from(awslogs.data, 'base64'), { maxOutputLength: LARGEST }).toString('utf8');
    const { messageType, owner, logGroup, logStream, logEvents } = payload.parse(JSON.parse(text));
    // CloudWatch asks with one whether anybody is there.
    if (messageType === 'CONTROL_MESSAGE') return [];
    if (owner !== account || logGroup !== hostGroup(stage)) return [Buffer.from(body)];
    return logEvents.map(({ message }) => hostEvent(message, { account, region, stream: logStream }));
  } catch {
    return [Buffer.from(body)];
  }
};
