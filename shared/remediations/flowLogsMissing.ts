import * as z from 'zod/mini';
import { NotFound } from '../core/errors.ts';
import type { FlowLog, NewFlowLog, Vpc } from '../core/flowLogs.ts';
import type { Attempt } from '../core/incident.ts';
import { option } from '../core/policy.ts';
import type { Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look, type Scan } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, partitionOf, type Target, vpcTarget } from '../core/target.ts';
import { minutes, seconds, span } from '../core/time.ts';
import type { Verdict } from '../core/verdict.ts';

const destination = z
  .strictObject({
    type: z.enum(['s3', 'cloud-watch-logs']),
    arn: z.string().check(z.regex(/^arn:aws[a-z-]*:(s3|logs):\S+$/), z.maxLength(600)),
    role: z.optional(z.string().check(z.regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/\S+$/))),
    traffic: z._default(z.enum(['ALL', 'REJECT']), 'ALL'),
    maxAggregationSeconds: z._default(z.literal([60, 600]), 600),
  })
  .check(
    z.refine((d) => d.arn.split(':')[2] === (d.type === 's3' ? 's3' : 'logs'), {
      error: 'arn must be that of a bucket for s3, and of a log group for cloud-watch-logs',
    }),
    z.refine((d) => (d.type === 's3') === (d.role === undefined), {
      error: 'cloud-watch-logs needs a role, and s3 takes none',
    }),
  );
type Destination = z.output<typeof destination>;

const options = z.strictObject({
  destination: option(
    z.nullable(destination),
    null,
    'Where each VPC must log its traffic to; without it this remediation is idle. `type`: s3 or cloud-watch-logs. `arn`: of the bucket (a prefix may follow) or log group. `role`: by which VPC writes to the log group. `traffic`: ALL or REJECT. `maxAggregationSeconds`: 60 or 600, for those that it creates',
  ),
});
type Options = z.output<typeof options>;

type Step = { readonly do: 'create'; readonly vpc: string; readonly flowLog: NewFlowLog };

interface Seen {
  readonly target: Target;
  readonly vpc: Vpc;
  readonly uncovered: string | undefined;
  /** Those that log what is declared to where it is declared, whether they deliver or not. */
  readonly fitting: readonly FlowLog[];
  readonly others: number;
}

// ---- what must hold ---------------------------------------------------------------------------------------------------------------------

/** A log group's ARN is written with and without `:*` behind it, a bucket's with and without a last slash. */
const plain = (arn: string): string => arn.replace(/(:\*|\/)$/, '');

const fits = (f: FlowLog, d: Destination): boolean =>
  f.active && plain(f.destination) === plain(d.arn) && (f.traffic === 'ALL' || f.traffic === d.traffic);

const delivers = (f: FlowLog): boolean => f.delivery === 'success';

const stateOf = (fitting: readonly FlowLog[], others: number, d: Destination): string => {
  const failed = fitting.find((f) => f.delivery === 'failed');
  if (failed)
    return `its flow log ${failed.id} delivers nothing to ${d.arn}: ${failed.error ?? 'AWS does not say why'}`;
  const [first] = fitting;
  if (first) return `its flow log ${first.id} has delivered nothing to ${d.arn} yet`;
  const besides = others > 0 ? `; it has ${others} with another destination or less traffic` : '';
  return `it has no flow log of ${d.traffic === 'ALL' ? 'all' : 'rejected'} traffic to ${d.arn}${besides}`;
};

