import * as z from 'zod/mini';
import type { ContainerTask } from '../core/containers.ts';
import { NotFound } from '../core/errors.ts';
import { zonesNow } from '../core/evening.ts';
import type { Attempt } from '../core/incident.ts';
import { option } from '../core/policy.ts';
import type { Ports } from '../core/ports.ts';
import {
  defineRemediation,
  type Facts,
  type Kind,
  type Look,
  type Remediation,
  type Scan,
} from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { statesOf, type ZoneIds, zoneIdOf } from '../core/spread.ts';
import { idOf, type Target, zoneTarget } from '../core/target.ts';
import { iso, minutes, span, type Time } from '../core/time.ts';
import type { Verdict } from '../core/verdict.ts';
import { plural } from '../core/words.ts';
import type { Zone } from '../core/zoneBounds.ts';
import { type ShiftNews, sightNews } from '../core/zoneShifts.ts';
import { type AnyStart, LATENCY_PAST, latencySign, launchSignOfAll } from '../core/zoneSigns.ts';
import type { Sign } from '../core/zoneStates.ts';
import type { Plan } from '../core/zones.ts';
import { evacuatedSince, OF_ZONES, onceFor, RUNGS } from '../core/zoneTold.ts';
import { groupUneven } from './groupUneven.ts';
import { serviceUneven } from './serviceUneven.ts';

const options = z.strictObject({
  evacuate: option(
    z.boolean(),
    true,
    'Let workloads leave a zone that is impaired, into room that is there already or serves first; false: they stay, and a person is told',
  ),
  suspectMinutes: option(
    z.int().check(z.gte(5), z.lte(1440)),
    60,
    'So long there may be one sign of trouble before a person is told. Meanwhile nothing is moved into the zone or out of it',
  ),
  latencyOf: option(
    z.array(z.string().check(z.regex(/^app\/[\w-]{1,32}\/[0-9a-f]{16}$/))).check(z.maxLength(20)),
    [],
    'Application Load Balancers, as their ARNs end (app/web/50dc6c495c0c9188), by whose answers a slow zone is known: the last minutes against its own last three hours and against the other zones. Each costs about $0.09 a month and zone',
  ),
});
type Options = z.output<typeof options>;

/** A decision: those who spread workloads over zones go by it. `since`: once for each impairment. */
type Step = { readonly do: 'evacuate'; readonly what: Kind; readonly zone: string; readonly since: Time };

interface Seen {
  readonly zone: Zone;
  readonly name: string;
  /** All that are impaired now. */
  readonly impaired: readonly Zone[];
  /** Of the workloads that serve there, as if the zone were evacuated, where it may be. Empty unless it is impaired. */
  readonly plans: readonly (Plan & { readonly kind: Kind })[];
  /** There are more than were looked into. */
  readonly more: boolean;
}

// ---- observe ------------------------------------------------------------------------------------------------------------------------------

/** Those who spread workloads over zones: what they see, and what they would do. */
const SPREADING: readonly (readonly [Kind, Remediation])[] = [
  ['services', serviceUneven],
  ['groups', groupUneven],
];

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const { zones, states } = await zonesNow(ports, look, { waves: [], of: 'services' });
  const [name] = Object.entries(zones).find(([, zone]) => zone === id) ?? [];
  const zone = states.find((s) => s.id === id);
  if (name === undefined || !zone) throw new NotFound(`this account has no zone ${id} in ${target.region}`);
  const impaired = states.filter((s) => s.state === 'IMPAIRED');
  const bare: Seen = { zone, name, impaired, plans: [], more: false };
  return zone.state === 'IMPAIRED' ? { ...bare, ...(await picture(zone, ports, look)) } : bare;
};

const picture = async (zone: Zone, ports: Ports, look: Look<Options>): Promise<Pick<Seen, 'plans' | 'more'>> => {
  const { now, options: o } = look;
  const toldOf = onceFor(async (ids) => {
    const told = await look.toldOf(ids);
    const own = told[zone.id];
    if (!own || !o.evacuate) return told;
    return { ...told, [zone.id]: { ...own, evacuated: { services: now, groups: now, ...own.evacuated } } };
  });
  const found = await Promise.all(
    SPREADING.map(async ([kind, r]) => {
      const settings = look.declared.remediations?.[r.name];
      if (!r.zones || !settings || settings.mode === 'off') return { plans: [], more: false };
      const seen = await r.zones(ports, { ...look, attempts: [], options: settings.options, toldOf }, undefined);
      return { plans: seen.plans.map((p) => ({ ...p, kind })), more: seen.more };
    }),
  );
  const plans = found.flatMap((f) => f.plans).filter((p) => thereOf(p, zone) > 0);
  return {
    plans: plans.sort((a, b) => (a.workload < b.workload ? -1 : 1)),
    more: found.some((f) => f.more),
  };
};

