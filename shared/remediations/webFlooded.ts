import * as z from 'zod/mini';
import { undefinedIfGone } from '../core/errors.ts';
import type { Point } from '../core/forecast.ts';
import { type Attempt, unjudged } from '../core/incident.ts';
import { countOf } from '../core/loadBalancers.ts';
import { option } from '../core/option.ts';
import type { Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look, type Scan } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { type Target, targetOf } from '../core/target.ts';
import { hours, iso, minutes, seconds, span } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { type AclRule, aclNameOf, BLOCK, isCounting, requestsOf, type Sources, type WebAcl } from '../core/webAcls.ts';
import { plural } from '../core/words.ts';

const percent = (given: number, about: string) => option(z.number().check(z.gte(0.1), z.lte(100)), given, about);
const options = z.strictObject({
  rules: option(
    z.array(z.string().check(z.minLength(1), z.maxLength(128))).check(z.maxLength(100)),
    [],
    'Names of rate-based rules that may be set from Count to Block, and back; `*`: each of a web ACL that carries the tag',
  ),
  harmPercent: percent(
    5,
    'So much of the requests to its load balancers must fail (5xx), or connections be turned away: what harms nobody is let be',
  ),
  floodPercent: percent(
    20,
    'So much of all requests must be over the limit of the rule: else it is not those that harm',
  ),
  normalPercent: percent(
    1,
    'A rule that counted more than this of all requests in the day before would block people of every day, and is not set to Block',
  ),
  calmMinutes: option(
    z.int().check(z.gte(15), z.lte(120)),
    30,
    'So long hardly anything must be over the limit; then the rule counts again',
  ),
});
type Options = z.output<typeof options>;

type Step = {
  readonly do: 'block' | 'count';
  readonly acl: string;
  readonly rule: string;
  /** Of the rule as it was seen, but for what it does. */
  readonly print: string;
  readonly from: Json;
  readonly to: Json;
  readonly refers: readonly string[];
  /** Requests of a quarter of an hour that were under the limit when it was set to Block. */
  readonly through: number;
  /** Why it counts again: the flood is over, or others were blocked as well. */
  readonly why: 'flood' | 'calm' | 'others';
};