const observe = async (target: Target, { flowLogs }: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const [vpc] = await flowLogs.vpcs([id]);
  if (!vpc) throw new NotFound(`${id} does not exist`);
  const uncovered = look.uncovered(vpc.tags);
  const { destination: d } = look.options;
  if (!d || uncovered !== undefined) return { target, vpc, uncovered, fitting: [], others: 0 };
  const all = await flowLogs.list(id);
  const fitting = all.filter((f) => fits(f, d));
  return { target, vpc, uncovered, fitting, others: all.length - fitting.length };
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** A new flow log is shown within seconds; its first records come after an interval and some minutes more. */
const SHOWN_WITHIN = minutes(2);
const DELIVERS_WITHIN = minutes(30);
/** Whoever makes a VPC and is trusted may be about to make its flow log. */
const GRACE = minutes(10);

const wantedOf = (d: Destination, managed: string): NewFlowLog => ({
  type: d.type,
  destination: d.arn,
  ...(d.role === undefined ? {} : { role: d.role }),
  traffic: d.traffic,
  maxAggregationSeconds: d.maxAggregationSeconds,
  // The opt-in tag: only what carries it can be deleted, to undo this.
  tags: { 'steward:owner': 'flow-logs-missing', [managed]: 'true' },
});

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { vpc, uncovered, fitting, others } = seen;
  const { destination: d } = look.options;
  if (!d) return { do: 'nothing', because: 'no destination is declared (remediations.flow-logs-missing.destination)' };
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const is = stateOf(fitting, others, d);
  if (fitting.length > 0) return undelivered(fitting, is, look);
  const last = (look.attempts as readonly Attempt<Step>[]).findLast((a) => a.outcome?.kind !== 'transient');
  if (last?.outcome?.kind === 'permanent')
    return { do: 'escalate', because: `${is}. AWS refused to create it: ${last.outcome.because}`, remedy: REMEDY };
  if (last && !last.undoes && !last.effect)
    return { do: 'wait', until: look.now + seconds(10), because: `${last.plan}: AWS does not show it yet` };
  const { author } = look.signal;
  const grace = look.openedAt + GRACE;
  if (author !== undefined && look.trusts(author) && look.now < grace)
    return { do: 'wait', until: grace, because: `${is}; ${author}, which is trusted, may be about to create it` };
  return {
    do: 'act',
    rung: 'create',
    step: { do: 'create', vpc: vpc.id, flowLog: wantedOf(d, look.tags.managed) },
    plan: `create a flow log of ${vpc.id} (${d.traffic}) to ${d.arn}`,
    because: is,
  };
};

const REMEDY =
  'look at the destination: the policy of the bucket (delivery.logs.amazonaws.com), or the role, its trust (vpc-flow-logs.amazonaws.com) and what it may write';

const undelivered = (fitting: readonly FlowLog[], is: string, { now, openedAt }: Look<Options>): Verdict<Step> => {
  const since = Math.max(...fitting.map((f) => f.createdAt ?? openedAt));
  if (fitting.every((f) => f.delivery === 'unknown') && now - since < DELIVERS_WITHIN)
    return { do: 'wait', until: now + minutes(1), because: is };
  return {
    do: 'escalate',
    because: fitting.some((f) => f.delivery === 'failed') ? is : `${is}, ${span(now - since)} after it was created`,
    remedy: REMEDY,
  };
};

const effect = (attempt: Attempt<Step>, { fitting }: Seen, { now }: Look<Options>): Effect => {
  if (fitting.some(delivers)) return 'effective';
  const age = now - attempt.reservedAt;
  if (fitting.length === 0) return age < SHOWN_WITHIN ? 'pending' : 'ineffective';
  return fitting.some((f) => f.delivery === 'failed') || age >= DELIVERS_WITHIN ? 'ineffective' : 'pending';
};

const survey = async ({ flowLogs, where }: Ports, scan: Scan<Options>): Promise<readonly Signal[]> => {
  const { destination: d } = scan.options;
  if (!d) return [];
  const [vpcs, all] = await Promise.all([flowLogs.vpcs(), flowLogs.list()]);
  return vpcs
    .filter(({ tags }) => scan.uncovered(tags) === undefined)
    .flatMap(({ id }) => {
      const own = all.filter((f) => f.vpc === id);
      const fitting = own.filter((f) => fits(f, d));
      if (fitting.some(delivers)) return [];
      const is = stateOf(fitting, own.length - fitting.length, d);
      return [
        {
          kind: 'flow-logs.changed' as const,
          target: vpcTarget(where, id),
          at: scan.now,
          cause: `the survey saw ${id}: ${is}`.slice(0, 400),
          // A deleted one leaves no trace that would tell a second deletion from the first: what is so later is said anew.
          eventId: `${id}@${Math.floor(scan.now / minutes(10))}: ${is}`.slice(0, 900),
        },
      ];
    });
};

