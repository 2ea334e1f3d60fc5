/**
 * What is seen of a run of the fleet: every commit to the table, every look and every change in AWS, each held against the rules of the design and
 * against the world as it truly is. It never asks the gate.
 */
import { type Attempt, type Incident, stepText } from '../../../shared/core/incident.ts';
import type { Policy } from '../../../shared/core/policy.ts';
import { type Remediation, riskOf } from '../../../shared/core/remediation.ts';
import type { Change, Pause } from '../../../shared/core/store.ts';
import { hours, iso, minutes, seconds } from '../../../shared/core/time.ts';
import { instanceArn } from '../../../world/arns.ts';
import type { Asked } from '../../../world/direct.ts';
import type { World } from '../../../world/world.ts';
import type { Violation } from '../models.ts';
import { LIFE_LIMIT, type Life, type Schedule, TRAVEL_LIMIT } from '../schedule.ts';
import type { Patient } from './fleet.ts';
import { PASS_TIME, rulesOf, type Scene, strangersIn } from './rules.ts';

/** A change that is on its way. */
export interface Sent extends Asked {
  readonly life: Life;
  readonly remediation: string;
  readonly target: string;
  readonly token: string;
  readonly time: number;
  arrived: boolean;
  replied: boolean;
}
interface Reserved {
  readonly incident: string;
  readonly target: string;
  readonly remediation: string;
  readonly attempt: Attempt;
  readonly life: Life;
  readonly time: number;
  readonly at: number;
  readonly step: string;
  readonly group: string | undefined;
  outcome?: string;
  readonly sent: Sent[];
}
interface Answered {
  readonly incident: string;
  readonly step: string;
  readonly until: number;
  readonly by?: string;
}

/** From the design: a lease and a place in the budget hold so long. */
const HOLDS = minutes(20);
const STARTS_WITHIN = seconds(30);
/** The others say how it must be, which is the same however often it is said, or carry a token. */
const ONCE = /^((Reboot|Stop|Start|Terminate)Instances|SendCommand|SetInstanceHealth|ModifyVolume)$/;

export interface WitnessDeps {
  readonly schedule: Schedule;
  readonly world: World;
  readonly policy: Policy;
  readonly remediations: readonly Remediation[];
  readonly patients: readonly Patient[];
}

