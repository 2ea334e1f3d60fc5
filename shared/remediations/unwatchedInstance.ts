import * as z from 'zod/mini';
import { NotFound, undefinedIfGone } from '../core/errors.ts';
import { aloneGroup } from '../core/group.ts';
import { isGone } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import { inTurn } from '../core/pace.ts';
import { option } from '../core/policy.ts';
import type { Instance, Metric, Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, instanceTarget, type Target } from '../core/target.ts';
import { iso, minutes, seconds } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import {
  differenceOf,
  prefixOf,
  thresholdsOf,
  type WatchAlarm,
  type WatchDifference,
  wantedAlarms,
} from '../core/watch.ts';

const percent = z.int().check(z.gte(1), z.lte(100));
const options = z.strictObject({
  diskPercent: option(
    percent,
    80,
    'A disk as full as this is in alarm; steward:alarm:disk on an instance changes it for that one',
  ),
  inodesPercent: option(percent, 85, 'The same for inodes (steward:alarm:inodes)'),
  memoryPercent: option(percent, 90, 'The same for memory (steward:alarm:memory)'),
  cpuPercent: option(percent, 95, 'The same for CPU over 15 minutes (steward:alarm:cpu)'),
  creditsLeft: option(percent, 20, 'Fewer CPU credits than these, of a burstable type (steward:alarm:credits)'),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'watch'; readonly put: readonly WatchAlarm[] }
  | { readonly do: 'unwatch'; readonly names: readonly string[] };

interface Seen {
  readonly target: Target;
  /** Undefined: it is gone. */
  readonly instance: Instance | undefined;
  readonly uncovered: string | undefined;
  readonly difference: WatchDifference;
  readonly alarms: number;
  /** The agent publishes nothing: its disks and memory cannot be watched. */
  readonly bare: boolean;
  readonly odd: readonly string[];
}

/** CloudWatch puts three alarms a second; a step must end within its pass. */
const PUTS = 15;
const REMOVES = 100;

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const found = await ports.instances.describe(id).catch(undefinedIfGone);
  const gone = !found || isGone(found);
  const { stage } = ports.where;
  const actual = await ports.watches.withPrefix(prefixOf(stage, id));
  const known = { target, alarms: actual.length, odd: [], bare: false };
  if (gone) {
    if (actual.length === 0) throw new NotFound(`${id} is gone, and so are its alarms`);
    return { ...known, instance: undefined, uncovered: undefined, difference: differenceOf([], actual) };
  }
  const uncovered = look.uncovered(found.tags);
  // What is no longer managed keeps no alarms that only Steward acts on.
  if (uncovered !== undefined) return { ...known, instance: found, uncovered, difference: differenceOf([], actual) };
  const [metrics, traits] = await Promise.all([ports.watches.metricsOf(id), ports.instances.traits([found.type])]);
  const { thresholds, odd } = thresholdsOf(look.options, found.tags);
  const inodes = await inodesOf(metrics, ports, look);
  const burstable = traits[found.type]?.burstable ?? found.type.startsWith('t');
  const wanted = wantedAlarms(stage, found, { metrics, inodes, burstable }, thresholds);
  return {
    ...known,
    instance: found,
    uncovered: undefined,
    difference: found.state === 'running' ? differenceOf(wanted, actual) : { put: [], remove: [] },
    bare: !metrics.some((m) => m.namespace === 'CWAgent'),
    odd,
  };
};

const inodesOf = async (
  metrics: readonly Metric[],
  ports: Ports,
  { now }: Look<Options>,
): Promise<Record<string, number>> => {
  const totals = metrics.filter((m) => m.name === 'disk_inodes_total');
  const series = await ports.metrics.exactly(totals, { from: now - minutes(30), to: now, period: minutes(5) });
  return Object.fromEntries(
    totals.flatMap((m, n) => {
      const last = series[n]?.at(-1)?.value;
      return last === undefined ? [] : [[m.dimensions['path'] ?? '', last] as const];
    }),
  );
};

const isConverged = ({ difference: { put, remove } }: Seen): boolean => put.length === 0 && remove.length === 0;

const short = (names: readonly string[]): string =>
  names
    .slice(0, 4)
    .map((n) => n.split('/').slice(3).join('/'))
    .join(', ') + (names.length > 4 ? ` and ${names.length - 4} more` : '');

const describe = (seen: Seen): string => {
  const { instance, uncovered, difference, alarms, odd, bare } = seen;
  const { put, remove } = difference;
  const lacks =
    put.length > 0
      ? `${put.length} alarms are missing or not as the policy wants them: ${short(put.map((a) => a.name))}`
      : '';
  const more = remove.length > 0 ? `${remove.length} alarms are left over: ${short(remove)}` : '';
  const is = instance ? (uncovered ?? '') : 'it is gone';
  const blind = bare && instance && uncovered === undefined ? 'no CloudWatch agent publishes its disks and memory' : '';
  const said = [is, lacks, more, ...odd, blind].filter(Boolean).join('; ');
  return isConverged(seen) ? [`it has its ${alarms} alarms`, ...odd, blind].filter(Boolean).join('; ') : said;
};

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { put, remove } = seen.difference;
  const last = look.attempts.at(-1);
  if (last?.outcome?.kind === 'done' && last.effect === undefined)
    return { do: 'wait', until: look.now + seconds(5), because: 'CloudWatch has taken it' };
  if (last?.effect === 'ineffective')
    return {
      do: 'escalate',
      because: `${describe(seen)}; it was put right, and is not`,
      remedy: 'look who else writes alarms named steward/…',
    };
  if (remove.length > 0) {
    const names = remove.slice(0, REMOVES);
    return {
      do: 'act',
      rung: 'unwatch',
      step: { do: 'unwatch', names },
      plan: `remove ${names.length} alarms that nobody needs: ${short(names)}`,
      because: describe(seen),
    };
  }
  const some = put.slice(0, PUTS);
  return {
    do: 'act',
    rung: 'watch',
    step: { do: 'watch', put: some },
    plan: `put ${some.length} alarms: ${short(some.map((a) => a.name))}`,
    because: describe(seen),
    continues: look.attempts.length > 0,
  };
};

