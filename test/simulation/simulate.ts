/**
 * One run of Steward's real message handling (`answerMessage`, `sweep`, `pass`, the gate and its guards) over the model world, under faults,
 * all of it decided by one seed: the same seed gives the same run, to the millisecond. See `witness.ts` for what must hold.
 */
import { lookMessage, signalMessage } from '../../events/steward/signal.ts';
import { Forbidden, NotFound } from '../../shared/core/errors.ts';
import { type Incident, stepText } from '../../shared/core/incident.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import type { Ports } from '../../shared/core/ports.ts';
import type { Remediation } from '../../shared/core/remediation.ts';
import type { Signal } from '../../shared/core/signal.ts';
import type { Pause, Ref, Store, StoreRecord } from '../../shared/core/store.ts';
import { hours, iso, minutes, seconds } from '../../shared/core/time.ts';
import type { Json } from '../../shared/core/verdict.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { answerMessage, type Outcome, plan } from '../../shared/runtime/heal.ts';
import { sweep } from '../../shared/runtime/sweep.ts';
import type { Wired } from '../../shared/runtime/wire.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { createRandom, type Random } from '../../world/random.ts';
import {
  type Clinic,
  type ClinicPorts,
  createClinic,
  HOME,
  KINDS,
  type Kind,
  kindOf,
  modelRemediations,
  type Patient,
  REGION,
} from './clinic.ts';
import { createSchedule, type Faults, type Life, NO_FAULTS, type Schedule } from './schedule.ts';
import { createWitness, type Daily, type Rules, type Violation, type Witness } from './witness.ts';

// The engine's own list, as heal and sweep read it, holds the model's remediations while a simulation runs in this process.
(remediations as Remediation[]).splice(0, remediations.length, ...modelRemediations);

export interface Result {
  readonly seed: number;
  readonly violation?: Violation;
  readonly counts: Witness['counts'] & { readonly messages: number; readonly deaths: number; readonly calls: number };
  readonly trace: readonly string[];
}

/** People act and things fail for so long; then nothing fails any more, and everything must come to an end. */
const NOISY = minutes(90);
/** Longer than the hour after which a survey says again what lasts. */
const QUIET = minutes(100);

// ---- the scenario -----------------------------------------------------------------------------------------------------------------------

const LIGHT: Faults = { crash: 0.002, lostRequest: 0.003, lostReply: 0.003, throttle: 0.01, stall: 0.005 };
const HEAVY: Faults = { crash: 0.012, lostRequest: 0.015, lostReply: 0.015, throttle: 0.04, stall: 0.02 };

const cronOf = ({ fromMinute, minutes: length }: Daily) => ({
  cron: `${fromMinute % 60} ${Math.floor(fromMinute / 60)} * * *`,
  minutes: length,
});
const dailies = (random: Random, start: number, chance: number): Daily[] => {
  if (!random.chance(chance)) return [];
  const now = Math.floor(start / 60_000) % 1440;
  return [{ fromMinute: (now + random.integer(80) - 20 + 1440) % 1440, minutes: 10 + random.integer(60) }];
};

const rulesOf = (random: Random, start: number): Rules => {
  const freeze = dailies(random, start, 0.25);
  const maintenance = dailies(random, start, 0.25);
  const settings = () => ({
    ...(random.chance(0.75)
      ? { mode: random.pick(['act', 'act', 'act', 'act', 'act', 'ask', 'ask', 'watch', 'off'] as const) }
      : {}),
    attemptsPerDay: random.pick([1, 2, 3, 3, 4]),
    coolDownMinutes: random.pick([0, 2, 5, 10]),
    costCapUsdPerMonth: random.pick([0, 20, 40, 60, 1000]),
    askForHours: random.pick([1, 24]),
    budget: { max: random.pick([1, 2, 10]), percent: random.pick([10, 20, 40, 50]) },
  });
  const policy = defaultPolicy(modelRemediations, {
    preset: random.pick(['cautious', 'automatic']),
    scope: random.pick(['tagged', 'tagged', 'all']),
    freeze: freeze.map(cronOf),
    maintenance: maintenance.map(cronOf),
    breaker: { percent: random.pick([40, 50, 80]), withinMinutes: random.pick([2, 5]) },
    remediations: Object.fromEntries(modelRemediations.map((r) => [r.name, settings()])),
  });
  return { policy, freeze, maintenance };
};

