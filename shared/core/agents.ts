/** The agents on a host that Steward and AWS see it through: the answers of `inspect-agents` and `mend-agent`. */
import * as z from 'zod/mini';

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
  /** What was done, in order: 'installed', 'configured', 'restarted'. */
  steps: z.array(z.string()),
});
export type MendReport = z.infer<typeof mendReport>;
