/** Two remediations of one thing: a trail that records nothing, and one that records less than it must. */
import * as z from 'zod/mini';
import { namesOf, waitForName } from '../core/authors.ts';
import type { Attempt } from '../core/incident.ts';
import type { Permission } from '../core/permissions.ts';
import type { Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Facts, type Look } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, partitionOf, type Target, targetOf } from '../core/target.ts';
import { hours, iso, minutes, seconds, type Time } from '../core/time.ts';
import { type Trail, type TrailChange, type TrailSettings, weakerThan } from '../core/trails.ts';
import type { Json, Verdict } from '../core/verdict.ts';

const options = z.strictObject({});
type Options = z.output<typeof options>;

type Step =
  /** `after`: the token of the attempt that created it. */
  | { readonly do: 'start'; readonly trail: string; readonly after?: string }
  | {
      readonly do: 'recreate';
      readonly trail: string;
      readonly settings: TrailSettings;
      readonly tags: Readonly<Record<string, string>>;
    }
  | { readonly do: 'restore'; readonly trail: string; readonly settings: TrailSettings }
  | { readonly do: 'select'; readonly trail: string };

interface Seen {
  readonly target: Target;
  readonly name: string;
  /** Undefined: it does not exist. */
  readonly trail: Trail | undefined;
  /** What it must be, as far as anybody says. */
  readonly must: Partial<TrailSettings>;
  /** From where that is known. */
  readonly by: 'as steward.yml declares' | 'as its history says' | 'by the rules that hold for every trail';
  readonly changes: readonly TrailChange[];
  readonly author: string | undefined;
  /** The author is one whose changes the policy takes as intended. */
  readonly intended: boolean;
  readonly tags: Readonly<Record<string, string>> | undefined;
}

/** What any trail must be, whoever made it. */
const RULES: Partial<TrailSettings> = { globalEvents: true, validation: true };

/** What stood for so long before the change that is in question was meant. */
const STOOD = hours(1);

/** The newest settings that stood for a while; of several changes in a row the first has ended them. */
const stood = (changes: readonly TrailChange[], now: Time): TrailSettings | undefined =>
  changes.find((c, i) => c.settings && (changes[i - 1]?.at ?? now) - c.at >= STOOD)?.settings;

const mustBe = (
  name: string,
  changes: readonly TrailChange[],
  { declared: { trails }, now }: Look<Options>,
): Pick<Seen, 'must' | 'by'> => {
  const said = Object.hasOwn(trails, name) ? trails[name] : undefined;
  if (said) {
    const { prefix, kmsKey, restoreBucketPolicy: _, ...rest } = said;
    return {
      must: { ...rest, ...(prefix === undefined ? {} : { prefix }), ...(kmsKey === undefined ? {} : { kmsKey }) },
      by: 'as steward.yml declares',
    };
  }
  const before = stood(changes, now);
  return before
    ? { must: { ...before, ...RULES }, by: 'as its history says' }
    : { must: RULES, by: 'by the rules that hold for every trail' };
};

const observe = async (target: Target, { trails }: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const [trail, changes] = await Promise.all([trails.describe(target.arn), trails.history(name)]);
  const author = look.signal.author ?? changes[0]?.author;
  const known = mustBe(name, changes, look);
  const carried = trail?.tags ?? changes.find((c) => c.tags)?.tags;
  const tags =
    known.by === 'as steward.yml declares'
      ? { [look.tags.managed]: 'true', ...carried, ...managed(carried, look) }
      : carried;
  return {
    target,
    name,
    trail,
    ...known,
    changes,
    author,
    intended: author !== undefined && look.trusts(author),
    tags,
  };
};

/** Declared by name in steward.yml it needs no tag, but a tag that opts it out still does. */
const managed = (carried: Seen['tags'], { tags }: Look<Options>) =>
  carried?.[tags.ignore] === undefined ? {} : { [tags.ignore]: carried[tags.ignore] ?? '' };

const weak = ({ trail, must }: Seen): readonly string[] =>
  trail
    ? [...weakerThan(trail.settings, must), ...(trail.management ? [] : ['it does not record all management events'])]
    : [];

const who = ({ author, changes }: Seen): string => namesOf(author, changes);

const describe = (seen: Seen): string => {
  const { trail, name } = seen;
  if (!trail) return `trail ${name} does not exist (${who(seen)})`;
  const trouble = [...(trail.logging ? [] : ['records nothing']), ...weak(seen)];
  return trouble.length > 0
    ? `trail ${name} ${trouble.join(', ')} (${who(seen)})`
    : `trail ${name} records what it must`;
};

const before = ({ trail }: Seen): Json =>
  trail ? { logging: trail.logging, settings: { ...trail.settings }, management: trail.management } : null;

const facts = ({ name, tags }: Seen): Facts => ({
  tags,
  group: { id: `trail/${name}`, size: 1, zones: {} },
  zone: undefined,
  serving: 'alone',
});