// ---- what is seen -------------------------------------------------------------------------------------------------------------------------

const rowOf = ({ zones }: Plan, { id }: Zone) => zones.find((x) => x.zone === id);
const thereOf = (plan: Plan, zone: Zone): number => rowOf(plan, zone)?.before ?? 0;
/** It can be led out of it: all that holds it there has a place elsewhere. */
const leaves = (plan: Plan, zone: Zone): boolean => {
  const row = rowOf(plan, zone);
  return (plan.do === 'move' || plan.do === 'hosts') && row !== undefined && row.after < row.before;
};

const isText = ({ zone, name }: Seen): string =>
  `${zone.id} (${name}) is ${zone.state}${zone.since === undefined ? '' : ` since ${iso(zone.since)}`}: ${zone.because ?? 'no reason is known'}`;

/** A message has so much room. */
const MOST_SAID = 8;
const some = (said: readonly string[]): string =>
  [...said.slice(0, MOST_SAID), ...(said.length > MOST_SAID ? [`${said.length - MOST_SAID} more`] : [])].join(', ');

/** 'shop/web 3 of 9 (losing it leaves 6)'. */
const headOf = (plan: Plan, zone: Zone): string => {
  const there = thereOf(plan, zone);
  return `${plan.workload} ${there} of ${plan.desired} (losing it leaves ${Math.max(0, plan.zones.reduce((n, x) => n + x.before, 0) - there)})`;
};

const servesText = ({ zone, plans, more }: Seen): string => {
  if (zone.state !== 'IMPAIRED') return '';
  if (plans.length === 0) return '; nothing that the policy covers serves there';
  const all = more ? ', and there are more than were looked into' : '';
  return `; ${plural(plans.length, 'workload')} ${plans.length === 1 ? 'serves' : 'serve'} there: ${some(plans.map((p) => headOf(p, zone)))}${all}`;
};

const describe = (seen: Seen): string => `${isText(seen)}${servesText(seen)}`;

// ---- decide -------------------------------------------------------------------------------------------------------------------------------

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const is = isText(seen);
  const { now, openedAt, options: o } = look;
  switch (seen.zone.state) {
    case 'IMPAIRED':
      return seen.impaired.length > 1 ? frozen(seen, look) : evacuating(seen, look);
    case 'RECOVERING':
      return idly(`${is}; workloads come back in steps`, look);
    case 'SUSPECT':
      return now - openedAt < minutes(o.suspectMinutes)
        ? idly(`${is}; one sign is no proof: what is there stays, and nothing is started there`, look)
        : {
            do: 'escalate',
            because: `${is}, for ${span(now - openedAt)}; what is there stays, and nothing is started there`,
            remedy: LOOK_YOURSELF,
          };
    case 'OK':
      return { do: 'nothing', because: is };
  }
};

const LOOK_YOURSELF =
  'look at the zone yourself (AWS Health, the targets of load balancers by zone); steward zones shows what runs where, and what stands in the way';

const idly = (because: string, { now }: Pick<Look<Options>, 'now'>): Verdict<Step> => ({
  do: 'wait',
  until: now + minutes(2),
  because,
  idle: true,
});

/** One of them tells it of all: the one that fell last. */
const frozen = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const [last] = [...seen.impaired].sort((a, b) => (b.since ?? 0) - (a.since ?? 0) || (a.id < b.id ? 1 : -1));
  const ids = seen.impaired.map((x) => x.id).sort();
  const because = `${ids.join(' and ')} are impaired at once: one cause, or wrong signs; nothing is moved over zones until one of them is left`;
  if (last && last.id !== seen.zone.id) return idly(`${because}; the incident of ${last.id} tells of it`, look);
  return { do: 'escalate', because: `${because}; ${describe(seen)}`, remedy: LOOK_YOURSELF };
};