const act = async (step: Step, { watches }: Ports): Promise<Json> => {
  if (step.do === 'unwatch') {
    await watches.remove(step.names);
    return { removed: step.names.length };
  }
  // One after the other: three a second are CloudWatch's limit.
  for (const alarm of step.put) await watches.put(alarm);
  return { put: step.put.length };
};

const effect = ({ step, reservedAt }: Attempt<Step>, { difference }: Seen, { now }: Look<Options>): Effect => {
  const left = new Set(step.do === 'unwatch' ? difference.remove : difference.put.map((a) => a.name));
  const names = step.do === 'unwatch' ? step.names : step.put.map((a) => a.name);
  if (!names.some((n) => left.has(n))) return 'effective';
  return now - reservedAt < minutes(2) ? 'pending' : 'ineffective';
};

/** An instance and its agent need some minutes until all of their metrics are there; an agent that was missing is there a while later. */
const SETTLED = { first: minutes(10), again: minutes(40) };
/** Instances of one survey that have yet to be looked over: seven alarms each are about two a second, of the three that CloudWatch grants. */
const AT_ONCE = 100;
const SURVEY = minutes(5);
/** Each instance is looked over once a day, in a slot of its own. */
const SLOTS = 288;
const slotOf = (id: string): number => Number.parseInt(id.slice(-6), 16) % SLOTS;

const routine = (id: string, ports: Ports, now: number, why: string): Signal => ({
  kind: 'instance.unwatched',
  target: instanceTarget(ports.where, id),
  at: now,
  cause: `survey: ${why}`,
  eventId: `survey:${id}:watch@${iso(now).slice(0, 16)}`,
  routine: true,
});

export const unwatchedInstance = defineRemediation<Seen, Step, Options>({
  name: 'unwatched-instance',
  title: 'gives each managed EC2 instance its CloudWatch alarms, and removes those of instances that are gone',
  about: `Both status checks, the EBS check where there is one, CPU, CPU credits of burstable types, memory, and space and inodes of each mount that the CloudWatch
agent publishes. Thresholds are the policy's; tags on an instance (\`steward:alarm:disk = 90\`) change its own. When it starts, once a day, and when the policy changes, what is
missing or different is put, what is left over is removed. Only alarms named \`steward/<stage>/<instance>/…\` are ever touched. Alarms have no actions: their state changes reach
Steward by EventBridge. It never creates an alarm on a metric that nobody publishes.`,
  answers: ['instance.unwatched'],
  inStorms: false,
  risk: 'harmless',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: { watch: 'put alarms that are missing or different', unwatch: 'remove alarms that are left over' },
  attemptsPerDay: 20,
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ec2:DescribeInstanceTypes',
        'cloudwatch:DescribeAlarms',
        'cloudwatch:ListMetrics',
        'cloudwatch:GetMetricData',
      ],
      resources: ['*'],
    },
    {
      for: 'act',
      actions: ['cloudwatch:PutMetricAlarm', 'cloudwatch:DeleteAlarms'],
      resources: ['arn:*:cloudwatch:*:*:alarm:steward/{stage}/*'],
    },
  ],
  options,
  survey: async (ports, { now, running: list, policySince }): Promise<readonly Signal[]> => {
    const slot = Math.floor(now / SURVEY) % SLOTS;
    const running = await list();
    const ready = running.flatMap(({ id, zoneId, launchedAt }) => {
      const first = Math.max(launchedAt + SETTLED.first, policySince[zoneId] ?? 0);
      const again = launchedAt + SETTLED.again;
      return [{ id, at: first }, ...(again > first ? [{ id, at: again }] : [])];
    });
    const daily = running.filter((i) => slotOf(i.id) === slot).map((i) => i.id);
    const due = new Set([...inTurn(ready, { now, every: SURVEY, most: AT_ONCE }), ...daily]);
    const looks = [...due].map((id) => routine(id, ports, now, 'its alarms are looked over'));
    // Once a day all alarms are listed, for those whose instance is gone.
    if (slot !== 0) return looks;
    const alive = new Set(running.map((i) => i.id));
    const owners = await ports.watches.owners(prefixOf(ports.where.stage));
    const gone = owners
      .filter((id) => !alive.has(id))
      .map((id) => routine(id, ports, now, 'it may be gone, and has alarms'));
    return [...gone, ...looks];
  },
  observe,
  facts: ({ instance, target, uncovered }) => ({
    tags: instance?.tags,
    // Of what is gone, or no longer managed, only Steward's own alarms are left: those are its own to remove.
    ...(instance && uncovered === undefined ? {} : { ours: true as const }),
    group: instance ? aloneGroup(instance) : { id: `instance/${idOf(target)}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe,
  isHealthy: isConverged,
  decide,
  act,
  touches: (step, target) => {
    const [first] = step.do === 'unwatch' ? step.names : step.put.map((a) => a.name);
    // All of one instance: session policies are short, and names are long.
    const prefix = first?.split('/').slice(0, 3).join('/');
    const [, partition] = target.arn.split(':');
    return [`arn:${partition}:cloudwatch:${target.region}:${target.account}:alarm:${prefix}/*`];
  },
  before: ({ alarms }) => ({ alarms }),
  effect,
  noUndo: 'alarms follow the policy: change it, or tag the instance',
});