/** Some runs begin minutes before midnight at the end of a month. */
const startOf = (random: Random): number =>
  random.chance(0.2)
    ? Date.UTC(2026, 10, 30, 23, 20) + random.integer(minutes(40))
    : Date.UTC(2026, 10, 10) + random.integer(hours(24 * 15));

// ---- the account ------------------------------------------------------------------------------------------------------------------------

interface Account {
  readonly random: Random;
  readonly schedule: Schedule;
  readonly clinic: Clinic;
  readonly rules: Rules;
  readonly witness: Witness;
  readonly store: ReturnType<typeof memoryStore>;
  readonly hasSurvey: boolean;
  readonly faults: () => Faults;
  readonly isQuiet: () => boolean;
  readonly faultless: boolean;
  /** Somebody stops everything at the very moment at which something is about to happen. */
  readonly isNervous: boolean;
  readonly note: (say: () => string) => void;
  readonly newId: () => string;
  readonly tally: { messages: number; deaths: number; calls: number };
  /** Events that were answered, and so must not be lost. */
  readonly heard: Set<string>;
}

const portsOf = (a: Account, life: Life): ClinicPorts => {
  const { schedule, clinic, witness, faults } = a;
  const ask = <T>(what: string, effect: () => T): Promise<T> => {
    a.tally.calls++;
    return schedule.call(life, what, faults(), async () => effect());
  };
  const act = async (arn: string, kind: Kind, token: string, step: Json, effect: () => { job: string }) => {
    witness.sending(life, arn, kind, token, stepText(step));
    a.note(() => `#${life.id} sends ${token}: ${stepText(step)}`);
    try {
      return await ask(`treat ${token}`, () => {
        witness.arrived(arn, token);
        const started = effect();
        witness.started.add(token);
        a.note(() => `${token} is at work`);
        return started;
      });
    } finally {
      witness.replied(arn, token);
    }
  };
  return {
    examine: async (arn, kind) =>
      ask(`examine ${arn}`, () => {
        try {
          const view = clinic.view(arn, kind);
          const healthy = !view.ill && view.running.length === 0;
          witness.looked(life, arn, kind, { healthy, gone: false });
          if (a.isNervous && !a.isQuiet() && a.random.chance(0.1)) interrupt(a);
          a.note(() => `#${life.id} sees ${arn.slice(-3)} ${kind} ${view.ill ? `ill, level ${view.level}` : 'well'}`);
          return view;
        } catch (e) {
          if (e instanceof NotFound) witness.looked(life, arn, kind, { healthy: false, gone: true });
          throw e;
        }
      }),
    treat: (arn, kind, step, token) => act(arn, kind, token, step, () => clinic.treat(arn, kind, step, token)),
    revert: (arn, kind, attempt, token) => {
      const undo = witness.reservations.get(token)?.attempt.step as unknown as
        | { undo: number; token: string }
        | undefined;
      const { level } = attempt.before as { level: number };
      const step = undo ? { undo: attempt.n, token: attempt.token } : {};
      return act(arn, kind, token, step, () => clinic.revert(arn, kind, level, token));
    },
    illNow: (kind) => ask(`survey ${kind}`, () => (a.hasSurvey ? clinic.illNow(kind) : [])),
  };
};

const storeOf = (a: Account, life: Life): Store => {
  const { schedule, witness, store, faults } = a;
  const ask = <T>(what: string, effect: () => Promise<T>): Promise<T> => {
    a.tally.calls++;
    return schedule.call(life, what, faults(), effect);
  };
  return {
    // The cast only spares the compiler the tuple type a second time.
    read: ((...refs: Ref[]) => ask('read', () => store.read(...refs))) as Store['read'],
    write: (...changes) =>
      ask('write', async () => {
        await store.write(...changes);
        witness.check(!life.what.startsWith('explain'), 'explains-only', () => `#${life.id} wrote while explaining`);
        for (const c of changes) if ('put' in c) a.note(() => `#${life.id} writes ${nameIn(c.put)}`);
        witness.committed(changes, life);
      }),
    due: (now, limit) => ask('due', () => store.due(now, limit)),
    open: (limit) => ask('open', () => store.open(limit)),
    closed: (day, limit) => ask('closed', () => store.closed(day, limit)),
    ofTarget: (target, limit) => ask('ofTarget', () => store.ofTarget(target, limit)),
    find: (id) => ask('find', () => store.find(id)),
    troubled: (group, since, limit, except) => ask('troubled', () => store.troubled(group, since, limit, except)),
    park: (parked) => ask('park', () => store.park(parked)),
    parked: (limit) => ask('parked', () => store.parked(limit)),
    unpark: (id) => ask('unpark', () => store.unpark(id)),
  };
};