const evacuating = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { zone, plans } = seen;
  const is = isText(seen);
  if (plans.length === 0 && !seen.more) return idly(describe(seen), look);
  const going = plans.filter((p) => leaves(p, zone));
  const staying = plans.filter((p) => !leaves(p, zone));
  const decided = evacuatedSince({ attempts: look.attempts });
  const stays = staying.map((p) => `${headOf(p, zone)}: ${p.because}`);
  const next = KINDS.find((k) => decided[k] === undefined && going.some((p) => p.kind === k));
  if (look.options.evacuate && next !== undefined) return deciding(next, going, seen, look);
  const said = [
    is,
    ...(going.length > 0 ? [`leaving: ${some(going.map((p) => headOf(p, zone)))}`] : []),
    ...(stays.length > 0 ? [`staying: ${some(stays)}`] : []),
    ...(look.options.evacuate ? [] : ['the policy lets nothing leave (evacuate)']),
  ];
  return {
    do: 'escalate',
    because: said.join('; '),
    remedy:
      going.length > 0
        ? 'nothing, for what leaves; give what stays room in other zones, and it leaves too. steward undo ends the evacuation'
        : LOOK_YOURSELF,
  };
};

const KINDS: readonly Kind[] = ['services', 'groups'];
const HOW: Readonly<Record<Kind, string>> = {
  services: 'each by starting elsewhere before it stops there',
  groups: 'each by instances that are launched elsewhere and serve, before those there are terminated',
};

const deciding = (what: Kind, going: Seen['plans'], seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { zone } = seen;
  const of = going.filter((p) => p.kind === what).map((p) => p.workload);
  return {
    do: 'act',
    rung: RUNGS[what],
    step: { do: 'evacuate', what, zone: zone.id, since: zone.since ?? look.openedAt },
    plan: `let ${some(of)} leave ${zone.id}, ${HOW[what]}`,
    because: describe(seen),
  };
};

// ---- survey -------------------------------------------------------------------------------------------------------------------------------

const survey = async ({ instances, health, where }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const [zones, issues] = await Promise.all([instances.zones(), health.issues()]);
  const told = await at.toldOf(Object.values(zones));
  return statesOf(zones, { issues, told, waves: [], of: 'services' }, at.now)
    .filter(({ state }) => state === 'SUSPECT' || state === 'IMPAIRED')
    .map(({ id, state, because, since }) => ({
      kind: 'zone.impaired' as const,
      target: zoneTarget(where, id),
      at: at.now,
      cause: `survey: ${id} is ${state}: ${because ?? 'no reason is known'}`,
      eventId: `survey:zone:${id}:${state}@${since ?? 0}`,
      routine: true as const,
    }));
};

const LATELY = minutes(15);
/** Tasks that never ran, and those that do; instances that groups could not launch, and those that they did. */
const startsOf = async (
  groups: Ports['groups'],
  { clusters, now }: Pick<Scan<Options>, 'clusters' | 'now'>,
  zones: ZoneIds,
): Promise<readonly AnyStart[]> => {
  const launches = await groups.launches(now - LATELY);
  const ofGroups = launches.map(({ group, ...l }) => ({
    ...l,
    workload: `asg/${group}`,
    zone: zoneIdOf(zones, l.zone),
  }));
  const found = await Promise.all(
    (await clusters()).map(async ({ cluster, stopped, wanted }) => {
      const workload = (t: ContainerTask): string => `${cluster}/${t.service ?? t.definition}`;
      const failed = (await stopped()).flatMap((t) =>
        t.stopped?.code === 'TaskFailedToStart'
          ? [
              {
                workload: workload(t),
                zone: zoneIdOf(zones, t.zone),
                at: t.stopped.at ?? t.createdAt,
                failed: t.stopped.reason ?? '',
              },
            ]
          : [],
      );
      const well = (await wanted()).flatMap((t) =>
        t.status === 'RUNNING' && t.startedAt !== undefined
          ? [{ workload: workload(t), zone: zoneIdOf(zones, t.zone), at: t.startedAt }]
          : [],
      );
      return [...failed, ...well];
    }),
  );
  return [...found.flat(), ...ofGroups].sort((a, b) => a.at - b.at);
};

/** Whether answers come slower from a zone than they did, and than from the others; 'unknown' where nothing is declared, or too little is known. */
const slowness = async (
  { metrics }: Pick<Ports, 'metrics'>,
  { options: o, now }: Pick<Scan<Options>, 'options' | 'now'>,
  zones: ZoneIds,
): Promise<(zone: string) => Sign> => {
  const to = now - (now % minutes(1));
  const names = Object.keys(zones);
  const asked = o.latencyOf.flatMap((LoadBalancer) =>
    names.map((AvailabilityZone) => ({
      namespace: 'AWS/ApplicationELB',
      name: 'TargetResponseTime',
      dimensions: { LoadBalancer, AvailabilityZone },
    })),
  );
  const range = { from: to - LATENCY_PAST, to, period: minutes(1) };
  const points = await metrics.exactly(asked, range);
  const latencies = o.latencyOf.map((_, n) =>
    Object.fromEntries(names.map((name, m) => [zoneIdOf(zones, name), points[n * names.length + m] ?? []])),
  );
  return (zone) => {
    const signs = latencies.map((of) => latencySign(zone, of, now));
    return signs.find((s) => s === 'bad') ?? signs.find((s) => s === 'good') ?? 'unknown';
  };
};

