/** What befalls the fleet beside its troubles: machines that die in the middle of a step, people, other controllers, agents that babble or hang. */
import type { Pause } from '../../../shared/core/store.ts';
import { minutes, seconds } from '../../../shared/core/time.ts';
import { sweep } from '../../../shared/runtime/sweep.ts';
import { instanceArn } from '../../../world/arns.ts';
import type { Instance } from '../../../world/ec2.ts';
import { beginIssue, endIssue } from '../../../world/health.ts';
import { type Run, setAgent } from '../../../world/hosts.ts';
import { impair } from '../../../world/instances.ts';
import type { Random } from '../../../world/random.ts';
import type { MessageQueue } from '../engine.ts';
import { answerAsk, askUndo, PEOPLE, pauseOf, setSwitches } from '../people.ts';
import { asFunction, type FleetAccount } from './account.ts';
import { beginnings, managed } from './beginnings.ts';
import type { Place } from './fleet.ts';
import type { Sent } from './witness.ts';

/** Things happen for so long; then nothing fails any more, and everything must come to an end. */
export const NOISY = minutes(40);

export const sweeps = (a: FleetAccount, queue: MessageQueue): void => {
  const tick = (): void => {
    a.schedule.live(
      ['sweep'],
      (life) => asFunction(a, life, queue, (deps) => sweep(deps, a.world.region)),
      () => {},
    );
    a.schedule.after(minutes(1), tick);
  };
  a.schedule.at(a.schedule.stream('sweeps').integer(minutes(1)), tick);
};

export const fallIll = async (a: FleetAccount, place: Place, remediation: string): Promise<void> => {
  const beginning = beginnings[remediation];
  if (!beginning || a.isQuiet() || managed(place).length === 0) return;
  const begun = await beginning.begin({ ...place, random: a.schedule.stream(`trouble ${remediation}`) });
  a.patients.push({ ...begun, remediation });
  a.witness.disturb(begun.arn);
  a.note(() => `${remediation} begins on ${begun.arn}`);
};

// ---- machines ---------------------------------------------------------------------------------------------------------------------------

const machines = ({ world }: FleetAccount): Instance[] =>
  [...world.ec2.instances.values()].filter((i) => i.state === 'running');

const disturbMachine = (a: FleetAccount, { id, tags }: Instance): void => {
  a.witness.disturb(instanceArn(a.world, id));
  // Who else serves of its group has changed for all of them.
  const group = a.world.autoscaling.groups.get(tags['aws:autoscaling:groupName'] ?? '');
  for (const member of group?.members.keys() ?? []) a.witness.disturb(instanceArn(a.world, member));
};

const stop = async (a: FleetAccount, place: Place, i: Instance): Promise<void> => {
  disturbMachine(a, i);
  a.witness.stopped(i.id);
  a.note(() => `somebody stops ${i.id}`);
  await place.person('ec2', 'StopInstances', { InstanceIds: [i.id] });
};
const kill = async (a: FleetAccount, place: Place, i: Instance): Promise<void> => {
  disturbMachine(a, i);
  a.note(() => `${i.id} is terminated`);
  await place.person('ec2', 'TerminateInstances', { InstanceIds: [i.id] });
};
const replace = async (a: FleetAccount, place: Place, i: Instance): Promise<void> => {
  disturbMachine(a, i);
  a.note(() => `its group replaces ${i.id}`);
  await place.person('autoscaling', 'SetInstanceHealth', { InstanceId: i.id, HealthStatus: 'Unhealthy' });
};