const nameIn = (i: StoreRecord): string => {
  if (i.kind !== 'incident') return `${i.kind} v${i.version + 1}`;
  const last = i.attempts.at(-1);
  const tried = last
    ? `, attempt ${last.n} ${last.rung}: ${last.outcome?.kind ?? 'reserved'} ${last.effect ?? ''}`
    : '';
  return `incident ${i.id.slice(-3)} v${i.version + 1} ${i.remediation} of ${i.target.slice(-3)}: ${i.state} because ${i.because}${tried}`;
};

const depsOf = (a: Account, life: Life, queue: MessageQueue): Wired => ({
  now: () => {
    const wall = a.schedule.wall();
    a.witness.readClock(wall);
    return wall;
  },
  newId: a.newId,
  store: storeOf(a, life),
  policy: a.rules.policy,
  home: HOME,
  reach: (_remediation, target) =>
    a.schedule.call(life, 'assume role', a.faults(), async () => {
      if (a.random.chance(a.isQuiet() ? 0 : 0.002)) throw new Forbidden(`no role for ${target.arn}`);
      return portsOf(a, life) as unknown as Ports;
    }),
  queue: {
    send: (messages) => {
      a.tally.calls++;
      return a.schedule.call(life, 'send', a.faults(), async () => {
        for (const m of messages) queue.take(m.body, (m.delaySeconds ?? 0) * 1000);
      });
    },
  },
  alarmTags: async () => ({}),
});

interface MessageQueue {
  readonly take: (body: string, delay: number) => void;
  readonly waiting: () => readonly string[];
}

/** The incident that a message asks to look at. */
const lookIn = (body: string): string | undefined => (JSON.parse(body) as { incident?: string }).incident;

/** What a message told of must not be lost from here on. One that fails five times is kept in the dead-letter queue. */
const answered = (a: Account, life: Life, body: string, { answers }: Outcome): void => {
  a.note(
    () =>
      `#${life.id} answers ${answers.map((x) => `${x.verdict.do}/${x.state}: ${x.refused?.because ?? x.verdict.because}`).join(' | ')}`,
  );
  a.witness.ended(life);
  const { signal } = JSON.parse(body) as { signal?: Signal };
  if (signal && signal.kind !== 'target.changed') a.heard.add(signal.eventId);
  // A repeated signal leaves the next look to the message that is under way.
  for (const { incident, lookAgainAt, due } of answers)
    if (incident !== undefined && lookAgainAt !== undefined && (!signal || due?.moved))
      a.witness.promises(incident, lookAgainAt);
};

/** At least once, in no order, late at times; what fails comes again, five times. */
const createQueue = (a: Account): MessageQueue => {
  const { schedule, random } = a;
  const waiting = new Map<number, string>();
  let made = 0;
  const deliver = (id: number, body: string, tries: number): void => {
    a.tally.messages++;
    const again = (ms: number): void => {
      if (tries < 5) schedule.after(ms, () => deliver(id, body, tries + 1));
      else waiting.delete(id);
    };
    schedule.live(
      'heal',
      (life) => {
        a.note(() => `#${life.id} takes ${body.slice(0, 160)}`);
        const look = lookIn(body);
        if (a.faultless && look) a.witness.looksAgain(look);
        return answerMessage(body, depsOf(a, life, queue));
      },
      (ended, life) => {
        if (ended && 'value' in ended) {
          waiting.delete(id);
          answered(a, life, body, ended.value);
        } else if (ended) {
          a.note(() => `a message failed: ${ended.error}`);
          again(seconds(30));
        } else {
          a.tally.deaths++;
          again(minutes(3));
        }
      },
    );
  };
  const queue: MessageQueue = {
    take: (body, delay) => {
      const noisy = !a.isQuiet() && !a.faultless;
      const copies = noisy && random.chance(0.05) ? 2 : 1;
      for (let i = 0; i < copies; i++) {
        const id = ++made;
        waiting.set(id, body);
        const late = noisy && random.chance(0.02) ? random.integer(minutes(10)) : random.integer(2000);
        schedule.after(delay + late, () => deliver(id, body, 1));
      }
    },
    waiting: () => [...waiting.values()],
  };
  return queue;
};