/** Sums. */
interface Counted {
  /** Over the limit of the rule, whether counted or blocked. */
  readonly over: number;
  readonly all: number;
}
interface Seen {
  readonly target: Target;
  readonly tags: Readonly<Record<string, string>>;
  readonly uncovered: string | undefined;
  readonly acl: WebAcl | undefined;
  /** The one that was set, or of those that could be the one that counts most. */
  readonly rule: AclRule | undefined;
  readonly lately: Counted & { readonly allowed: number };
  /** In as long as it must be calm. */
  readonly calm: Counted;
  /** In the day before the incident, up to an hour before it; `known`: hours of which anything is known. */
  readonly day: Counted & { readonly known: number };
  /** At the load balancers that it guards, lately. */
  readonly doors: {
    readonly count: number;
    readonly requests: number;
    readonly failed: number;
    readonly rejected: number;
  };
  readonly sources: Sources | undefined;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const LATELY = minutes(15);
const PERIOD = minutes(5);
/** Fewer in a quarter of an hour are no flood, whatever part they are. */
const ENOUGH = 500;
/** So many hours must be known of the day before. */
const HOURS = 6;

const COUNTS = [
  'RequestCount',
  'HTTPCode_ELB_5XX_Count',
  'HTTPCode_Target_5XX_Count',
  'RejectedConnectionCount',
] as const;

const NOTHING = { over: 0, all: 0, allowed: 0, known: 0 };
const UNSEEN = {
  acl: undefined,
  rule: undefined,
  lately: NOTHING,
  calm: NOTHING,
  day: NOTHING,
  doors: { count: 0, requests: 0, failed: 0, rejected: 0 },
  sources: undefined,
};

/** Rules that could be set: they count by sources, on Count, and are measured. */
const candidates = ({ rules }: WebAcl): readonly AclRule[] =>
  rules.filter((r) => r.rate !== undefined && r.rate.by !== 'all' && r.metric !== undefined && isCounting(r));

const sumSince = (points: readonly Point[] = [], since: number): number =>
  points.filter((p) => p.at >= since).reduce((sum, p) => sum + p.value, 0);

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const { webAcls, metrics } = ports;
  const [acl, tags] = await Promise.all([webAcls.describe(target.arn), webAcls.tags(target.arn)]);
  const uncovered = look.uncovered(tags);
  const bare: Seen = { ...UNSEEN, target, tags, uncovered, acl };
  if (uncovered !== undefined) return bare;
  const set = moves(look).at(-1)?.step.rule;
  const some = acl.rules.filter((r) => r.name === set);
  const asked = set === undefined ? candidates(acl) : some;
  const balancers = await webAcls.balancersOf(target.arn);
  const { now, options: o } = look;
  const of = (rule: string | undefined, what: 'Counted' | 'Blocked' | 'Allowed') =>
    requestsOf(acl, rule, `${what}Requests`, target.region);
  const whole = [of('ALL', 'Allowed'), of('ALL', 'Blocked')];
  const [allowed, blocked, ...rest] = await metrics.exactly(
    [
      ...whole,
      ...asked.flatMap((r) => [of(r.metric, 'Counted'), of(r.metric, 'Blocked')]),
      ...balancers.flatMap((b) => COUNTS.map((name) => countOf(b, name))),
    ],
    { from: now - minutes(o.calmMinutes) - LATELY, to: now, period: PERIOD },
  );
  const atDoors = rest.slice(2 * asked.length);
  const over = (i: number, since: number): number =>
    sumSince(rest[2 * i], now - since) + sumSince(rest[2 * i + 1], now - since);
  const most = asked.map((_, i) => i).sort((a, b) => over(b, LATELY) - over(a, LATELY))[0];
  const rule = most === undefined ? undefined : asked[most];
  const all = (since: number): number => sumSince(allowed, now - since) + sumSince(blocked, now - since);
  const summed = (since: number): Counted => ({ over: most === undefined ? 0 : over(most, since), all: all(since) });
  const at = (name: (typeof COUNTS)[number]): number =>
    balancers.reduce((sum, _, i) => sum + sumSince(atDoors[i * COUNTS.length + COUNTS.indexOf(name)], now - LATELY), 0);
  const failed = at('HTTPCode_ELB_5XX_Count');
  const seen: Seen = {
    ...bare,
    rule,
    lately: { ...summed(LATELY), allowed: sumSince(allowed, now - LATELY) },
    calm: summed(minutes(o.calmMinutes)),
    doors: {
      count: balancers.length,
      // What it answers itself without having found a target is in no RequestCount.
      requests: at('RequestCount') + failed,
      failed: failed + at('HTTPCode_Target_5XX_Count'),
      rejected: at('RejectedConnectionCount'),
    },
  };
  return rule && (isFlood(seen, look) || set !== undefined)
    ? { ...seen, ...(await whoAndBefore(seen, rule, ports, look)) }
    : seen;
};

const whoAndBefore = async (
  { acl, target }: Seen,
  rule: AclRule,
  { webAcls, metrics }: Ports,
  { now, openedAt }: Look<Options>,
): Promise<Pick<Seen, 'day' | 'sources'>> => {
  if (!acl) return { day: NOTHING, sources: undefined };
  const to = Math.min(now, openedAt) - hours(1);
  const of = (name: string | undefined, what: 'Counted' | 'Blocked' | 'Allowed') =>
    requestsOf(acl, name, `${what}Requests`, target.region);
  const [sources, [counted, stopped, allowed = [], blocked]] = await Promise.all([
    webAcls.sources(acl, rule, { from: now - LATELY, to: now }),
    metrics.exactly(
      [of(rule.metric, 'Counted'), of(rule.metric, 'Blocked'), of('ALL', 'Allowed'), of('ALL', 'Blocked')],
      { from: to - hours(24), to, period: hours(1) },
    ),
  ]);
  return {
    sources,
    day: {
      over: sumSince(counted, 0) + sumSince(stopped, 0),
      all: sumSince(allowed, 0) + sumSince(blocked, 0),
      known: allowed.length,
    },
  };
};

// ---- what is seen -----------------------------------------------------------------------------------------------------------------------

type Past = readonly Attempt<Step>[];
const moves = ({ attempts }: Pick<Look<Options>, 'attempts'>): Past =>
  (attempts as Past).filter((a) => a.undoes === undefined);
/** Changes that are known to have been carried out. */
const made = (look: Look<Options>): Past => moves(look).filter((a) => a.effect === 'effective');

const share = ({ over, all }: Counted): number => (all > 0 ? (100 * over) / all : 0);
const isFlood = ({ lately }: Pick<Seen, 'lately'>, { options: o }: Pick<Look<Options>, 'options'>): boolean =>
  lately.over >= ENOUGH && share(lately) >= o.floodPercent;