export const createFleetWitness = ({ schedule, world, policy, remediations, patients }: WitnessDeps) => {
  let violation: Violation | undefined;
  const incidents = new Map<string, Incident>();
  const reservations = new Map<string, Reserved>();
  const disturbed = new Map<string, number>();
  const released = new Map<string, number>();
  const lastLook = new Map<string, number>();
  const unanswered = new Set<string>();
  const stoppedBy = new Map<string, 'steward' | 'somebody'>();
  const scopeChanged = new Map<string, number>();
  let pauses: { pause: Pause; time: number }[] = [];
  let yes: Answered[] = [];
  let no: Answered[] = [];
  const counts: Record<string, number> = {};
  const count = (what: string): void => {
    counts[what] = (counts[what] ?? 0) + 1;
  };

  const check = (holds: boolean, invariant: string, say: () => string): void => {
    if (holds || violation) return;
    violation = { invariant, say: say() };
    schedule.stop();
  };

  const named = (name: string): Remediation | undefined => remediations.find((r) => r.name === name);
  const modeOf = (r: Reserved) =>
    policy.remediations[r.remediation]?.modes[riskOf(named(r.remediation) ?? { risk: 'destroys' }, r.attempt.rung)];

  const serviceOf = (id: string) => {
    const [cluster = '', name = ''] = id.split('/');
    return world.ecs.clusters.get(cluster)?.services.get(name);
  };

  const instanceTags = (id: string) => {
    const i = world.ec2.instances.get(id);
    return i && !['terminated', 'shutting-down'].includes(i.state) ? i.tags : undefined;
  };
  type TagsOf = (id: string, arn: string) => Readonly<Record<string, string>> | undefined;
  const TAGS: readonly (readonly [of: string, tags: TagsOf])[] = [
    [':instance/', instanceTags],
    [':trail/', (id) => world.cloudtrail.trails.get(id)?.tags],
    [':service/', (id) => serviceOf(id)?.tags],
    [':autoScalingGroupName/', (id) => world.autoscaling.groups.get(id)?.tags],
    [':repository/', (id) => world.ecr.repositories.get(id)?.tags],
    [':regional/webacl/', (_id, arn) => world.waf.acls.get(arn)?.tags],
    [':vpc/', (id) => world.ec2.vpcs.get(id)?.tags],
    [':log-group:', (_id, arn) => world.logs.groups.get(arn.split(':log-group:')[1] ?? '')?.tags],
  ];
  /** Tags of what is there; what is not there is covered by what is declared of it. */
  const tagsOf = (arn: string) => {
    const [, tags] = TAGS.find(([of]) => arn.includes(of)) ?? [];
    return tags?.(arn.split('/').slice(1).join('/'), arn);
  };
  const inScope = (arn: string): boolean => {
    const tags = tagsOf(arn);
    if (!tags) return true;
    // A trail that steward.yml names is covered by that, unless it opts out.
    const isNamed = arn.includes(':trail/') && Object.hasOwn(policy.trails, arn.split('/')[1] ?? '');
    return (
      tags['steward:ignore'] === undefined && (isNamed || policy.scope === 'all' || tags['steward:managed'] === 'true')
    );
  };

  const isUnsettled = (arn: string): boolean => (disturbed.get(arn) ?? -PASS_TIME) + PASS_TIME > schedule.time();
  const isApproved = ({ token }: Pick<Sent, 'token'>): boolean => {
    const r = reservations.get(token);
    return yes.some((a) => a.incident === r?.incident && a.step === r.step && a.until > r.at);
  };
  const isUndo = ({ token }: Pick<Sent, 'token'>): boolean => reservations.get(token)?.attempt.undoes !== undefined;
  const isUnanswered = ({ life }: Pick<Sent, 'life'>, operation: string): boolean =>
    unanswered.has(`${life.id}/${operation}`);
  const arnOf = (id: string): string => instanceArn(world, id);
  const scene: Scene = { world, isUnsettled, arnOf, stoppedBy, isApproved, isUndo, isUnanswered };

  // ---- what is asked of AWS -------------------------------------------------------------------------------------------------------------

  /** 'full-disk' and 'act' of `…:assumed-role/steward-test-remedy-full-disk/full-disk-act@i-0abc`. */
  const sessionOf = (accessKeyId: string): { remediation: string; phase: string } => {
    const arn = world.iam.keys.get(accessKeyId)?.arn ?? '';
    const [, remediation = 'none', phase = 'none'] = /remedy-([\w-]+)\/\1-(\w+)@/.exec(arn) ?? [];
    return { remediation, phase };
  };
  const looking = (life: Life, { accessKeyId }: Asked): void => {
    lastLook.set(`${life.id}/${sessionOf(accessKeyId).remediation}`, schedule.time());
  };
  const looked = ({ id }: Life, { operation }: Asked, answered: boolean): void => {
    if (answered) unanswered.delete(`${id}/${operation}`);
    else unanswered.add(`${id}/${operation}`);
  };

  const isInFlight = (s: Sent): boolean =>
    !s.replied && (!s.life.dead || (!s.arrived && schedule.time() < s.time + TRAVEL_LIMIT));

  const sending = (life: Life, asked: Asked): Sent => {
    count('acts');
    const { remediation, phase } = sessionOf(asked.accessKeyId);
    const what = `${remediation}: ${asked.service.name}:${asked.operation}`;
    const r = [...reservations.values()].findLast(
      (x) => x.life === life && x.remediation === remediation && !x.outcome,
    );
    const sent: Sent = {
      ...asked,
      life,
      remediation,
      target: r?.target ?? '',
      token: r?.attempt.token ?? '',
      time: schedule.time(),
      arrived: false,
      replied: false,
    };
    check(phase === 'act', 'looking-changes-nothing', () => `${what} in a session of a ${phase}`);
    check(r !== undefined, 'reserved-before-act', () => `${what} without a reservation`);
    if (!r) return sent;
    count(`acts ${remediation}`);
    const action = `${asked.service.iamPrefix}:${asked.operation}`;
    const declared = named(remediation)?.permissions.some((p) => p.for === 'act' && p.actions.includes(action));
    check(declared === true, 'only-declared-calls', () => `${what} is not declared`);
    checkStart(r, what);
    const again = ONCE.test(asked.operation)
      ? r.sent.find((s) => s.operation === asked.operation && same(s.input, asked.input))
      : undefined;
    check(!again, 'acts-once', () => `${what} of ${r.attempt.token} was sent before: ${JSON.stringify(asked.input)}`);
    const others = [...reservations.values()].flatMap((x) => (x === r || x.target !== r.target ? [] : x.sent));
    const flying = others.find(isInFlight);
    check(!flying, 'one-act-at-once', () => `${what} while ${flying?.token} is in flight on ${r.target}`);
    const strangers = strangersIn(sent, scene);
    check(strangers.length === 0, 'its-own-target-only', () => `${what} for ${r.target} names ${strangers}`);
    for (const [invariant, rule] of rulesOf(sent)) {
      const broken = rule(sent, scene);
      check(broken === undefined, invariant, () => `${what} of ${r.target}: ${broken}`);
    }
    r.sent.push(sent);
    return sent;
  };
  const same = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

  const checkStart = (r: Reserved, what: string): void => {
    const scopes = ['all', `remediation/${r.remediation}`, `target/${r.target}`, `group/${r.group}`];
    const held = pauses.find(
      ({ pause, time }) => scopes.includes(pause.scope) && time < r.time && (pause.until ?? Infinity) > schedule.wall(),
    );
    check(!held, 'nothing-while-paused', () => `${what} although ${held?.pause.scope} is paused`);
    // A step may be several calls: the first of them says when it began.
    const late = schedule.wall() - r.at;
    check(r.sent.length > 0 || late <= STARTS_WITHIN, 'starts-in-time', () => `${what} ${late} ms after its decision`);
  };

  const arrived = (sent: Sent, answer: object): void => {
    // Some operations decline in an answer that is no error.
    const { Unsuccessful = [], Errors = [], Instances = [] } = answer as Readonly<Record<string, readonly object[]>>;
    const launchedNone = Errors.length > 0 && Instances.length === 0;
    sent.arrived = Unsuccessful.length === 0 && !launchedNone;
    const ids = (sent.input as { InstanceIds?: readonly string[] }).InstanceIds ?? [];
    if (sent.operation === 'StopInstances') for (const id of ids) stoppedBy.set(id, 'steward');
    if (sent.operation === 'StartInstances') for (const id of ids) stoppedBy.delete(id);
  };

  // ---- what is committed ----------------------------------------------------------------------------------------------------------------

  const holding = (r: Reserved): Reserved[] =>
    [...reservations.values()].filter(
      (o) => o.incident !== r.incident && o.at + HOLDS > r.at && (released.get(o.incident) ?? -1) < o.time,
    );

  /** It ends an interruption that Steward has begun: nothing holds that up. */
  const isRecovery = (r: Reserved): boolean =>
    ['start', 'undo', 'activate', 'deregister', 'lower', 'count'].includes(r.attempt.rung.split(' ')[0] ?? '') ||
    r.attempt.undoes !== undefined;

  /** Whoever commands it has said yes to what he wants, and to nothing more. */
  const isWished = ({ incident, attempt }: Reserved): boolean => {
    const { to } = attempt.step as { to?: { floor?: number } };
    return (to?.floor ?? 0) <= (incidents.get(incident)?.wish?.to ?? -1);
  };

  const checkMode = (r: Reserved): void => {
    const mode = modeOf(r);
    const { token } = r.attempt;
    const denied = no.some((d) => d.incident === r.incident && d.step === r.step && d.until > r.at);
    check(!denied, 'nothing-denied', () => `${token}: ${r.step} was denied`);
    check(mode !== 'off' && mode !== 'watch', 'mode', () => `${token} in mode ${mode}`);
    check(
      mode === 'act' || isRecovery(r) || isApproved({ token }) || isWished(r),
      'asks-first',
      () => `${token}: nobody approved ${r.step}`,
    );
  };
  const checkBudget = (r: Reserved, incident: Incident): void => {
    const { max, percent } = policy.remediations[r.remediation]?.budget ?? { max: 1, percent: 1 };
    const allowed = Math.max(1, Math.min(max, Math.floor(((incident.groupSize ?? 1) * percent) / 100)));
    const others = new Set(holding(r).flatMap((o) => (o.group === r.group && o.target !== r.target ? [o.target] : [])));
    check(
      others.size < allowed,
      'budget',
      () => `${r.attempt.token}: ${others.size + 1} in ${r.group}, ${allowed} allowed`,
    );
  };
  const checkTwice = (r: Reserved): void => {
    const again = [...reservations.values()].find(
      (o) =>
        o.target === r.target &&
        o.remediation === r.remediation &&
        o.step === r.step &&
        o.outcome !== 'transient' &&
        o.at > r.at - hours(24),
    );
    check(!again, 'not-the-same-twice', () => `${r.attempt.token} repeats ${again?.attempt.token}: ${r.step}`);
  };

  const reserved = (incident: Incident, attempt: Attempt, life: Life): void => {
    count('reservations');
    const { id, target, remediation, group } = incident;
    const at = attempt.reservedAt;
    const step = stepText(attempt.step);
    const r: Reserved = {
      incident: id,
      target,
      remediation,
      attempt,
      life,
      time: schedule.time(),
      at,
      step,
      group,
      sent: [],
    };
    const { token } = attempt;
    check(!reservations.has(token), 'token-is-new', () => `${token} was reserved before`);
    const open = [...reservations.values()].find((o) => o.incident === id && o.outcome === undefined);
    check(!open, 'one-open-attempt', () => `${token} while ${open?.attempt.token} has no outcome`);
    reservations.set(token, r);
    checkMode(r);
    const lately = schedule.time() - LIFE_LIMIT - TRAVEL_LIMIT;
    // Alarms of what is no longer managed are Steward's own to remove.
    check(
      attempt.rung === 'unwatch' || inScope(target) || (scopeChanged.get(target) ?? -1) > lately,
      'scope',
      () => `${token}: ${target} is not in scope`,
    );
    const other = holding(r).find((o) => o.target === target);
    check(!other, 'one-lease', () => `${token} while ${other?.attempt.token} holds ${target}`);
    const line = incident.log.some((l) => l.what === 'reserved' && l.say.startsWith(`attempt ${attempt.n}:`));
    check(line, 'log-explains', () => `${token} is not in the log`);
    reservations.delete(token);
    if (!isRecovery(r))
      for (const rule of [checkTwice, () => attempt.continues || named(remediation)?.adds || checkBudget(r, incident)])
        rule(r);
    reservations.set(token, r);
  };

  const concluded = (attempt: Attempt): void => {
    const r = reservations.get(attempt.token);
    if (!r || !attempt.outcome) return;
    r.outcome = attempt.outcome.kind;
    const isNothing = r.outcome === 'transient' || r.outcome === 'permanent';
    // A step of several calls may be declined in its middle; each of them says where it must end, and none adds up. Protection of tasks only prepares, and lapses.
    const [only, ...more] = r.sent.filter((s) => s.operation !== 'UpdateTaskProtection');
    check(
      !(isNothing && only?.arrived && more.length === 0),
      'outcome-is-true',
      () => `${attempt.token} is called ${r.outcome}, but it ran`,
    );
  };

  const closing = (i: Incident, life: Life): void => {
    count(`${i.end} ${i.remediation}`);
    const acted = [...reservations.values()].filter((r) => r.incident === i.id).flatMap((r) => r.sent);
    const lastAct = Math.max(-1, ...acted.filter((s) => s.arrived).map((s) => s.time));
    const looked = lastLook.get(`${life.id}/${i.remediation}`) ?? -1;
    check(
      i.attempts.every((a) => a.outcome),
      'closes-with-outcomes',
      () => `${i.id} closes with an attempt in the air`,
    );
    const instance = world.ec2.instances.get(i.target.split('/')[1] ?? '');
    const left =
      instance?.state === 'stopped' &&
      stoppedBy.get(instance.id) === 'steward' &&
      acted.some((s) => s.operation === 'StopInstances');
    check(!left, 'what-was-stopped-is-started', () => `${i.id} closes as ${i.end}, and ${i.target} is left stopped`);
    if (i.end !== 'healthy') return;
    check(looked > lastAct, 'closes-on-a-fresh-look', () => `${i.id} closes without one`);
    const sick = patients.find((p) => p.arn === i.target && p.remediation === i.remediation && !p.isWell());
    check(
      !sick || isUnsettled(i.target),
      'healthy-is-healthy',
      () => `${i.id} (${i.remediation}) closes, and ${i.target} is not well: ${i.because}`,
    );
  };

  const turned = (i: Incident, life: Life): void => {
    count(i.state);
    if (['escalated', 'asking', 'refused'].includes(i.state))
      check((i.remedy ?? '') !== '', 'says-the-remedy', () => `${i.id} is ${i.state} without a remedy`);
    if (i.state === 'escalated') count(`told ${i.remediation}`);
    // What only looks on holds nothing any more.
    const rests = i.state === 'open' && i.attempts.at(-1)?.effect !== undefined;
    if (i.state === 'closed' || i.state === 'escalated' || rests) released.set(i.id, schedule.time());
    if (i.state === 'closed') closing(i, life);
  };

  const committedIncident = (i: Incident, life: Life): void => {
    const before = incidents.get(i.id);
    const twin = [...incidents.values()].find(
      (o) => o.id !== i.id && o.target === i.target && o.remediation === i.remediation && o.state !== 'closed',
    );
    check(before !== undefined || !twin || i.state === 'closed', 'one-incident', () => `${i.id} beside ${twin?.id}`);
    check(
      before?.state !== 'closed' || i.state === 'closed',
      'closed-stays-closed',
      () => `${i.id} is ${i.state} again`,
    );
    check(i.log.length <= 50, 'log-is-bounded', () => `${i.id} has ${i.log.length} lines`);
    incidents.set(i.id, i);
    for (const a of i.attempts) {
      const known = before?.attempts.find((x) => x.n === a.n);
      if (!known) reserved(i, a, life);
      if (a.outcome && known?.outcome?.kind !== a.outcome.kind) concluded(a);
    }
    if (i.state !== before?.state) turned(i, life);
  };

  return {
    check,
    violation: () => violation,
    counts,
    incidents,
    reservations,
    stoppedBy,
    inScope,
    isUnsettled,
    remediationOf: ({ accessKeyId }: Pick<Asked, 'accessKeyId'>): string => sessionOf(accessKeyId).remediation,
    looking,
    looked,
    sending,
    arrived,
    replied: (sent: Sent) => {
      sent.replied = true;
    },
    /** Somebody else changes something of it. */
    disturb: (arn: string) => void disturbed.set(arn, schedule.time()),
    retagged: (arn: string) => void scopeChanged.set(arn, schedule.time()),
    stopped: (id: string) => void stoppedBy.set(id, 'somebody'),
    committed: (changes: readonly Change[], life: Life): void => {
      for (const c of changes)
        if ('put' in c && c.put.kind === 'incident') committedIncident({ ...c.put, version: c.put.version + 1 }, life);
    },
    /** A function came to its end by itself: what it did is written down. */
    ended: (life: Life): void => {
      for (const r of reservations.values())
        if (r.life === life)
          check(r.outcome !== undefined, 'outcome-is-written', () => `${r.attempt.token} has no outcome`);
    },
    paused: (pause: Pause) => void pauses.push({ pause, time: schedule.time() }),
    resumed: () => {
      pauses = [];
    },
    approved: (a: Answered) => {
      no = no.filter((d) => d.incident !== a.incident);
      yes.push(a);
    },
    denied: (d: Answered) => {
      yes = yes.filter((a) => a.incident !== d.incident);
      no = [...no.filter((x) => x.incident !== d.incident), d];
    },
    say: (i: Incident): string =>
      `${i.id} (${i.remediation} of ${i.target}) is ${i.state}, due ${iso(i.dueAt)}: ${i.because}`,
  };
};
export type FleetWitness = ReturnType<typeof createFleetWitness>;