// ---- what happens to it -----------------------------------------------------------------------------------------------------------------

const PEOPLE = ['anna', 'ben', 'cleo'] as const;

const alarm = (a: Account, queue: MessageQueue, p: Patient, kind: Kind): void => {
  const { random, clinic } = a;
  const signal: Signal = clinic.signalOf(p, kind);
  const odd = random.integer(20);
  // Old, from the future, or sent by a person.
  const at = odd === 0 ? signal.at - minutes(40) : odd === 1 ? signal.at + minutes(30) : signal.at;
  const askedBy = odd === 2 || odd === 3 ? { askedBy: random.pick(PEOPLE) } : {};
  if (!a.faultless && random.chance(a.isQuiet() ? 0 : 0.1)) return;
  queue.take(signalMessage({ ...signal, at, ...askedBy }), random.integer(seconds(20)));
};

const changed = (queue: MessageQueue, p: Patient, wall: number): void =>
  queue.take(
    signalMessage({
      kind: 'target.changed',
      target: { arn: p.arn, account: HOME, region: REGION },
      at: wall,
      cause: 'something of it changed',
      eventId: `${p.arn}@${wall}`,
    }),
    0,
  );

/** A person's write: read, think, write, under the version that was read. @returns whether it was written */
const answerAs = async (a: Account, id: string, change: (i: Incident) => Incident | undefined): Promise<boolean> => {
  const found = [...a.store.records.values()].find((r): r is Incident => r.kind === 'incident' && r.id === id);
  if (!found || found.state === 'closed') return false;
  const next = change(structuredClone(found));
  if (!next) return false;
  await a.store.write({ put: next });
  a.witness.committed([{ put: next }], { id: 0, what: 'person', dead: false, die: () => {} });
  return true;
};

const setSwitches = async (a: Account, pauses: readonly Pause[]): Promise<void> => {
  const [known] = await a.store.read({ kind: 'switches' });
  await a.store.write({ put: { kind: 'switches', version: known?.version ?? 0, pauses } });
};

/** Within the second, while a pass is on its way from its look to its step. */
const interrupt = (a: Account): void =>
  a.schedule.after(a.random.integer(600), async () => {
    const at = a.schedule.wall();
    const pause: Pause = { scope: 'all', by: 'anna', why: 'wait', at, until: at + minutes(2) };
    const [known] = await a.store.read({ kind: 'switches' });
    await setSwitches(a, [...(known?.pauses ?? []), pause]);
    a.witness.paused(pause);
    a.note(() => 'anna stops everything for two minutes');
  });

const pauseOf = (a: Account, by: string): Pause => {
  const { random, schedule, rules, clinic, witness } = a;
  const p = random.pick(clinic.patients);
  const scope = random.pick([
    'all',
    `remediation/${random.pick(Object.keys(rules.policy.remediations))}`,
    `target/${p.arn}`,
    `group/${witness.groupIdOf(p)}`,
  ] as const);
  const at = schedule.wall();
  return { scope, by, why: 'a deploy', at, ...(random.chance(0.5) ? { until: at + random.integer(minutes(30)) } : {}) };
};

/** Says yes or no to what was asked when it was read: by the time of the answer, another step may be asked. */
const answerAsk = (a: Account, queue: MessageQueue, by: string): void => {
  const asked = [...a.witness.incidents.values()].filter((i) => i.ask && i.state !== 'closed');
  if (asked.length === 0) return;
  const incident = a.random.pick(asked);
  const ask = incident.ask as NonNullable<Incident['ask']>;
  const step = stepText(ask.step);
  const yes = a.random.chance(0.75);
  a.schedule.after(a.random.chance(0.2) ? a.random.integer(minutes(20)) : 1000, async () => {
    const at = a.schedule.wall();
    const until = yes ? ask.until : at + hours(24);
    a.note(() => `${by} says ${yes ? 'yes' : 'no'} to ${step} of ${incident.id}`);
    const written = await answerAs(a, incident.id, (i) => {
      const { denied: _d, approval: _a, ...rest } = i;
      return yes ? { ...rest, approval: { by, at, step, until } } : { ...rest, denied: { step, by, until } };
    });
    if (!written) return;
    if (yes) a.witness.approved({ incident: incident.id, step, by, until });
    else a.witness.denied({ incident: incident.id, step, until });
    queue.take(lookMessage({ target: incident.target, remediation: incident.remediation, incident: incident.id }), 0);
  });
};