/** That an issue is open, that starts fail and that answers are slow is kept like what ARC tells: so that its end leaves a trace. */
const news = async (
  { instances, health, groups, metrics }: Ports,
  at: Scan<Options>,
): Promise<readonly ShiftNews[]> => {
  const [zones, issues] = await Promise.all([instances.zones(), health.issues()]);
  const [told, starts, slow] = await Promise.all([
    at.toldOf(Object.values(zones)),
    startsOf(groups, at, zones),
    slowness({ metrics }, at, zones),
  ]);
  return Object.entries(zones).flatMap(([name, zone]) => {
    const shifts = told[zone]?.shifts ?? [];
    // Not to know is no end.
    const sight = (kind: 'health' | 'launches' | 'latency', is: Sign, since = at.now) =>
      is === 'unknown' ? [] : sightNews({ zone, kind, shifts }, is === 'bad' ? since : undefined, at.now);
    const issue = 'unknown' in issues ? undefined : issues.find((i) => i.zone === name || i.zone === zone);
    return [
      ...sight('health', 'unknown' in issues ? 'unknown' : issue ? 'bad' : 'good', issue?.since),
      ...sight('launches', launchSignOfAll(zone, starts, at.now)),
      ...sight('latency', slow(zone)),
    ];
  });
};

const lookOf = (r: Remediation): readonly string[] => r.permissions.flatMap((p) => (p.for === 'look' ? p.actions : []));

export const zoneImpaired = defineRemediation<Seen, Step, Options>({
  name: OF_ZONES,
  title:
    'tells a person once that an Availability Zone is bad, and lets workloads leave it where they have room elsewhere',
  about: `A zone that AWS shifts traffic away from (zonal autoshift), or that two signs speak against, is impaired: nothing is started there. It is one incident, whatever runs there: which workloads serve in the zone, what losing it would leave of each, which can leave and which stay and why.
**evacuate** (services) and **replace** (groups, whose instances are terminated) are decisions: the services’ and groups’ own incidents (\`service-uneven-zones\`, \`group-uneven-zones\`) go by them and ask no more, with their waves, budgets and guards: they start elsewhere before they stop there, into room that is there on hosts that are in service, or that serves first.
What finds no room stays, for a bad zone beats no capacity. \`steward undo\` takes the decision back: nothing more leaves. Two zones at once are one cause or wrong signs: nothing is moved, and one message says so. After half an hour without a sign (longer, the more often it fell) the zone is filled again in steps, and the incident ends when it is OK.
One sign alone makes a zone suspect: it is left as it is. Signs are an issue of AWS Health, starts that fail there and not elsewhere, and with \`latencyOf\` answers that come slower from there. Practice runs of zonal autoshift are kept, and nobody hears of them. \`evacuate: false\` leaves all where it is.`,
  answers: ['zone.impaired'],
  risk: 'interrupts',
  targets: 'arn:*:steward:*:*:zone/*',
  ladder: {
    evacuate: 'let services leave the zone, where they have room elsewhere',
    replace: 'let instances of Auto Scaling groups be launched elsewhere, and terminated there',
  },
  risks: { replace: 'destroys' },
  permissions: [
    {
      for: 'look',
      actions: [
        ...new Set([
          'autoscaling:DescribeScalingActivities',
          'cloudwatch:GetMetricData',
          ...SPREADING.flatMap(([, r]) => lookOf(r)),
        ]),
      ].sort(),
      resources: ['*'],
    },
  ],
  options,
  attemptsPerDay: 6,
  inStorms: false,
  news,
  survey,
  observe,
  facts: ({ impaired }): Facts => ({
    tags: {},
    ours: true,
    // Of its own: the zone's record is that of its storms. One zone at a time.
    group: { id: 'zones', size: Math.max(1, impaired.length), zones: {} },
    zone: undefined,
    // AWS's own issue is why it is decided, and nothing stops before it serves elsewhere.
    issue: undefined,
    serving: 'alone',
  }),
  describe,
  isHealthy: ({ zone }) => zone.state === 'OK',
  decide,
  act: async ({ zone }) => ({ evacuated: zone }),
  touches: () => [],
  before: () => null,
  // It was decided: what comes of it shows at each workload.
  effect: (_: Attempt<Step>) => 'effective',
  undo: async ({ step }) => ({ stays: step.zone }),
});
