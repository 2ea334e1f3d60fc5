/** The agents on a host that Steward and AWS see it through: the answers of `inspect-agents` and `mend-agent`. */
import * as z from 'zod/mini';
import type { Time } from './time.ts';

const count = z.number().check(z.gte(0));

export const AGENTS = ['cloudwatch', 'ecs'] as const;
export type AgentName = (typeof AGENTS)[number];

const agent = z.object({
  name: z.enum(AGENTS),
  installed: z.boolean(),
  running: z.boolean(),
  version: z.nullable(z.string()),
  /** SHA-256, hex, of the configuration that Steward gave it; null: it has none of Steward's. */
  configHash: z.nullable(z.string()),
  /** Its own words on why it does not work: the last error lines of its log; at most 5. */
  errors: z.array(z.string()),
  /** ECS: the agent's introspection says that it is connected; null: it does not say. */
  connected: z.nullable(z.boolean()),
  /** CloudWatch: it ships our file, and these are the last lines there, oldest first, at most 5. Null: it does not. */
  proof: z.nullable(z.object({ lines: z.array(z.string()) })),
  ageSeconds: count,
});
export type AgentSeen = z.infer<typeof agent>;

/** `inspect-agents` */
export const agentsReport = z.object({
  version: z.literal(1),
  at: z.string(),
  os: z.string(),
  agents: z.array(agent),
});
export type AgentsReport = z.infer<typeof agentsReport>;

/** `mend-agent` */
export const mendReport = z.object({
  version: z.literal(1),
  name: z.enum(AGENTS),
  repeated: z.boolean(),
  running: z.boolean(),
  /** CloudWatch: a line with the token was written into the file that it ships. */
  proves: z.boolean(),
  /** What was done, in order: 'installed', 'configured', 'proving', 'restarted'. */
  steps: z.array(z.string()),
});
export type MendReport = z.infer<typeof mendReport>;

/** `beat-agent` */
export const beatReport = z.object({
  version: z.literal(1),
  /** False: the agent does not ship our file. */
  written: z.boolean(),
});
export type BeatReport = z.infer<typeof beatReport>;

/** Where the agents ship our lines to; one stream for each instance, by its id. Kept for a day. */
export const proofGroup = (stage: string): string => `/steward/${stage}/agent-proof`;
/** How often State Manager lets each host write a line; its own least. */
export const BEAT_MINUTES = 30;

/** A line of ours: when the host wrote it, by its own clock, and 'beat' or the token of a step. */
export interface ProofLine {
  readonly writtenAt: Time;
  readonly word: string;
}
/** Undefined: not a line of ours. */
export const proofLineOf = (text: string): ProofLine | undefined => {
  const [, at = '', word = ''] = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) ([A-Za-z0-9-]{1,64})$/.exec(text.trim()) ?? [];
  const writtenAt = Date.parse(at);
  return Number.isNaN(writtenAt) ? undefined : { writtenAt, word };
};
/** @param arrivedAt by the clock of CloudWatch Logs */
export type Arrived = ProofLine & { readonly arrivedAt: Time };

export interface AgentProofs {
  /** The lines of its stream that came since then, oldest first; of very many the latest. Undefined: it has no stream, so it was never let to prove itself. */
  arrived(id: string, from: Time): Promise<readonly Arrived[] | undefined>;
  /** Ids whose last line came between, by an index of CloudWatch's that may be an hour behind. */
  quietSince(from: Time, to: Time): Promise<readonly string[]>;
  /** Makes its stream: from then on its silence is known from never having been asked. */
  expect(id: string): Promise<void>;
}