const hands = (seen: Seen): Verdict<Step> | undefined => {
  if (seen.intended)
    return { do: 'nothing', because: `${seen.author} changed it, whom \`trusted\` in steward.yml names` };
  return seen.trail?.organization
    ? {
        do: 'escalate',
        because: `${describe(seen)}; it is the organisation's trail, which only the management account can change`,
        remedy: 'let the management account restore it',
      }
    : undefined;
};

/** The step was taken: CloudTrail shows it within seconds. */
const settling = (look: Look<Options>): Verdict<Step> | undefined => {
  const last = look.attempts.at(-1);
  return last?.outcome?.kind === 'done' && last.effect === undefined
    ? { do: 'wait', until: look.now + seconds(5), because: 'CloudTrail has taken it' }
    : undefined;
};

const failed = (seen: Seen, look: Look<Options>, what: string): Verdict<Step> | undefined => {
  const last = look.attempts.at(-1);
  if (!last || (last.effect !== 'ineffective' && last.outcome?.kind !== 'permanent')) return undefined;
  const why = last.outcome?.kind === 'permanent' ? last.outcome.because : 'CloudTrail took it, and nothing changed';
  return { do: 'escalate', because: `${describe(seen)}; ${what} failed: ${why}`, remedy: 'restore it by hand' };
};

const decideStopped = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const ruled = hands(seen) ?? waitForName(seen.changes, look) ?? settling(look) ?? failed(seen, look, 'restoring it');
  if (ruled) return ruled;
  const { trail, must, name, target } = seen;
  const made = look.attempts.findLast((a) => (a.step as Step).do === 'recreate' && a.effect === 'effective');
  if (trail)
    return {
      do: 'act',
      rung: 'start',
      step: { do: 'start', trail: target.arn, ...(made ? { after: made.token } : {}) },
      plan: `start trail ${name}`,
      because: describe(seen),
      ...(made ? { continues: true } : {}),
    };
  const { bucket } = must;
  if (bucket === undefined)
    return {
      do: 'escalate',
      because: `${describe(seen)}, and neither steward.yml nor CloudTrail's last 90 days say what it was`,
      remedy: `create it again, and declare it in steward.yml: trails.${name}.bucket`,
    };
  if (!seen.tags)
    return {
      do: 'escalate',
      because: `${describe(seen)}, and its tags went with it: nobody can say whether it was Steward's to look after`,
      remedy: `create it again, and declare it in steward.yml: trails.${name}.bucket: ${bucket}`,
    };
  const settings = { multiRegion: true, globalEvents: true, validation: true, ...must, bucket };
  return {
    do: 'act',
    rung: 'recreate',
    step: { do: 'recreate', trail: name, settings, tags: seen.tags ?? {} },
    plan: `create trail ${name} again, into ${bucket}, ${seen.by}`,
    because: describe(seen),
  };
};

const decideWeakened = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  if (!seen.trail) return { do: 'nothing', because: `${describe(seen)}: that is trail-stopped's` };
  const ruled = hands(seen) ?? waitForName(seen.changes, look) ?? settling(look) ?? failed(seen, look, 'restoring it');
  if (ruled) return ruled;
  const { trail, must, name, target } = seen;
  const restore = weakerThan(trail.settings, must).length > 0;
  const settings = { ...trail.settings, ...must };
  return {
    do: 'act',
    rung: restore ? 'restore' : 'select',
    step: restore ? { do: 'restore', trail: target.arn, settings } : { do: 'select', trail: target.arn },
    plan: restore ? `restore trail ${name}, ${seen.by}` : `let trail ${name} record all management events`,
    because: describe(seen),
  };
};

const act = async (step: Step, { trails }: Ports): Promise<Json> => {
  switch (step.do) {
    case 'start':
      await trails.start(step.trail);
      break;
    case 'recreate':
      await trails.create(step.trail, step.settings, step.tags);
      break;
    case 'restore':
      await trails.update(step.trail, step.settings);
      break;
    case 'select':
      await trails.recordManagement(step.trail);
  }
  return { trail: step.trail };
};

/** CloudTrail shows a change within seconds. */
const SHOWS = minutes(2);
const effect =
  (done: (seen: Seen, step: Step) => boolean) =>
  (attempt: Attempt<Step>, seen: Seen, look: Look<Options>): Effect =>
    done(seen, attempt.step) ? 'effective' : look.now - attempt.reservedAt < SHOWS ? 'pending' : 'ineffective';