const failing = ({ doors: { requests, failed } }: Seen): number => (requests > 0 ? (100 * failed) / requests : 0);
const isHarmed = (seen: Seen, { options: o }: Look<Options>): boolean =>
  seen.doors.rejected > 0 || failing(seen) >= o.harmPercent;

const isHealthy = (seen: Seen, look: Look<Options>): boolean =>
  seen.uncovered === undefined &&
  !unjudged(look.attempts) &&
  made(look).at(-1)?.step.do !== 'block' &&
  (spared(look) || share(seen.calm) < look.options.normalPercent) &&
  !(isFlood(seen, look) && isHarmed(seen, look));
/** Where others were blocked as well it stays with a person until it is calm: nothing may set it to Block again. */
const spared = (look: Look<Options>): boolean => made(look).at(-1)?.step.why !== 'others';

const rounded = (n: number): string => (n > 0 && n < 10 ? n.toFixed(1) : String(Math.round(n)));

const sourcesText = ({ sources }: Seen): string => {
  if (!sources) return '';
  const { over, top } = sources;
  const many = over === undefined ? '' : `; ${plural(over, 'address')} over it now`.replace('addresss', 'addresses');
  const who = top.map((t) => `${t.address} (${t.country}) ${t.percent} % by ${plural(t.agents, 'user agent')}`);
  return `${many}${who.length > 0 ? `; of a sample ${who.join(', ')}` : ''}`;
};

const describe = (seen: Seen, look: Look<Options>): string => {
  const { acl, target, uncovered, rule, lately, day, doors } = seen;
  const name = `the web ACL ${aclNameOf(target)}`;
  if (uncovered !== undefined || !acl) return `${name} is not looked into: ${uncovered}`;
  const set = moves(look).at(-1)?.step.rule;
  if (!rule)
    return set === undefined
      ? `${name} has no rate-based rule on Count that is measured`
      : `${name} has no rule ${set} any more`;
  const before = day.known > 0 ? `, in the day before ${rounded(share(day))} %` : '';
  const over = `${lately.over} of ${plural(lately.all, 'request')} in the last ${span(LATELY)} were over the limit of its rule ${rule.name} (${rounded(share(lately))} %${before})`;
  const harm =
    doors.count === 0
      ? '; it guards no Application Load Balancer'
      : `; behind it ${rounded(failing(seen))} % of the requests failed${doors.rejected > 0 ? `, and ${plural(doors.rejected, 'connection')} were turned away` : ''}`;
  return `${name}: ${over}${sourcesText(seen)}${harm}`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

/** A change of a rule is everywhere within minutes, and is counted a minute later. */
const SHOWS = minutes(20);
/** Within this it is judged whether others were blocked as well: later there are other reasons for fewer requests. */
const JUDGED = hours(1);
const TRIES = 3;

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  if (seen.uncovered !== undefined) return { do: 'nothing', because: seen.uncovered };
  const is = describe(seen, look);
  const running = unjudged(look.attempts);
  if (running)
    return { do: 'wait', until: look.now + seconds(20), because: `${is}: ${running.plan} does not show yet` };
  const last = made(look).at(-1);
  return last?.step.do === 'block' ? blocking(seen, last, look, is) : counting(seen, look, is);
};

/** The rule blocks, for it was set to. */
const blocking = (seen: Seen, { step, reservedAt }: Attempt<Step>, look: Look<Options>, is: string): Verdict<Step> => {
  const { rule, lately, calm } = seen;
  const { now, options: o } = look;
  if (!rule || rule.print !== step.print || !isSame(rule.action, step.to))
    return {
      do: 'nothing',
      because: `${is}: Steward had set it to Block, and somebody has changed it since: it is left as it is`,
    };
  const since = now - reservedAt;
  if (since >= SHOWS && since < JUDGED && lately.allowed < step.through / 2)
    return back(
      seen,
      step,
      'others',
      `${is}; only ${lately.allowed} were let through, where ${step.through} had kept the limit before: it blocks others as well`,
    );
  if (since >= minutes(o.calmMinutes) + SHOWS / 4 && share(calm) < o.normalPercent)
    return back(seen, step, 'calm', `${is}; that is over`);
  return since >= SHOWS && isHarmed(seen, look)
    ? { do: 'escalate', because: `${is}, ${span(since)} after the rule was set to Block`, remedy: lookWhy(seen) }
    : {
        do: 'wait',
        idle: true,
        until: now + minutes(5),
        because: `${is}; the rule blocks until it is calm for ${o.calmMinutes} min`,
      };
};

const isSame = (a: Json, b: Json): boolean => JSON.stringify(a) === JSON.stringify(b);