const askUndo = async (a: Account, queue: MessageQueue, by: string): Promise<void> => {
  const done = [...a.witness.incidents.values()].filter(
    (i) => i.state !== 'closed' && !i.undoWanted && i.attempts.some((x) => x.outcome?.kind === 'done' && !x.undoes),
  );
  if (done.length === 0) return;
  const { id, target, remediation } = a.random.pick(done);
  const written = await answerAs(a, id, (i) => {
    const attempt = i.attempts.findLast((x) => x.outcome?.kind === 'done' && !x.undoes);
    return attempt && { ...i, undoWanted: { by, at: a.schedule.wall(), attempt } };
  });
  if (written) a.note(() => `${by} wants ${id} undone`);
  if (written) queue.take(lookMessage({ target, remediation, incident: id }), 0);
};

const retag = (a: Account): void => {
  const p = a.random.pick(a.clinic.patients);
  p.tags = a.random.pick([
    { 'steward:managed': 'true' },
    {},
    { 'steward:managed': 'true', 'steward:ignore': 'yes' },
  ] as Record<string, string>[]);
  a.witness.noteScope(p);
  a.note(() => `${p.arn} has the tags ${JSON.stringify(p.tags)}`);
};

const person = async (a: Account, queue: MessageQueue): Promise<void> => {
  const { random, witness } = a;
  const by = random.pick(PEOPLE);
  const what = random.integer(10);
  if (what <= 1) {
    const pause = pauseOf(a, by);
    const [known] = await a.store.read({ kind: 'switches' });
    await setSwitches(a, [...(known?.pauses ?? []), pause]);
    witness.paused(pause);
    a.note(() => `${by} pauses ${pause.scope}`);
  } else if (what === 2) {
    await setSwitches(a, []);
    witness.resumed();
  } else if (what <= 5) answerAsk(a, queue, by);
  else if (what === 6) await askUndo(a, queue, by);
  else if (what === 7) retag(a);
  else if (what === 8) explain(a, queue);
  else visit(a);
};

const explain = (a: Account, queue: MessageQueue): void => {
  const ill = a.clinic.patients.filter((x) => KINDS.some((kind) => x.ailments[kind].ill));
  const p = a.random.pick(ill.length > 0 ? ill : a.clinic.patients);
  a.schedule.live(
    'explain',
    (life) => plan(p.arn, undefined, depsOf(a, life, queue)),
    () => {},
  );
};

/** Something happens to a patient by itself. */
const visit = (a: Account): void => {
  const { random, clinic, schedule, witness } = a;
  const p = random.pick(clinic.patients);
  const what = random.integer(6);
  if (what === 0) {
    p.exists = false;
    witness.vanish(p);
    a.note(() => `${p.arn} vanishes`);
  } else if (what === 1) p.stopped = true;
  else if (what <= 3)
    p.blind = {
      until: schedule.time() + random.integer(minutes(25)),
      how: random.pick(['denied', 'unreadable', 'silent', 'tags', 'group'] as const),
    };
  else clinic.heal(p, random.pick(KINDS));
};

const outbreak = (a: Account, queue: MessageQueue, p: Patient, kind: Kind): void => {
  if (a.isQuiet() || !p.exists) return;
  a.clinic.fallIll(p, kind);
  a.note(() => `${p.arn} has ${kind}`);
  alarm(a, queue, p, kind);
};

/** Shorter than the two minutes that lie between the start of a step and the moment at which its pass counts as lost. */
const jumps = (a: Account): void => {
  const { random, schedule } = a;
  const next = (): void => {
    if (a.isQuiet()) return;
    const ms = random.chance(0.3) ? -random.integer(seconds(20)) : random.integer(seconds(100));
    schedule.jump(schedule.isIdle() && random.chance(0.3) ? random.integer(minutes(20)) : ms);
    a.note(() => 'the clock jumps');
    schedule.after(minutes(6) + random.integer(minutes(40)), next);
  };
  schedule.after(minutes(6) + random.integer(minutes(40)), next);
};