/** In the middle of a step: it dies, is replaced or stopped, or somebody puts back what was wrong. */
export const meddle = (a: FleetAccount, place: Place, sent: Sent): void => {
  const { schedule, world } = a;
  const random = schedule.stream(`meddle ${sent.remediation} ${sent.target}`);
  if (a.isQuiet() || !random.chance(0.25)) return;
  const instance = world.ec2.instances.get(sent.target.split('/')[1] ?? '');
  const again = a.patients.findLast((p) => p.arn === sent.target && p.again)?.again;
  schedule.after(random.integer(random.chance(0.5) ? seconds(20) : minutes(4)), async () => {
    if (instance?.state === 'running') await random.pick([stop, kill, replace])(a, place, instance);
    if (!again) return;
    a.witness.disturb(sent.target);
    a.note(() => `another controller undoes it: ${sent.target}`);
    await again();
  });
};

/** Cut at SSM's 24,000 characters, of another version, no JSON at all, or with what a terminal understands. */
const GARBAGE: readonly string[] = [
  '',
  'bash: line 1: syntax error near unexpected token `(',
  '{"version":1,"at":"2026-',
  `{"version":1,"mounts":[${'{"path":"/"},'.repeat(2_000)}`,
  '{"version":99,"mounts":"all of them"}',
  '[]',
  'null',
  '\u001b[31m{"version":1}\u001b[0m',
  `{"version":1,"os":"${'x'.repeat(30_000)}"}`,
];
const babble = (a: FleetAccount, random: Random, id: string): void => {
  const { world, schedule } = a;
  const until = schedule.time() + random.integer(minutes(20));
  const isHanging = random.chance(0.4);
  const run = (): Run => ({
    status: random.pick(['Success', 'Success', 'Failed']),
    stdout: random.pick(GARBAGE),
    stderr: '',
    exitCode: 0,
  });
  a.note(() => `${id} ${isHanging ? 'hangs' : 'babbles'}`);
  a.witness.disturb(instanceArn(world, id));
  const before = world.hostRunner;
  world.hostRunner = (instanceId, document, parameters) => {
    if (instanceId !== id || schedule.time() > until) return before?.(instanceId, document, parameters);
    return isHanging
      ? new Promise(() => {})
      : new Promise((resolve) => schedule.after(seconds(2), () => resolve(run())));
  };
};

const machineFalls = async (a: FleetAccount, place: Place, random: Random): Promise<void> => {
  const { world, schedule } = a;
  if (machines(a).length === 0) return;
  // More often one that is looked at.
  const ill = machines(a).filter(({ id }) => a.patients.some((p) => p.arn === instanceArn(world, id)));
  const among = ill.length > 0 && random.fork('of the ill').chance(0.5) ? ill : machines(a);
  const i = random.choose(among, ({ id }) => id);
  const host = world.hosts.get(i.id);
  const what = random.integer(7);
  if (what === 0) await kill(a, place, i);
  else if (what === 1) await stop(a, place, i);
  else if (what === 2) await replace(a, place, i);
  else if (what <= 4) babble(a, random, i.id);
  else if (host) {
    disturbMachine(a, i);
    const state = random.pick(['silent', 'silent', 'slow', 'absent'] as const);
    a.note(() => `the agent of ${i.id} is ${state}`);
    setAgent(world, host, state);
    schedule.after(random.integer(minutes(30)), () => {
      if (world.hosts.get(i.id) === host) setAgent(world, host, 'online');
      disturbMachine(a, i);
    });
  }
};

/** One cause, many patients. */
const storm = (a: FleetAccount, random: Random): void => {
  a.note(() => 'a storm');
  for (const i of machines(a).filter((m) => m.tags['aws:autoscaling:groupName'] !== undefined)) {
    disturbMachine(a, i);
    if (random.fork(i.id).chance(0.8)) impair(a.world, i.id, { instance: true }, 'reboot');
  }
};

/** AWS has a trouble of its own, in a zone or in the region, and closes it after a while. */
const awsFalls = (a: FleetAccount, random: Random): void => {
  const { world, schedule } = a;
  const zone = random.chance(0.4) ? undefined : random.pick(Object.keys(world.zones));
  const issue = beginIssue(world, { service: random.pick(['EC2', 'EBS'] as const), zone });
  a.note(() => `AWS has an issue in ${zone ?? world.region}`);
  schedule.after(minutes(5) + random.integer(minutes(60)), () => {
    if (issue.endTime === undefined) endIssue(world, issue);
  });
};