const back = ({ target, acl }: Seen, step: Step, why: 'calm' | 'others', because: string): Verdict<Step> => ({
  do: 'act',
  rung: 'count',
  step: { ...step, do: 'count', from: step.to, to: step.from, refers: acl?.refers ?? step.refers, why },
  plan: `set the rule ${step.rule} of the web ACL ${aclNameOf(target)} back to Count`,
  because,
  recovers: true,
  continues: true,
});

const counting = (seen: Seen, look: Look<Options>, is: string): Verdict<Step> => {
  const { target, acl, rule, lately, day } = seen;
  const why = rule && acl ? declined(seen, rule, acl, look) : 'it is gone';
  if (why !== undefined || !rule || !acl)
    return { do: 'escalate', because: `${is}; ${why}`, remedy: rule ? remedyOf(seen, rule, look) : lookWhy(seen) };
  return {
    do: 'act',
    rung: 'block',
    step: {
      do: 'block',
      acl: target.arn,
      rule: rule.name,
      print: rule.print,
      from: rule.action,
      to: BLOCK,
      refers: acl.refers,
      through: Math.max(0, lately.all - lately.over),
      why: 'flood',
    },
    plan: `set the rule ${rule.name} of the web ACL ${aclNameOf(target)} from Count to Block`,
    because: is,
    ...(day.known < HOURS || day.all < ENOUGH
      ? { asks: 'of the day before too little is known to say whom else it would block' }
      : {}),
  };
};

/** Why the rule is not set to Block. */
const declined = (seen: Seen, rule: AclRule, acl: WebAcl, look: Look<Options>): string | undefined => {
  const { day } = seen;
  const { options: o } = look;
  if (acl.managed) return 'it belongs to Firewall Manager, which would set it back';
  if (!o.rules.includes('*') && !o.rules.includes(rule.name)) return 'the policy does not name that rule';
  if (share(day) > o.normalPercent)
    return `in the day before it counted ${rounded(share(day))} % of all requests, and would block people of every day; ${o.normalPercent} % is what is allowed`;
  const last = made(look).at(-1);
  if (last?.step.why === 'others') return 'it was set to Block, and others were blocked as well';
  const tried = moves(look).filter((a) => a.step.do === 'block');
  const refused = tried.at(-1)?.outcome;
  if (refused?.kind === 'permanent') return `AWS declined it: ${refused.because}`;
  return tried.length >= TRIES ? `it was set to Block ${tried.length} times` : undefined;
};

const remedyOf = (seen: Seen, rule: AclRule, { options: o }: Look<Options>): string =>
  o.rules.includes('*') || o.rules.includes(rule.name) || seen.acl?.managed
    ? lookWhy(seen)
    : `look who that is, and set it to Block by hand, or name it: remediations.web-flooded.rules: [${rule.name}]`;

const lookWhy = ({ target, rule }: Seen): string =>
  `look who that is: aws wafv2 get-sampled-requests --scope REGIONAL --web-acl-arn ${target.arn} --rule-metric-name ${rule?.metric ?? '…'} --max-items 500 --time-window …; a limit that is higher or counts by more than the address spares people behind one`;

// ---- act and effect ---------------------------------------------------------------------------------------------------------------------

const set = async ({ acl, rule, print }: Step, from: Json, to: Json, { webAcls }: Pick<Ports, 'webAcls'>) => {
  await webAcls.setAction(acl, { rule, print, from, to });
  return { rule, to };
};

const effect = ({ step, reservedAt, effect: was }: Attempt<Step>, { rule }: Seen, { now }: Look<Options>): Effect => {
  // It was so: what is otherwise since, somebody else has done.
  if (was === 'effective') return was;
  if (rule?.print === step.print && isSame(rule.action, step.to)) return 'effective';
  return now - reservedAt < minutes(2) ? 'pending' : 'ineffective';
};

// ---- survey -----------------------------------------------------------------------------------------------------------------------------