const happenings = (a: Account, queue: MessageQueue): void => {
  const { random, schedule, clinic } = a;
  const during = (ms: number) => random.integer(ms);
  for (let n = 2 + random.integer(8); n > 0; n--)
    schedule.at(during(NOISY - minutes(10)), () =>
      outbreak(a, queue, random.pick(clinic.patients), random.pick(KINDS)),
    );
  if (random.chance(0.3)) {
    const kind = random.pick(KINDS);
    const at = during(NOISY - minutes(15));
    for (const p of clinic.patients.filter((x) => x.group === 'asg/web' && random.chance(0.8)))
      schedule.at(at + during(minutes(4)), () => outbreak(a, queue, p, kind));
  }
  for (let n = random.integer(16); n > 0; n--) schedule.at(during(NOISY), () => void person(a, queue));
  if (!a.faultless && random.chance(0.5)) jumps(a);
};

const sweeps = (a: Account, queue: MessageQueue): void => {
  const tick = (): void => {
    a.schedule.live(
      'sweep',
      (life) => sweep(depsOf(a, life, queue), REGION),
      () => {},
    );
    a.schedule.after(minutes(1), tick);
  };
  a.schedule.at(a.random.integer(minutes(1)), tick);
};

/** What a person would do at the end of a bad day: resume, put the tags back, and let the machines be seen again. */
const calm = async (a: Account): Promise<void> => {
  await setSwitches(a, []);
  a.witness.resumed();
  for (const p of a.clinic.patients) p.blind = undefined;
  a.note(() => 'from here on nothing fails');
};

export const simulate = async (seed: number, options: { trace?: boolean } = {}): Promise<Result> => {
  const random = createRandom(seed);
  const start = startOf(random.fork('start'));
  const rules = rulesOf(random.fork('rules'), start);
  const schedule = createSchedule(random.fork('schedule'), start);
  const noise = random.pick([NO_FAULTS, LIGHT, LIGHT, HEAVY, HEAVY]);
  const trace: string[] = [];
  const note = options.trace
    ? (say: () => string) => void trace.push(`${iso(schedule.wall()).slice(11, 23)} ${say()}`)
    : () => {};
  let quiet = false;
  let made = 0;
  const store = memoryStore();
  const late: { queue?: MessageQueue } = {};
  const clinic = createClinic({
    random: random.fork('clinic'),
    time: schedule.time,
    wall: schedule.wall,
    after: schedule.after,
    onChange: (p) => {
      if (late.queue && account.random.chance(0.5)) changed(late.queue, p, schedule.wall());
    },
  });
  const witness = createWitness({ schedule, clinic, rules });
  const account: Account = {
    random: random.fork('account'),
    schedule,
    clinic,
    rules,
    witness,
    store,
    hasSurvey: random.chance(0.7),
    faults: () => (quiet ? NO_FAULTS : noise),
    isQuiet: () => quiet,
    faultless: noise === NO_FAULTS,
    isNervous: random.chance(0.25),
    note,
    newId: () => `01J${(++made).toString().padStart(23, '0')}`,
    tally: { messages: 0, deaths: 0, calls: 0 },
    heard: new Set(),
  };
  const queue = createQueue(account);
  late.queue = queue;
  note(() => `policy ${JSON.stringify(rules.policy)}`);
  sweeps(account, queue);
  happenings(account, queue);
  await schedule.run(NOISY);
  quiet = true;
  await calm(account);
  await schedule.run(NOISY + QUIET);
  if (!witness.violation()) checkEnd(account, queue);
  const violation = witness.violation();
  if (violation) note(() => `VIOLATION ${violation.invariant}: ${violation.say}`);
  return { seed, ...(violation ? { violation } : {}), counts: { ...witness.counts, ...account.tally }, trace };
};

// ---- the end ----------------------------------------------------------------------------------------------------------------------------

/** Nothing failed for the last hour and a half: every trouble has ended, or a person knows, or it waits for a time that is written down. */
const checkEnd = (a: Account, queue: MessageQueue): void => {
  const incidents = [...a.store.records.values()].filter((r): r is Incident => r.kind === 'incident');
  for (const i of incidents.filter((x) => x.state !== 'closed')) checkOpen(a, i);
  checkTroubles(a, incidents);
  checkHeldUp(a, incidents);
  checkLedgers(a);
  const looks = Map.groupBy(
    queue.waiting().filter((m) => m.includes('"look"')),
    (m) => (JSON.parse(m) as { incident: string }).incident,
  );
  for (const [id, messages] of looks)
    a.witness.check(
      messages.length <= 3,
      'looks-do-not-multiply',
      () => `${messages.length} looks under way for ${id}`,
    );
};

