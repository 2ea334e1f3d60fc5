/** What befalls the account: troubles and the alarms that tell of them, storms, people, clocks that jump, and the sweep. */
import { signalMessage } from '../../events/steward/signal.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import { plan } from '../../shared/runtime/heal.ts';
import { sweep } from '../../shared/runtime/sweep.ts';
import { type Account, depsOf } from './account.ts';
import { HOME, KINDS, type Kind, type Patient, REGION } from './clinic.ts';
import type { MessageQueue } from './engine.ts';
import { answerAsk, askUndo, PEOPLE, pauseOf, setSwitches } from './people.ts';

/** People act and things fail for so long; then nothing fails any more, and everything must come to an end. */
export const NOISY = minutes(90);

const alarm = (a: Account, queue: MessageQueue, p: Patient, kind: Kind, within: number): void => {
  const { random, clinic } = a;
  const signal: Signal = clinic.signalOf(p, kind);
  const odd = random.integer(20);
  // Old, from the future, or sent by a person.
  const at = odd === 0 ? signal.at - minutes(40) : odd === 1 ? signal.at + minutes(30) : signal.at;
  const askedBy = odd === 2 || odd === 3 ? { askedBy: random.pick(PEOPLE) } : {};
  if (!a.faultless && random.chance(a.isQuiet() ? 0 : 0.1)) return;
  queue.take(signalMessage({ ...signal, at, ...askedBy }), random.integer(Math.min(within, seconds(20))));
};

export const changed = (queue: MessageQueue, p: Patient, wall: number): void =>
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

const person = async (a: Account, queue: MessageQueue): Promise<void> => {
  const { random, witness } = a;
  const by = random.pick(PEOPLE);
  const what = random.integer(10);
  if (what <= 1) {
    const p = random.pick(a.clinic.patients);
    const pause = pauseOf(a, random, by, [
      'all',
      `remediation/${random.pick(Object.keys(a.rules.policy.remediations))}`,
      `target/${p.arn}`,
      `group/${witness.groupIdOf(p)}`,
    ]);
    const [known] = await a.store.read({ kind: 'switches' });
    await setSwitches(a, [...(known?.pauses ?? []), pause]);
    witness.paused(pause);
    a.note(() => `${by} pauses ${pause.scope}`);
  } else if (what === 2) {
    await setSwitches(a, []);
    witness.resumed();
  } else if (what <= 5) answerAsk(a, queue, random, by);
  else if (what === 6) await askUndo(a, queue, random, by);
  else if (what === 7) retag(a);
  else if (what === 8) explain(a, queue);
  else visit(a);
};

const explain = (a: Account, queue: MessageQueue): void => {
  const ill = a.clinic.patients.filter((x) => KINDS.some((kind) => x.ailments[kind].ill));
  const p = a.random.pick(ill.length > 0 ? ill : a.clinic.patients);
  a.schedule.live(
    ['explain'],
    (life) => plan(p.arn, undefined, depsOf(a, life, queue)),
    () => {},
  );
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

const outbreak = (a: Account, queue: MessageQueue, p: Patient, kind: Kind, within = seconds(20)): void => {
  if (a.isQuiet() || !p.exists) return;
  a.clinic.fallIll(p, kind);
  a.note(() => `${p.arn} has ${kind}`);
  alarm(a, queue, p, kind, within);
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

export const happenings = (a: Account, queue: MessageQueue): void => {
  const { random, schedule, clinic } = a;
  const during = (ms: number) => random.integer(ms);
  for (let n = 2 + random.integer(8); n > 0; n--)
    schedule.at(during(NOISY - minutes(10)), () =>
      outbreak(a, queue, random.pick(clinic.patients), random.pick(KINDS)),
    );
  // A storm over minutes, or a few within the same second: then their passes race for the group's record.
  if (random.chance(0.5)) {
    const kind = random.pick(KINDS);
    const at = during(NOISY - minutes(15));
    const [share, ms] = random.chance(0.5) ? [0.8, minutes(4)] : [0.3, 300];
    for (const p of clinic.patients.filter((x) => x.group !== undefined && random.chance(share)))
      schedule.at(at + during(ms), () => outbreak(a, queue, p, kind, ms));
  }
  for (let n = random.integer(16); n > 0; n--) schedule.at(during(NOISY), () => void person(a, queue));
  if (!a.faultless && random.chance(0.5)) jumps(a);
};

export const sweeps = (a: Account, queue: MessageQueue): void => {
  const tick = (): void => {
    a.schedule.live(
      ['sweep'],
      (life) => sweep(depsOf(a, life, queue), REGION),
      () => {},
    );
    a.schedule.after(minutes(1), tick);
  };
  a.schedule.at(a.random.integer(minutes(1)), tick);
};

/** What a person would do at the end of a bad day: resume, put the tags back, and let the machines be seen again. */
export const calm = async (a: Account): Promise<void> => {
  await setSwitches(a, []);
  a.witness.resumed();
  for (const p of a.clinic.patients) p.blind = undefined;
  a.note(() => 'from here on nothing fails');
};