// ---- people -----------------------------------------------------------------------------------------------------------------------------

const retag = (a: FleetAccount, random: Random): void => {
  if (machines(a).length === 0) return;
  const i = random.choose(machines(a), ({ id }) => id);
  const arn = instanceArn(a.world, i.id);
  const { 'steward:managed': _m, 'steward:ignore': _i, ...rest } = i.tags;
  i.tags = {
    ...rest,
    ...random.pick([{ 'steward:managed': 'true' }, {}, { 'steward:managed': 'true', 'steward:ignore': 'yes' }]),
  };
  a.witness.retagged(arn);
  a.note(() => `${i.id} has the tags ${JSON.stringify(i.tags)}`);
};

const pause = async (a: FleetAccount, random: Random, by: string): Promise<void> => {
  const arn = instanceArn(a.world, random.choose([a.fleet.shop, ...machines(a)], ({ id }) => id).id);
  const scopes: Pause['scope'][] = [
    'all',
    `remediation/${random.choose(Object.keys(a.policy.remediations), (name) => name)}`,
    `target/${arn}`,
    'group/asg/web',
  ];
  const set = pauseOf(a, random, by, scopes);
  const [known] = await a.store.read({ kind: 'switches' });
  await setSwitches(a, [...(known?.pauses ?? []), set]);
  a.witness.paused(set);
  a.note(() => `${by} pauses ${set.scope}`);
};

const person = async (a: FleetAccount, queue: MessageQueue, random: Random): Promise<void> => {
  const by = random.pick(PEOPLE);
  const what = random.integer(10);
  if (what === 0) await pause(a, random, by);
  else if (what === 1) {
    await setSwitches(a, []);
    a.witness.resumed();
  } else if (what <= 6) answerAsk(a, queue, random, by);
  else if (what === 7) await askUndo(a, queue, random, by);
  else if (what === 8) retag(a, random);
};

/** The main trouble once or twice, some others, and all that goes wrong around them. Each draws by its name: a new one moves no other. */
export const happenings = (a: FleetAccount, queue: MessageQueue, place: Place, main: string): void => {
  const { schedule } = a;
  const { stream } = schedule;
  const begin = (name: string, within: number) =>
    schedule.at(stream(`begins ${name}`).integer(within), () => void fallIll(a, place, name));
  const several = (what: string, count: number, happens: (random: Random) => Promise<void>): void => {
    for (let n = 0; n < count; n++) {
      const random = stream(what);
      schedule.at(random.integer(NOISY), () => void happens(random));
    }
  };
  // The first is soon enough for its whole ladder.
  begin(main, minutes(15));
  if (stream('again').chance(0.5)) begin(main, NOISY - minutes(5));
  for (const name of Object.keys(beginnings))
    if (stream(`beside ${name}`).chance(0.15)) begin(name, NOISY - minutes(5));
  several('person', 8 + stream('people').integer(12), (random) => person(a, queue, random));
  if (a.faultless) return;
  several('machine', stream('machines').integer(4), (random) => machineFalls(a, place, random));
  several('aws', stream('issues').chance(0.15) ? 1 : 0, async (random) => awsFalls(a, random));
  several('storm', stream('storms').chance(0.08) ? 1 : 0, async (random) => storm(a, random));
};

/** What a person would do at the end of a bad day. */
export const calm = async (a: FleetAccount): Promise<void> => {
  await setSwitches(a, []);
  a.witness.resumed();
  a.world.hostRunner = undefined;
  Object.assign(a.world.events.trouble, { loss: 0, duplicate: 0, delayMs: 0 });
  for (const issue of a.world.health.events) if (issue.endTime === undefined) endIssue(a.world, issue);
  a.note(() => 'from here on nothing fails');
};