const checkOpen = (a: Account, i: Incident): void => {
  const { witness, store, schedule } = a;
  const wall = schedule.wall();
  const say = () => `${i.id} (${i.remediation} of ${i.target}) is ${i.state}, due ${iso(i.dueAt)}, at ${iso(wall)}`;
  witness.check(i.state !== 'open' && i.state !== 'acting', 'ends', say);
  witness.check(i.dueAt > wall - minutes(5), 'looked-at-when-due', say);
  witness.check(i.dueAt < wall + hours(26), 'waits-are-bounded', say);
  const chart = store.records.get(`target ${i.target}`);
  const named = chart?.kind === 'chart' && chart.open[i.remediation] === i.id;
  witness.check(named, 'no-incident-is-lost', () => `${i.id} is open, but its target's chart does not name it`);
  const reserved = i.attempts.at(-1)?.reservedAt ?? i.openedAt;
  witness.check(i.state !== 'waiting' || wall - reserved < minutes(60), 'waits-are-bounded', say);
  const p = a.clinic.patients.find((x) => x.arn === i.target);
  // Looked at every 15 min, unless what refused it named a later time.
  const since = i.dueAt - wall < minutes(30);
  const over = p === undefined || !p.exists || a.clinic.isHealthy(p, kindOf(i.remediation));
  // Who asked for something to be put back is told that it failed, and decides.
  const owed = i.undoWanted !== undefined && i.state === 'escalated';
  witness.check(!over || !since || owed || i.state === 'waiting', 'what-is-over-is-closed', say);
};

const checkTroubles = (a: Account, incidents: readonly Incident[]): void => {
  const open = new Set(incidents.filter((i) => i.state !== 'closed').map((i) => `${i.target}/${i.remediation}`));
  for (const p of a.clinic.patients.filter((x) => x.exists && !x.stopped && a.witness.inScope(x)))
    for (const r of modelRemediations) {
      const kind = kindOf(r.name);
      const { ill, since } = p.ailments[kind];
      if (!ill || a.rules.policy.remediations[r.name]?.mode === 'off') continue;
      const told = a.heard.has(a.clinic.signalOf(p, kind).eventId);
      // Closed as none of Steward's business meanwhile: only a survey brings it back.
      const dismissed = incidents.some(
        (i) => i.target === p.arn && i.remediation === r.name && i.end !== 'healthy' && (i.closedAt ?? 0) >= since,
      );
      if (!a.hasSurvey && (!told || dismissed)) continue;
      a.witness.check(
        open.has(`${p.arn}/${r.name}`),
        'no-trouble-is-lost',
        () => `${p.arn} has ${kind} since ${iso(since)}, and nobody is at it`,
      );
    }
};

/** What an incident held that is over, or with a person, holds up nobody. */
const checkHeldUp = (a: Account, incidents: readonly Incident[]): void => {
  const groupOf = (i: Incident): string | undefined => a.clinic.patients.find((p) => p.arn === i.target)?.group;
  for (const i of incidents.filter((x) => x.state === 'refused')) {
    const atWork = incidents.filter(
      (o) => o.id !== i.id && o.state !== 'closed' && o.state !== 'escalated' && o.attempts.length > 0,
    );
    const by = {
      'budget:': (o: Incident) => groupOf(o) === groupOf(i),
      'lease: ': (o: Incident) => o.target === i.target,
    }[i.because.slice(0, 7)];
    a.witness.check(!by || atWork.some(by), 'nobody-is-held-up-by-the-dead', () => `${i.id} is refused: ${i.because}`);
  }
};

const checkLedgers = (a: Account): void => {
  for (const r of a.store.records.values()) {
    if (r.kind !== 'ledger') continue;
    const spent = a.witness.spent(r.remediation, Date.parse(`${r.month}-15T00:00:00Z`));
    a.witness.check(
      r.usdPerMonth >= spent - 1e-6,
      'every-cost-is-booked',
      () => `${r.remediation} ${r.month}: ${r.usdPerMonth} booked, ${spent} spent`,
    );
    const same = Math.abs(r.usdPerMonth - spent) < 1e-6;
    a.witness.check(
      same || !a.faultless,
      'every-cost-is-booked',
      () => `${r.remediation} ${r.month}: ${r.usdPerMonth} booked, ${spent} spent`,
    );
  }
};
