/** What the tasks of a service tell: why they ended, which serve, which hang; and what a person can do about what ECS says. */

import { signalsOfAlarm } from '../../shared/core/alarm.ts';
import type { ContainerService, ContainerTask } from '../../shared/core/containers.ts';
import type { TargetHealth } from '../../shared/core/loadBalancers.ts';
import type { Ports } from '../../shared/core/ports.ts';
import {
  endedWith,
  endingOf,
  inAlternate,
  pictureOf,
  remedyOf,
  type ServiceView,
  standingOf,
  unplacedBecause,
  viewOf,
} from '../../shared/core/services.ts';
import { hours, minutes } from '../../shared/core/time.ts';

const NOW = hours(10);
const LOOK = { window: minutes(30), patience: minutes(3) };

const task = (more: Partial<ContainerTask> = {}): ContainerTask => ({
  arn: 'arn:aws:ecs:eu-central-1:111122223333:task/shop/1',
  service: 'web',
  definition: 'web:2',
  launchType: 'FARGATE',
  zone: 'a',
  containerInstance: undefined,
  status: 'RUNNING',
  desired: 'RUNNING',
  health: 'unknown',
  room: { cpu: 256, memory: 512 },
  createdAt: NOW - hours(1),
  startedAt: NOW - hours(1),
  containers: [],
  addresses: ['10.0.0.1'],
  tags: {},
  ...more,
});
const exited = (code: number | undefined, reason?: string, name = 'web') => ({
  name,
  image: 'web:2',
  hostPorts: [],
  ...(code === undefined ? {} : { exitCode: code }),
  ...(reason ? { reason } : {}),
});
const ended = (code: string, reason: string, containers = [exited(1)], at = NOW - minutes(1)): ContainerTask =>
  task({ status: 'STOPPED', desired: 'STOPPED', stopped: { code, reason, at }, containers });
const service: ContainerService = {
  arn: 'arn:aws:ecs:eu-central-1:111122223333:service/shop/web',
  name: 'web',
  cluster: 'shop',
  status: 'ACTIVE',
  controller: 'ECS',
  grace: minutes(5),
  rollsBack: false,
  tags: {},
  launchType: 'FARGATE',
  strategy: 'REPLICA',
  desired: 2,
  running: 2,
  pending: 0,
  rebalancing: false,
  placement: [],
  constraints: [],
  providers: [],
  subnets: [],
  classic: false,
  minimumHealthyPercent: 100,
  maximumPercent: 200,
  targetGroups: [],
  deployments: [
    {
      id: 'ecs-svc/2',
      definition: 'web:2',
      status: 'PRIMARY',
      rollout: 'COMPLETED',
      failedTasks: 0,
      desired: 2,
      running: 2,
      createdAt: NOW - hours(2),
      updatedAt: NOW - hours(2),
    },
  ],
  events: [],
};
const view = (more: Partial<ServiceView> = {}): ServiceView => ({
  service,
  tasks: [],
  instances: [],
  targets: [],
  ...more,
});
const target = (state: string, port = 8080, id = '10.0.0.1') => ({ id, port, state });

const KILLED = 'OutOfMemoryError: Container killed due to memory usage';
test.each([
  ['exit', ended('EssentialContainerExited', 'Essential container in task exited'), 'web exited with 1'],
  ['memory', ended('EssentialContainerExited', 'Essential', [exited(137, KILLED)]), `web exited with 137 (${KILLED})`],
  ['exit', ended('EssentialContainerExited', 'Essential', [exited(0)]), 'web exited with 0'],
  ['exit', ended('EssentialContainerExited', 'E', [exited(0, undefined, 'log'), exited(2)]), 'web exited with 2'],
  ['start', ended('TaskFailedToStart', 'CannotPullContainerError: no', []), 'CannotPullContainerError: no'],
  [
    'health',
    ended('ServiceSchedulerInitiated', 'Task failed ELB health checks in (x)'),
    'Task failed ELB health checks',
  ],
  [undefined, ended('ServiceSchedulerInitiated', 'Scaling activity initiated by (deployment x)'), 'Scaling activity'],
  [undefined, ended('UserInitiated', 'Steward: it hangs while others serve'), 'Steward: it hangs'],
  [undefined, ended('SpotInterruption', 'Your Spot Task was interrupted.'), 'Your Spot Task'],
  [undefined, task(), 'it says nothing'],
] as const)('%s: %#', (ending, of, words) => {
  expect(endingOf(of)).toBe(ending);
  expect(endedWith(of)).toContain(words);
});