export const flowLogsMissing = defineRemediation<Seen, Step, Options>({
  name: 'flow-logs-missing',
  title: 'creates the flow log of a VPC that has none, or none that delivers what you declare',
  about: `You declare in \`destination\` where your VPCs must log their traffic to; without that it is idle. A VPC is healthy while it has an active
flow log of that traffic to that destination, which AWS says it delivers. Where there is none it **creates** one; others stay as they are. One
that is there and fails to deliver goes to a person, with AWS's words: a second one would fail alike. Flow logs cost by the traffic that they
record, at the price of vended logs, which is not known beforehand: the cost cap does not see it. A deleted flow log does not name its VPC,
so the survey finds it, within 5 min; a new VPC by its event, where a trail logs management events. After a \`trusted\` principal made a VPC it
waits 10 min, for that may be about to make the flow log too. It never deletes a flow log, but to undo its own.`,
  answers: ['flow-logs.changed'],
  risk: 'harmless',
  targets: 'arn:*:ec2:*:*:vpc/*',
  ladder: { create: 'a flow log to the declared destination' },
  permissions: [
    { for: 'look', actions: ['ec2:DescribeVpcs', 'ec2:DescribeFlowLogs'], resources: ['*'] },
    {
      for: 'act',
      actions: ['ec2:CreateFlowLogs'],
      resources: ['arn:*:ec2:*:*:vpc/*', 'arn:*:ec2:*:*:vpc-flow-log/*'],
    },
    { for: 'act', actions: ['ec2:CreateTags'], resources: ['arn:*:ec2:*:*:vpc-flow-log/*'] },
    {
      for: 'act',
      actions: ['ec2:DeleteFlowLogs'],
      resources: ['arn:*:ec2:*:*:vpc-flow-log/*'],
      whenTagged: 'aws:ResourceTag',
    },
    {
      for: 'act',
      actions: ['iam:PassRole'],
      resources: ['arn:*:iam::*:role/*'],
      passedTo: ['vpc-flow-logs.amazonaws.com*'],
    },
    { for: 'act', actions: ['logs:CreateLogDelivery', 'logs:DeleteLogDelivery'], resources: ['*'] },
  ],
  options,
  survey,
  observe,
  facts: ({ vpc }) => ({
    tags: vpc.tags,
    group: { id: `vpc/${vpc.id}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe: ({ uncovered, fitting, others }, { options: { destination: d } }) => {
    if (!d) return 'no destination is declared';
    if (uncovered !== undefined) return `not looked into: ${uncovered}`;
    const good = fitting.find(delivers);
    return good ? `its flow log ${good.id} delivers to ${good.destination}` : stateOf(fitting, others, d);
  },
  isHealthy: ({ fitting }) => fitting.some(delivers),
  decide,
  act: (step, { flowLogs }, token) => flowLogs.create(step.vpc, step.flowLog, token),
  // The id of what it creates is not known before; which of them can be deleted is told by the tag.
  touches: ({ flowLog }, target) => [
    `arn:${partitionOf(target.region)}:ec2:${target.region}:${target.account}:vpc-flow-log/*`,
    ...(flowLog.role === undefined ? [] : [flowLog.role]),
  ],
  before: ({ fitting, others }) => ({ fitting: fitting.map((f) => f.id), others }),
  effect,
  undo: async ({ receipt }, { flowLogs }) => {
    const made = (receipt as { flowLogs?: readonly string[] } | undefined)?.flowLogs ?? [];
    if (made.length > 0) await flowLogs.remove(made);
    return { removed: made };
  },
});
