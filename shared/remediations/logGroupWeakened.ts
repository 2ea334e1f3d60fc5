import * as z from 'zod/mini';
import { NotFound, noneIfGone } from '../core/errors.ts';
import type { Attempt } from '../core/incident.ts';
import { type LogGroup, MOST_SUBSCRIPTIONS, RETENTION_DAYS, type Subscription } from '../core/logs.ts';
import { option } from '../core/policy.ts';
import type { Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look, type Scan } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { logGroupOf, logGroupTarget, matchesArn, type Target } from '../core/target.ts';
import { minutes, seconds, type Time } from '../core/time.ts';
import type { Verdict } from '../core/verdict.ts';

const arn = (service: string) =>
  z.string().check(z.regex(new RegExp(`^arn:aws[a-z-]*:${service}:\\S+$`)), z.maxLength(600));

const declared = z.strictObject({
  match: z.string().check(z.regex(/^[\w./#*-]{1,512}$/)),
  retentionDays: z.literal(RETENTION_DAYS),
  kmsKey: z.optional(arn('kms')),
  subscription: z.optional(
    z.strictObject({
      name: z.string().check(z.regex(/^[^:*]{1,512}$/)),
      destination: arn('(kinesis|firehose|lambda|logs)'),
      filterPattern: z._default(z.string().check(z.maxLength(1024)), ''),
      role: z.optional(arn('iam')),
    }),
  ),
  recreate: z.optional(z.boolean()),
});
type Declared = z.output<typeof declared>;

const options = z.strictObject({
  groups: option(
    z.array(declared).check(z.maxLength(200)),
    [],
    'What must hold for log groups; the first entry whose `match` (a name, or a pattern with *) fits counts. `retentionDays`: kept at least so long. `kmsKey`: ARN of the key. `subscription`: a filter that must be there. `recreate`: create it again if it is deleted; unless said, only what is named without *',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'recreate'; readonly name: string; readonly tags: Readonly<Record<string, string>> }
  | { readonly do: 'retention'; readonly name: string; readonly days: number }
  | { readonly do: 'subscription'; readonly name: string; readonly filter: Subscription }
  | { readonly do: 'encrypt'; readonly name: string; readonly key: string };
type Rung = Step['do'];

interface Seen {
  readonly target: Target;
  readonly name: string;
  /** Undefined: no entry of the policy is about it. */
  readonly declared: Declared | undefined;
  /** Undefined: it was deleted. */
  readonly group: LogGroup | undefined;
  /** Of a group that was deleted: those that it is given. */
  readonly tags: Readonly<Record<string, string>>;
  readonly uncovered: string | undefined;
  readonly subscriptions: readonly Subscription[];
}

// ---- what must hold ---------------------------------------------------------------------------------------------------------------------

const declaredFor = (name: string, { groups }: Options): Declared | undefined =>
  groups.find(({ match }) => matchesArn(match, name));
const isPattern = ({ match }: Declared): boolean => match.includes('*');
const isRecreated = (d: Declared): boolean => d.recreate ?? !isPattern(d);

const wantedFilter = (d: Declared): Subscription | undefined => {
  if (!d.subscription) return undefined;
  const { role, ...rest } = d.subscription;
  return role === undefined ? rest : { ...rest, role };
};

const days = (n: number | undefined): string => (n === undefined ? 'for ever' : `${n} ${n === 1 ? 'day' : 'days'}`);

/** What is weaker than declared, in the order in which it is mended, each in words. */
const weaknesses = (
  d: Declared,
  group: LogGroup | undefined,
  subscriptions: readonly Subscription[],
): readonly (readonly [Rung, string])[] => {
  if (!group) return [['recreate', 'it was deleted, and its events are lost']];
  const found: (readonly [Rung, string])[] = [];
  if (group.retentionDays !== undefined && group.retentionDays < d.retentionDays)
    found.push(['retention', `it keeps events ${days(group.retentionDays)}, declared are ${days(d.retentionDays)}`]);
  const filter = wantedFilter(d);
  const there = subscriptions.find((s) => s.name === filter?.name);
  if (filter && !there) found.push(['subscription', `its subscription filter ${filter.name} is missing`]);
  else if (filter && !sameFilter(filter, there))
    found.push(['subscription', `its subscription filter ${filter.name} is not as declared`]);
  if (d.kmsKey !== undefined && group.kmsKey !== d.kmsKey)
    found.push(['encrypt', `it is encrypted with ${group.kmsKey ?? 'no key of yours'}, declared is ${d.kmsKey}`]);
  return found;
};

const sameFilter = (a: Subscription, b: Subscription | undefined): boolean =>
  a.destination === b?.destination && a.filterPattern === b.filterPattern && a.role === b.role;

const weak = ({ declared: d, group, subscriptions }: Seen) => (d ? weaknesses(d, group, subscriptions) : []);

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const observe = async (target: Target, { logGroups }: Ports, look: Look<Options>): Promise<Seen> => {
  const name = logGroupOf(target);
  const d = declaredFor(name, look.options);
  const nothing = { target, name, declared: d, group: undefined, tags: {}, uncovered: undefined, subscriptions: [] };
  if (!d) return nothing;
  const group = await logGroups.find(name);
  if (!group) {
    if (!isRecreated(d))
      throw new NotFound(
        `the log group ${name}; \`groups\` of log-group-weakened does not say that ${d.match} is created again`,
      );
    return { ...nothing, tags: { [look.tags.managed]: 'true' } };
  }
  const tags = await logGroups.tags(target.arn);
  const uncovered = look.uncovered(tags);
  const subscriptions = d.subscription && uncovered === undefined ? await logGroups.subscriptions(name) : [];
  return { ...nothing, group, tags, uncovered, subscriptions };
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** How long AWS may take to show it. "It can take up to 5 minutes for this operation to take effect" (AssociateKmsKey); the others a moment. */
const SETTLE: Readonly<Record<Rung, Time>> = {
  recreate: minutes(1),
  retention: minutes(1),
  subscription: minutes(1),
  encrypt: minutes(6),
};

const stepFor = (rung: Rung, { name, declared: d, tags }: Seen & { declared: Declared }): readonly [Step, string] => {
  const filter = wantedFilter(d);
  if (rung === 'recreate')
    return [{ do: rung, name, tags }, `create ${name} again, with the tags ${Object.keys(tags).join(', ')}`];
  if (rung === 'subscription' && filter)
    return [
      { do: rung, name, filter },
      `put the subscription filter ${filter.name} of ${name} to ${filter.destination}`,
    ];
  if (rung === 'encrypt' && d.kmsKey !== undefined)
    return [{ do: rung, name, key: d.kmsKey }, `encrypt what comes into ${name} with ${d.kmsKey}`];
  return [{ do: 'retention', name, days: d.retentionDays }, `keep the events of ${name} ${days(d.retentionDays)}`];
};

/** Why this rung cannot be climbed, and what a person can do. */
const obstacle = (rung: Rung, seen: Seen, look: Look<Options>): { because: string; remedy: string } | undefined => {
  const last = (look.attempts as readonly Attempt<Step>[]).findLast(
    (a) => a.step.do === rung && a.outcome?.kind !== 'transient',
  );
  if (last?.outcome?.kind === 'permanent')
    return { because: `AWS refused: ${last.outcome.because}`, remedy: REMEDIES[rung] };
  if (last?.effect === 'ineffective')
    return {
      because: 'that was put right and is so again, or AWS never did it',
      remedy: 'find in CloudTrail who changes it back; who may do so is named in `trusted` of steward.yml',
    };
  const name = seen.declared?.subscription?.name;
  const others = seen.subscriptions.filter((s) => s.name !== name).map((s) => s.name);
  if (rung === 'subscription' && others.length >= MOST_SUBSCRIPTIONS)
    return {
      because: `AWS allows ${MOST_SUBSCRIPTIONS} subscription filters, and it has those of others (${others.join(', ')})`,
      remedy: `remove one of them, or let one of them do the work and name it in \`groups\``,
    };
  return undefined;
};

const REMEDIES: Readonly<Record<Rung, string>> = {
  recreate: 'create it by hand, or take it out of `groups`',
  retention: 'look at the class of the log group: not each lets its retention be set',
  subscription: 'look whether the destination exists, and lets CloudWatch Logs write to it',
  encrypt: 'look whether the key is enabled, and its policy lets CloudWatch Logs use it',
};

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { declared: d, uncovered, name } = seen;
  const { author } = look.signal;
  if (!d)
    return { do: 'nothing', because: `no entry of \`groups\` matches ${name}: it is not declared how it must be` };
  if (author !== undefined && look.trusts(author))
    return { do: 'nothing', because: `${author} did it, which \`trusted\` in steward.yml names: it is intended` };
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  const found = weak(seen);
  const last = (look.attempts as readonly Attempt<Step>[]).at(-1);
  if (last && !last.effect && last.outcome?.kind !== 'permanent' && last.outcome?.kind !== 'transient')
    return { do: 'wait', until: look.now + seconds(10), because: `${last.plan}: AWS does not show it yet` };
  const open = found.find(([rung]) => !obstacle(rung, seen, look));
  if (open) {
    const [step, plan] = stepFor(open[0], { ...seen, declared: d });
    return { do: 'act', rung: step.do, step, plan, because: found.map(([, is]) => is).join('; ') };
  }
  const [first] = found;
  const stuck = first && obstacle(first[0], seen, look);
  return {
    do: 'escalate',
    because: `${first?.[1] ?? 'it is weaker than declared'}; ${stuck?.because ?? 'nothing more can be done'}`,
    remedy: stuck?.remedy ?? 'look at the log group',
  };
};

const effect = (attempt: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect => {
  const { step } = attempt;
  if (!seen.declared) return 'pending';
  // While it is gone again, nothing can be said of the rest.
  const still = weak(seen).some(([rung]) => rung === step.do || rung === 'recreate');
  if (!still) return 'effective';
  return now - attempt.reservedAt < SETTLE[step.do] ? 'pending' : 'ineffective';
};

const act = async (step: Step, { logGroups }: Ports): Promise<{ name: string }> => {
  switch (step.do) {
    case 'recreate':
      await logGroups.create(step.name, step.tags);
      break;
    case 'retention':
      await logGroups.keep(step.name, step.days);
      break;
    case 'subscription':
      await logGroups.subscribe(step.name, step.filter);
      break;
    case 'encrypt':
      await logGroups.encrypt(step.name, step.key);
  }
  return { name: step.name };
};

/** Policies name a group with `:*` behind it, except where it is tagged. Source: LogGroup, `arn`, in the API reference. */
const touches = (step: Step, target: Target): readonly string[] => {
  const filter = step.do === 'subscription' ? step.filter : undefined;
  const beyond = filter ? [filter.destination, ...(filter.role === undefined ? [] : [filter.role])] : [];
  return [`${target.arn}:*`, ...beyond];
};

// ---- survey -----------------------------------------------------------------------------------------------------------------------------

/** Groups whose subscription filters one survey reads, a call each; the next takes the next ones. */
const MOST_FILTERS_READ = 100;
const SURVEY_EVERY = minutes(5);

const survey = async ({ logGroups, where }: Ports, { now, options: o }: Scan<Options>): Promise<readonly Signal[]> => {
  const prefixes = [...new Set(o.groups.map(({ match }) => match.split('*')[0] ?? ''))];
  // '/ecs/' already has what begins with '/ecs/web'.
  const widest = prefixes.filter((p) => !prefixes.some((other) => other !== p && p.startsWith(other)));
  const lists = await Promise.all(widest.map((prefix) => logGroups.list(prefix)));
  const there = new Map(lists.flat().map((group) => [group.name, group]));
  const named = o.groups.filter((d) => !isPattern(d) && isRecreated(d)).map(({ match }) => match);
  const known = [...new Set([...there.keys(), ...named])].flatMap((name) => {
    const d = declaredFor(name, o);
    return d ? [{ name, d, group: there.get(name) }] : [];
  });
  const subscribed = known.filter(({ d, group }) => d.subscription && group).map(({ name }) => name);
  const turn = (Math.floor(now / SURVEY_EVERY) * MOST_FILTERS_READ) % Math.max(1, subscribed.length);
  const read = [...subscribed.slice(turn), ...subscribed.slice(0, turn)].slice(0, MOST_FILTERS_READ);
  const filters = new Map<string, readonly Subscription[]>();
  for (const name of read) filters.set(name, await logGroups.subscriptions(name).catch(noneIfGone));
  return known.flatMap(({ name, d, group }) => {
    const { subscription: _, ...rest } = d;
    const found = weaknesses(filters.has(name) ? d : rest, group, filters.get(name) ?? []);
    const is = found.map(([, words]) => words).join('; ');
    return found.length === 0
      ? []
      : [
          {
            kind: 'log-group.changed' as const,
            target: logGroupTarget(where, name),
            at: now,
            cause: `the survey saw the log group ${name}: ${is}`.slice(0, 400),
            eventId: `log-group ${name}: ${is}`.slice(0, 900),
          },
        ];
  });
};

export const logGroupWeakened = defineRemediation<Seen, Step, Options>({
  name: 'log-group-weakened',
  title:
    'puts back retention, encryption and subscription of CloudWatch log groups, and declared groups that were deleted',
  about: `You declare in \`groups\` how your log groups must be; without that it is idle. Where one is weaker it sets the **retention** (only ever longer;
"never expires" is long enough), puts the **subscription** filter, and associates the **encrypt**ion key: what came in before stays as it was
encrypted. A deleted group is created again, empty: **its events are lost**, and its tags too, but for the opt-in tag. That is done for groups
that are named without \`*\`, or whose entry says \`recreate\`. What a principal of \`trusted\` did is left as it is, as far as an event tells
who did it: the survey every 5 min sees only that a group is weaker. It never shortens a retention, removes a filter or a key, or touches events.
Events of these calls reach EventBridge only where a trail logs management events; without one the survey finds the same up to 5 min later.`,
  answers: ['log-group.changed'],
  risk: 'harmless',
  targets: 'arn:*:logs:*:*:log-group:*',
  ladder: {
    recreate: 'create a declared group that was deleted',
    retention: 'keep its events as long as declared',
    subscription: 'put the declared subscription filter',
    encrypt: 'associate the declared KMS key',
  },
  attemptsPerDay: 6,
  permissions: [
    { for: 'look', actions: ['logs:DescribeLogGroups', 'logs:DescribeSubscriptionFilters'], resources: ['*'] },
    { for: 'look', actions: ['logs:ListTagsForResource'], resources: ['arn:*:logs:*:*:log-group:*'] },
    {
      for: 'act',
      actions: ['logs:CreateLogGroup', 'logs:TagResource', 'logs:PutRetentionPolicy', 'logs:AssociateKmsKey'],
      resources: ['arn:*:logs:*:*:log-group:*'],
    },
    {
      for: 'act',
      actions: ['logs:PutSubscriptionFilter'],
      resources: ['arn:*:logs:*:*:log-group:*', 'arn:*:logs:*:*:destination:*'],
    },
    {
      for: 'act',
      actions: ['iam:PassRole'],
      resources: ['arn:*:iam::*:role/*'],
      passedTo: ['logs.amazonaws.com*', 'logs.*.amazonaws.com*'],
    },
  ],
  options,
  survey,
  observe,
  facts: ({ name, tags }) => ({
    tags,
    group: { id: `log-group/${name}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe: (seen) => {
    const { declared: d, group, uncovered, name } = seen;
    if (!d) return `${name} is not declared`;
    if (uncovered !== undefined) return `not looked into: ${uncovered}`;
    const found = weak(seen);
    return found.length > 0
      ? found.map(([, is]) => is).join('; ')
      : `it keeps events ${days(group?.retentionDays)}, as declared (${d.match}: ${days(d.retentionDays)})${d.kmsKey === undefined ? '' : ', with its key'}${d.subscription ? ', with its subscription filter' : ''}`;
  },
  isHealthy: (seen) => seen.declared !== undefined && seen.uncovered === undefined && weak(seen).length === 0,
  decide,
  act,
  touches,
  before: ({ group, subscriptions }) => ({
    retentionDays: group?.retentionDays ?? null,
    kmsKey: group?.kmsKey ?? null,
    subscriptions: subscriptions.map((s) => ({ ...s })),
  }),
  effect,
  noUndo:
    'to weaken a log group again is for a person, who changes `groups` first: else it would be strengthened at the next look',
});