const READS: readonly Permission[] = [
  {
    for: 'look',
    actions: ['cloudtrail:DescribeTrails', 'cloudtrail:GetTrailStatus', 'cloudtrail:LookupEvents'],
    resources: ['*'],
  },
  {
    for: 'look',
    actions: ['cloudtrail:GetEventSelectors', 'cloudtrail:ListTags'],
    resources: ['arn:*:cloudtrail:*:*:trail/*'],
  },
];
const common = {
  targets: 'arn:*:cloudtrail:*:*:trail/*',
  options,
  observe,
  facts,
  describe,
  act,
  touches: () => [],
  before,
  risk: 'harmless' as const,
};
const found = (kind: Signal['kind'], arn: string, now: Time, what: string): Signal => ({
  kind,
  target: targetOf(arn),
  at: now,
  cause: `survey: ${what}`,
  eventId: `survey:${arn}:${kind}@${iso(now).slice(0, 13)}`,
});

/** Declared trails that are not here. One of which this region has no record is another region's, or was never made: nobody took it away. */
const lostOf = async (
  names: readonly string[],
  own: readonly { readonly name: string }[],
  { trails, where }: Ports,
): Promise<readonly string[]> => {
  const missing = names.filter((name) => !own.some((t) => t.name === name));
  const known = await Promise.all(missing.map(async (name) => (await trails.history(name)).length > 0));
  const arnOf = (name: string) =>
    `arn:${partitionOf(where.region)}:cloudtrail:${where.region}:${where.account}:trail/${name}`;
  return missing.filter((_, i) => known[i]).map(arnOf);
};

export const trailStopped = defineRemediation<Seen, Step, Options>({
  ...common,
  name: 'trail-stopped',
  title:
    'starts a CloudTrail trail again that was stopped, and creates one again that was deleted, and names who did it',
  about: `Within seconds of \`StopLogging\` or \`DeleteTrail\`. A deleted trail comes back as \`trails\` in steward.yml declares it, else as CloudTrail's own
history says it was; where neither knows, a person is told. What a principal in \`trusted\` did is left alone. The same again within a day is not put back a second
time: somebody is at odds with Steward, and a person is told who. One that records but **cannot write** is \`trail-undelivered\`'s. It never touches the organisation's trail.`,
  answers: ['trail.stopped'],
  ladder: { start: 'start logging', recreate: 'create the trail again, then start it' },
  attemptsPerDay: 4,
  permissions: [
    ...READS,
    {
      for: 'act',
      actions: ['cloudtrail:StartLogging', 'cloudtrail:CreateTrail', 'cloudtrail:AddTags'],
      resources: ['arn:*:cloudtrail:*:*:trail/*'],
    },
  ],
  survey: async (ports, { now, declared }) => {
    const own = await ports.trails.own();
    const lost = await lostOf(Object.keys(declared.trails), own, ports);
    return [
      ...own.filter((t) => !t.logging).map((t) => found('trail.stopped', t.arn, now, `${t.name} is stopped`)),
      ...lost.map((arn) => found('trail.stopped', arn, now, `${arn} is declared, and does not exist`)),
    ];
  },
  isHealthy: ({ trail }) => trail?.logging === true,
  decide: decideStopped,
  effect: effect(({ trail }, step) => (step.do === 'recreate' ? trail !== undefined : trail?.logging === true)),
  noUndo: 'a trail that must record is not stopped; if it was meant, name its author in `trusted`, or pause the target',
});

export const trailWeakened = defineRemediation<Seen, Step, Options>({
  ...common,
  name: 'trail-weakened',
  title: 'restores a CloudTrail trail that records less than it must, and names who changed it',
  about: `After \`UpdateTrail\` and \`PutEventSelectors\`: all regions, global services, log file validation, all management events, and bucket, prefix and key as
\`trails\` in steward.yml declares them, else as they stood in CloudTrail's history for an hour at least. Data event selectors stay as they are; delivery to CloudWatch Logs is not
restored. What a principal in \`trusted\` did is left alone, and the same again within a day goes to a person.`,
  answers: ['trail.weakened'],
  ladder: { restore: 'bucket, key, regions, global services, validation', select: 'all management events' },
  attemptsPerDay: 4,
  permissions: [
    ...READS,
    {
      for: 'act',
      actions: ['cloudtrail:UpdateTrail', 'cloudtrail:PutEventSelectors'],
      resources: ['arn:*:cloudtrail:*:*:trail/*'],
    },
  ],
  survey: async ({ trails }, { now, declared }) =>
    (await trails.own()).flatMap(({ arn, name, settings }) => {
      const must = {
        ...RULES,
        ...(Object.hasOwn(declared.trails, name) ? declared.trails[name] : {}),
      } as Partial<TrailSettings>;
      const weaker = weakerThan(settings, must);
      return weaker.length > 0 ? [found('trail.weakened', arn, now, `${name}: ${weaker.join(', ')}`)] : [];
    }),
  isHealthy: (seen) => seen.trail !== undefined && weak(seen).length === 0,
  decide: decideWeakened,
  effect: effect(({ trail, must }, step) =>
    step.do === 'select' ? trail?.management === true : !!trail && weakerThan(trail.settings, must).length === 0,
  ),
  noUndo: 'what was weaker is not wanted back; if it was meant, name its author in `trusted`, or pause the target',
});