test.each([
  ['serves', []],
  ['serves', ['healthy']],
  ['serves', ['healthy', 'healthy']],
  ['serves', ['unused']],
  ['serves', ['unavailable']],
  ['starts', ['initial']],
  ['starts', ['healthy', 'initial']],
  ['unhealthy', ['healthy', 'unhealthy']],
] as const)('a running task %s: in its target groups it is %j', (standing, states) => {
  const targets = states.map((state) => ({
    port: 8080,
    health: [target(state), target('unhealthy', 8080, '10.0.0.9')],
  }));
  expect(standingOf(view({ targets }), task())).toBe(standing);
});
test('one that is registered nowhere, or under another port, does not serve yet', () => {
  expect(standingOf(view({ targets: [{ port: 8080, health: [] }] }), task())).toBe('starts');
  expect(standingOf(view({ targets: [{ port: 8080, health: [target('healthy', 81)] }] }), task())).toBe('starts');
});
test('of blue and green the one that has it counts', () => {
  const health = [target('draining'), target('healthy')];
  expect(standingOf(view({ targets: [{ port: 8080, health }] }), task())).toBe('serves');
});
test.each([
  ['by an address of its own', { addresses: ['10.0.0.1'] }, target('healthy')],
  [
    'by its host and a port of that',
    {
      launchType: 'EC2',
      addresses: [],
      containerInstance: 'unit-1',
      containers: [{ ...exited(undefined), hostPorts: [32768] }],
    },
    target('healthy', 32768, 'i-1'),
  ],
])('which of blue and green a task is in: %s', (_, of, own) => {
  const other = { ...own, port: own.port + 1 };
  const instances = [{ arn: 'unit-1', instance: 'i-1' }] as unknown as ServiceView['instances'];
  const within = (alternate: readonly TargetHealth[] | undefined) => {
    const targets = [{ port: 8080, health: [own, other], ...(alternate ? { alternate } : {}) }];
    return inAlternate(view({ instances, targets }), [task(of)]);
  };
  expect([within([own]), within([other]), within(undefined)]).toEqual([true, false, false]);
});
test('a view tells blue from green, and asks for the health of each once', async () => {
  const asked: string[] = [];
  const loadBalancers = {
    health: async (arn: string) => {
      asked.push(arn);
      return [target(arn)];
    },
  };
  const containers = { tasksOf: async () => [] };
  const targetGroups = [{ arn: 'blue', alternate: 'green', container: 'web', port: 8080 }];
  const { targets } = await viewOf({ ...service, targetGroups }, { containers, loadBalancers } as unknown as Ports);
  expect(targets).toEqual([{ port: 8080, health: [target('blue'), target('green')], alternate: [target('green')] }]);
  expect(asked).toEqual(['blue', 'green']);
});

test('unhealthy is hung only beyond grace and patience', () => {
  const hungAt = (age: number) =>
    pictureOf(view({ tasks: [task({ health: 'unhealthy', startedAt: NOW - age })] }), NOW, LOOK).hung.length;
  expect([hungAt(minutes(7)), hungAt(minutes(8))]).toEqual([0, 1]);
});
test('what never came to run hangs after a quarter of an hour', () => {
  const hungAt = (age: number) =>
    pictureOf(view({ tasks: [task({ status: 'PENDING', createdAt: NOW - age })] }), NOW, LOOK).hung.length;
  expect([hungAt(minutes(14)), hungAt(minutes(15))]).toEqual([0, 1]);
});

test('ends are counted for the primary deployment, within the window, the newest first', () => {
  const of = (at: number, more: Partial<ContainerTask> = {}): ContainerTask => ({
    ...ended('EssentialContainerExited', `at ${at}`, [exited(1)], NOW - minutes(at)),
    ...more,
  });
  const tasks = [of(29), of(31), of(2), of(3, { definition: 'web:1' }), of(4, { createdAt: NOW - hours(3) })];
  const found = pictureOf(view({ tasks }), NOW, LOOK).ended.map((t) => t.stopped?.reason);
  expect(found).toEqual(['at 2', 'at 29']);
});

test('why nothing is placed: the latest word, unless it was said before this deployment, or nothing lacks', () => {
  const said = (...messages: string[]) =>
    view({ service: { ...service, events: messages.map((message, n) => ({ at: NOW - minutes(n), message })) } });
  const why = (v: ServiceView) => unplacedBecause(v, pictureOf(v, NOW, LOOK));
  const cannot =
    '(service web) was unable to place a task because no container instance met all of its requirements. For more information, see x.';
  expect(why(said('(service web) has started 1 tasks', cannot))).toBe(
    'no container instance met all of its requirements.',
  );
  expect(why(said('(service web) has reached a steady state.', cannot))).toBeUndefined();
  expect(why(said())).toBeUndefined();
  const old = { ...service, events: [{ at: NOW - hours(3), message: cannot }] };
  expect(why(view({ service: old }))).toBeUndefined();
  const enough = { ...said(cannot), tasks: [task(), task()] };
  expect(why(enough)).toBeUndefined();
});

test.each([
  ['CannotPullContainerError: pull access denied', 'registry'],
  ['ResourceInitializationError: unable to pull secrets or registry auth', 'registry'],
  ['is already using a port required by your task.', 'dynamic host port'],
  ['has insufficient memory available.', 'add an instance'],
  ['Timeout waiting for network interface provisioning to complete.', 'free addresses'],
  ['Capacity is unavailable at this time.', 'another zone'],
  ['something new', 'describe-services'],
])('%s: look at … %s', (why, words) => expect(remedyOf(why)).toContain(words));

test.each(['RunningTaskCount', 'RestartCount'])('an alarm on %s of Container Insights is about the service', (name) => {
  const dimensions = { ClusterName: 'shop', ServiceName: 'web' };
  const [signal] = signalsOfAlarm({
    arn: 'arn:aws:cloudwatch:eu-central-1:111122223333:alarm:web',
    name: 'web',
    state: 'ALARM',
    reason: '',
    at: NOW,
    metrics: [{ namespace: 'ECS/ContainerInsights', name, dimensions }],
  });
  expect(signal).toMatchObject({ kind: 'container-service.failing', target: { arn: service.arn } });
});
