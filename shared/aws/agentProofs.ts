import {
  CloudWatchLogsClient,
  CreateLogStreamCommand,
  GetLogEventsCommand,
  type OutputLogEvent,
  paginateDescribeLogStreams,
} from '@aws-sdk/client-cloudwatch-logs';
import { type AgentProofs, type Arrived, proofGroup, proofLineOf } from '../core/agents.ts';
import { NotFound, Refused, Unavailable } from '../core/errors.ts';
import type { Time } from '../core/time.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { asOurs, calling } from './errors.ts';

/** DescribeLogStreams gives no more at once. */
const PAGE = 50;
/** A day has some fifty lines. */
const LINES = 200;
/** An empty page does not mean that there is nothing behind it; so many of them are not read on. */
const EMPTY_PAGES = 10;

const asLine = ({ message = '', ingestionTime }: OutputLogEvent): Arrived[] => {
  const line = proofLineOf(message);
  return line && ingestionTime !== undefined ? [{ ...line, arrivedAt: ingestionTime }] : [];
};

export const logAgentProofs = ({ stage, ...options }: ClientOptions & { readonly stage: string }): AgentProofs => {
  const client = new CloudWatchLogsClient(clientConfig(options, 3));
  const logGroupName = proofGroup(stage);

  /** The latest page that is not empty. */
  const latest = async (id: string, startTime: Time): Promise<readonly OutputLogEvent[]> => {
    let nextToken: string | undefined;
    for (let pages = 0; pages < EMPTY_PAGES; pages++) {
      const { events = [], nextBackwardToken } = await client.send(
        new GetLogEventsCommand({ logGroupName, logStreamName: id, startTime, limit: LINES, nextToken }),
      );
      if (events.length > 0 || nextBackwardToken === undefined || nextBackwardToken === nextToken) return events;
      nextToken = nextBackwardToken;
    }
    throw new Unavailable(`the stream ${id} of ${logGroupName} gives empty pages only`);
  };

  /** Streams by their last line; those that never had one come last. */
  const newestFirst = async function* () {
    const asked = { logGroupName, orderBy: 'LastEventTime', descending: true } as const;
    for await (const { logStreams = [] } of paginateDescribeLogStreams({ client, pageSize: PAGE }, asked))
      for (const { logStreamName: name = '', lastEventTimestamp: last = 0 } of logStreams) yield { name, last };
  };

  return {
    arrived: async (id, from) => {
      try {
        const events = await calling(`cannot read the lines of the agent of ${id}`, () => latest(id, from));
        return events.flatMap(asLine).filter((l) => l.arrivedAt >= from);
      } catch (e) {
        if (e instanceof NotFound) return undefined;
        throw e;
      }
    },
    quietSince: (from, to) =>
      calling(`cannot list the streams of ${logGroupName}`, async () => {
        const quiet: string[] = [];
        for await (const { name, last } of newestFirst()) {
          // What comes behind it is older still.
          if (last < from) break;
          if (last < to) quiet.push(name);
        }
        return quiet;
      }),
    expect: async (id) => {
      try {
        await client.send(new CreateLogStreamCommand({ logGroupName, logStreamName: id }));
      } catch (e) {
        const ours = asOurs(e, `cannot create the stream ${id} of ${logGroupName}`);
        if (!(ours instanceof Refused) || ours.code !== 'ResourceAlreadyExistsException') throw ours;
      }
    },
  };
};
