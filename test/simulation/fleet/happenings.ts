/** What befalls the fleet beside its troubles: machines that die in the middle of a step, people, other controllers, agents that babble or hang. */
import type { Pause } from '../../../shared/core/store.ts';
import { minutes, seconds } from '../../../shared/core/time.ts';
import { sweep } from '../../../shared/runtime/sweep.ts';
import { instanceArn } from '../../../world/arns.ts';
import type { Instance } from '../../../world/ec2.ts';
import { beginIssue, endIssue } from '../../../world/health.ts';
import { type Run, setAgent } from '../../../world/hosts.ts';
import { impair } from '../../../world/instances.ts';
import type { MessageQueue } from '../engine.ts';
import { answerAsk, askUndo, PEOPLE, pauseOf, setSwitches } from '../people.ts';
import { asFunction, type FleetAccount } from './account.ts';
import { beginnings, managed } from './beginnings.ts';
import type { Field } from './fleet.ts';
import type { Sent } from './witness.ts';

/** Things happen for so long; then nothing fails any more, and everything must come to an end. */
export const NOISY = minutes(40);

export const sweeps = (a: FleetAccount, queue: MessageQueue): void => {
  const tick = (): void => {
    a.schedule.live(
      'sweep',
      (life) => asFunction(a, life, queue, (deps) => sweep(deps, a.world.region)),
      () => {},
    );
    a.schedule.after(minutes(1), tick);
  };
  a.schedule.at(a.random.integer(minutes(1)), tick);
};