/** Web ACLs that it is for, of which a rule has counted anything lately. */
const survey = async ({ webAcls, metrics, where }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const alarmed = (await at.firing()).filter((s) => s.kind === 'web.flooded');
  const found: Signal[] = [];
  for (const { arn, name } of await webAcls.list()) {
    const tags = await webAcls.tags(arn).catch(undefinedIfGone);
    if (!tags || at.uncovered(tags) !== undefined) continue;
    const acl = await webAcls.describe(arn).catch(undefinedIfGone);
    const rules = acl ? candidates(acl) : [];
    if (!acl || rules.length === 0) continue;
    const asked = rules.map((r) => requestsOf(acl, r.metric, 'CountedRequests', where.region));
    const counted = await metrics.exactly(asked, { from: at.now - LATELY, to: at.now, period: PERIOD });
    if (counted.every((points) => sumSince(points, 0) < ENOUGH)) continue;
    found.push({
      kind: 'web.flooded',
      target: targetOf(arn),
      at: at.now,
      cause: `survey: many requests are over the limit of a rule of the web ACL ${name}`,
      eventId: `survey:${arn}:flooded@${iso(at.now).slice(0, 13)}`,
      routine: true,
    });
  }
  return [...alarmed, ...found];
};

/** What its alarms call by the name of a metric, which is the name of the web ACL unless somebody chose another. */
const byMetric = async (target: Target, { webAcls }: Ports): Promise<readonly Target[]> => {
  const all = await Promise.all((await webAcls.list()).map(({ arn }) => webAcls.describe(arn).catch(undefinedIfGone)));
  return all.flatMap((a) => (a?.metric === aclNameOf(target) ? [targetOf(a.arn)] : []));
};

export const webFlooded = defineRemediation<Seen, Step, Options>({
  name: 'web-flooded',
  title:
    'sets a rate-based rule of a web ACL from Count to Block while a flood harms what it guards, and back when it is calm',
  about: `Where requests over the limit of a rate-based rule that only counts are \`floodPercent\` of all, **and** what the web ACL guards suffers (\`harmPercent\` of the requests fail, or its load balancer turns connections
away), that rule is set to **block**; when it has been calm for \`calmMinutes\` it is set back to **count**, as it was. Only of a web ACL that carries the tag, and only rules that \`rules\` names. It says how many requests that is, of how many addresses, and which send most.
It refuses where the rule counted more than \`normalPercent\` of all requests in the day before: that would block people of every day, such as many behind one address; where too little is known of that day a person is asked. If less than half of what had kept
the limit is let through afterwards, the rule is set back at once. Nothing else of the web ACL is changed: it is saved whole, with its lock, and not at all if it has settings that this version does not know, or if the rule is not what was seen. A rule that somebody else has changed is left.
It touches no rule that takes all requests together, none of a rule group, and no web ACL of Firewall Manager. A flood that is not over a limit it does not see: it has no rules of its own.`,
  answers: ['web.flooded'],
  risk: 'interrupts',
  risks: { count: 'harmless' },
  targets: 'arn:*:wafv2:*:*:regional/webacl/*/*-*-*-*-*',
  ladder: {
    block: 'requests over the limit of the rule',
    count: 'them only, again',
  },
  attemptsPerDay: 6,
  inStorms: false,
  permissions: [
    {
      for: 'look',
      actions: [
        'wafv2:ListWebACLs',
        'wafv2:GetWebACL',
        'wafv2:GetWebACLForResource',
        'wafv2:ListTagsForResource',
        'cloudwatch:GetMetricData',
      ],
      resources: ['*'],
    },
    {
      for: 'look',
      actions: ['wafv2:ListResourcesForWebACL', 'wafv2:GetRateBasedStatementManagedKeys', 'wafv2:GetSampledRequests'],
      resources: ['arn:*:wafv2:*:*:regional/webacl/*/*'],
    },
    {
      for: 'act',
      actions: ['wafv2:UpdateWebACL'],
      resources: ['arn:*:wafv2:*:*:regional/webacl/*/*'],
      whenTagged: 'aws:ResourceTag',
    },
    // What its rules refer to: saving the web ACL asks for them as well, and changes none of them.
    {
      for: 'act',
      actions: ['wafv2:UpdateWebACL'],
      resources: ['managedruleset', 'rulegroup', 'ipset', 'regexpatternset'].map(
        (type) => `arn:*:wafv2:*:*:regional/${type}/*/*`,
      ),
    },
  ],
  options,
  survey,
  locate: {
    loadbalancer: async ({ arn }, { webAcls }) => {
      const acl = await webAcls.guarding(arn).catch(undefinedIfGone);
      return acl === undefined ? [] : [targetOf(acl)];
    },
    regional: byMetric,
  },
  observe,
  facts: ({ target, tags }) => ({
    tags,
    group: { id: `web-acl/${aclNameOf(target)}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe,
  isHealthy,
  decide,
  act: (step, ports) => set(step, step.from, step.to, ports),
  touches: ({ refers }) => refers,
  before: () => null,
  effect,
  undo: ({ step }, ports) => set(step, step.to, step.from, ports),
});