export const fallIll = async (a: FleetAccount, field: Field, remediation: string): Promise<void> => {
  const beginning = beginnings[remediation];
  if (!beginning || a.isQuiet() || managed(field).length === 0) return;
  const begun = await beginning.begin(field);
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

const stop = async (a: FleetAccount, field: Field, i: Instance): Promise<void> => {
  disturbMachine(a, i);
  a.witness.stopped(i.id);
  a.note(() => `somebody stops ${i.id}`);
  await field.person('ec2', 'StopInstances', { InstanceIds: [i.id] });
};
const kill = async (a: FleetAccount, field: Field, i: Instance): Promise<void> => {
  disturbMachine(a, i);
  a.note(() => `${i.id} is terminated`);
  await field.person('ec2', 'TerminateInstances', { InstanceIds: [i.id] });
};
const replace = async (a: FleetAccount, field: Field, i: Instance): Promise<void> => {
  disturbMachine(a, i);
  a.note(() => `its group replaces ${i.id}`);
  await field.person('autoscaling', 'SetInstanceHealth', { InstanceId: i.id, HealthStatus: 'Unhealthy' });
};

/** In the middle of a step: it dies, is replaced or stopped, or somebody puts back what was wrong. */
export const meddle = (a: FleetAccount, field: Field, sent: Sent): void => {
  const { random, schedule, world } = a;
  if (a.isQuiet() || !random.chance(0.25)) return;
  const instance = world.ec2.instances.get(sent.target.split('/')[1] ?? '');
  const again = a.patients.findLast((p) => p.arn === sent.target && p.again)?.again;
  schedule.after(random.integer(random.chance(0.5) ? seconds(20) : minutes(4)), async () => {
    if (instance?.state === 'running') await random.pick([stop, kill, replace])(a, field, instance);
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
const babble = (a: FleetAccount): void => {
  const { random, world, schedule } = a;
  const until = schedule.time() + random.integer(minutes(20));
  const id = random.pick(machines(a)).id;
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

const machineFalls = async (a: FleetAccount, field: Field): Promise<void> => {
  const { random, world, schedule } = a;
  if (machines(a).length === 0) return;
  const i = random.pick(machines(a));
  const host = world.hosts.get(i.id);
  const what = random.integer(7);
  if (what === 0) await kill(a, field, i);
  else if (what === 1) await stop(a, field, i);
  else if (what === 2) await replace(a, field, i);
  else if (what <= 4) babble(a);
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
const storm = (a: FleetAccount): void => {
  a.note(() => 'a storm');
  for (const i of machines(a).filter((m) => m.tags['aws:autoscaling:groupName'] !== undefined)) {
    disturbMachine(a, i);
    if (a.random.chance(0.8)) impair(a.world, i.id, { instance: true }, 'reboot');
  }
};

/** AWS has a trouble of its own, in a zone or in the region, and closes it after a while. */
const awsFalls = (a: FleetAccount, random: FleetAccount['random']): void => {
  const { world, schedule } = a;
  const zone = random.chance(0.4) ? undefined : random.pick(Object.keys(world.zones));
  const issue = beginIssue(world, { service: random.pick(['EC2', 'EBS'] as const), zone });
  a.note(() => `AWS has an issue in ${zone ?? world.region}`);
  schedule.after(minutes(5) + random.integer(minutes(60)), () => {
    if (issue.endTime === undefined) endIssue(world, issue);
  });
};

// ---- people -----------------------------------------------------------------------------------------------------------------------------

const retag = (a: FleetAccount): void => {
  if (machines(a).length === 0) return;
  const i = a.random.pick(machines(a));
  const arn = instanceArn(a.world, i.id);
  const { 'steward:managed': _m, 'steward:ignore': _i, ...rest } = i.tags;
  i.tags = {
    ...rest,
    ...a.random.pick([{ 'steward:managed': 'true' }, {}, { 'steward:managed': 'true', 'steward:ignore': 'yes' }]),
  };
  a.witness.retagged(arn);
  a.note(() => `${i.id} has the tags ${JSON.stringify(i.tags)}`);
};

const pause = async (a: FleetAccount, by: string): Promise<void> => {
  const { random, policy } = a;
  const arn = instanceArn(a.world, random.pick([a.fleet.shop, ...machines(a)]).id);
  const scopes: Pause['scope'][] = [
    'all',
    `remediation/${random.pick(Object.keys(policy.remediations))}`,
    `target/${arn}`,
    'group/asg/web',
  ];
  const set = pauseOf(a, by, scopes);
  const [known] = await a.store.read({ kind: 'switches' });
  await setSwitches(a, [...(known?.pauses ?? []), set]);
  a.witness.paused(set);
  a.note(() => `${by} pauses ${set.scope}`);
};

const person = async (a: FleetAccount, queue: MessageQueue): Promise<void> => {
  const by = a.random.pick(PEOPLE);
  const what = a.random.integer(10);
  if (what === 0) await pause(a, by);
  else if (what === 1) {
    await setSwitches(a, []);
    a.witness.resumed();
  } else if (what <= 6) answerAsk(a, queue, by);
  else if (what === 7) await askUndo(a, queue, by);
  else if (what === 8) retag(a);
};

/** The main trouble once or twice, some others, and all that goes wrong around them. */
export const happenings = (a: FleetAccount, queue: MessageQueue, field: Field, main: string): void => {
  const { random, schedule } = a;
  const during = (ms: number) => random.integer(ms);
  const others = Object.keys(beginnings).filter((name) => random.fork(`beside ${name}`).chance(0.15));
  // The first is soon enough for its whole ladder.
  for (const [n, name] of [main, ...(random.chance(0.5) ? [main] : []), ...others].entries())
    schedule.at(during(n === 0 ? minutes(15) : NOISY - minutes(5)), () => void fallIll(a, field, name));
  for (let n = 8 + random.integer(12); n > 0; n--) schedule.at(during(NOISY), () => void person(a, queue));
  if (a.faultless) return;
  for (let n = random.integer(4); n > 0; n--) schedule.at(during(NOISY), () => void machineFalls(a, field));
  const aws = random.fork('aws');
  if (aws.chance(0.15)) schedule.at(aws.integer(NOISY), () => awsFalls(a, aws));
  if (random.chance(0.08)) schedule.at(during(NOISY), () => storm(a));
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
