/** Whether there is room for the tasks of one container instance on the others, and what can move at all. */
import * as fc from 'fast-check';
import {
  type ContainerInstance,
  type ContainerService,
  type ContainerTask,
  homeless,
  isStiff,
  movable,
} from '../../shared/core/containers.ts';
import { servingTargets } from '../../shared/core/loadBalancers.ts';

const task = (cpu: number, memory: number, more: Partial<ContainerTask> = {}): ContainerTask => ({
  arn: `task/${cpu}/${memory}`,
  service: 'web',
  definition: 'web:1',
  launchType: 'EC2',
  zone: 'a',
  containerInstance: 'i',
  status: 'RUNNING',
  desired: 'RUNNING',
  health: 'unknown',
  room: { cpu, memory },
  createdAt: 0,
  containers: [],
  addresses: [],
  tags: {},
  ...more,
});
const instance = (cpu: number, memory: number, more: Partial<ContainerInstance> = {}): ContainerInstance => ({
  arn: 'container-instance/shop/1',
  cluster: 'shop',
  instance: 'i-1',
  status: 'ACTIVE',
  connected: true,
  zone: 'a',
  running: 0,
  pending: 0,
  whole: { cpu: 2048, memory: 8000 },
  ports: [],
  free: { cpu, memory },
  registeredAt: 0,
  ...more,
});
const service = (more: Partial<ContainerService>): ContainerService => ({
  arn: 'service/shop/web',
  name: 'web',
  cluster: 'shop',
  status: 'ACTIVE',
  controller: 'ECS',
  grace: 0,
  rollsBack: false,
  tags: {},
  launchType: 'EC2',
  strategy: 'REPLICA',
  desired: 3,
  running: 3,
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
  deployments: [],
  events: [],
  ...more,
});

const rooms = fc.array(fc.tuple(fc.integer({ min: 0, max: 4096 }), fc.integer({ min: 0, max: 8192 })), {
  maxLength: 8,
});

test('those that find room fit together: nothing is counted twice', () => {
  fc.assert(
    fc.property(rooms, rooms, (wanted, free) => {
      const tasks = wanted.map(([cpu, memory]) => task(cpu, memory));
      const others = free.map(([cpu, memory]) => instance(cpu, memory));
      const left = homeless(tasks, others);
      const housed = tasks.filter((t) => !left.includes(t));
      const sum = (all: readonly { cpu: number; memory: number }[], kind: 'cpu' | 'memory') =>
        all.reduce((s, r) => s + r[kind], 0);
      for (const kind of ['cpu', 'memory'] as const)
        expect(
          sum(
            housed.map((t) => t.room),
            kind,
          ),
        ).toBeLessThanOrEqual(
          sum(
            others.map((o) => o.free),
            kind,
          ),
        );
      // Who finds none would not fit on an empty cluster of one of them either, or another took its place.
      if (housed.length === 0)
        for (const t of left)
          expect(others.every((o) => o.free.cpu < t.room.cpu || o.free.memory < t.room.memory)).toBe(true);
      expect(others.map((o) => o.free)).toEqual(free.map(([cpu, memory]) => ({ cpu, memory })));
    }),
  );
});

test.each([
  ['drains', { status: 'DRAINING' }],
  ['is cut off itself', { connected: false }],
])('one that %s offers no room', (_, more) => {
  expect(homeless([task(1, 1)], [instance(2048, 4096, more)])).toHaveLength(1);
});

test('what can move: tasks of services that are wanted, and no daemons', () => {
  const daemon = service({ name: 'logs', strategy: 'DAEMON' });
  const tasks = [
    task(1, 1),
    task(2, 2, { service: undefined }),
    task(3, 3, { service: 'logs' }),
    task(4, 4, { desired: 'STOPPED' }),
  ];
  expect(movable(tasks, [service({}), daemon])).toEqual([tasks[0]]);
});

test.each([
  [{ minimumHealthyPercent: 100, maximumPercent: 200 }, false],
  [{ minimumHealthyPercent: 100, maximumPercent: 100 }, true],
  [{ minimumHealthyPercent: 50, maximumPercent: 100 }, false],
  // 125 % of 3 is 3: one more is not allowed.
  [{ minimumHealthyPercent: 100, maximumPercent: 125 }, true],
  [{ minimumHealthyPercent: 100, maximumPercent: 125, desired: 4 }, false],
  [{ minimumHealthyPercent: 100, maximumPercent: 100, strategy: 'DAEMON' }, false],
])('%j may have neither more nor fewer tasks: %s', (more, stiff) => {
  expect(isStiff(service(more))).toBe(stiff);
});

test('who serves is healthy wherever it is registered', () => {
  const target = (id: string, state: string) => ({ id, port: 80, state });
  const groups = [
    [target('a', 'healthy'), target('b', 'healthy')],
    [target('b', 'unhealthy'), target('c', 'initial')],
  ];
  expect([...servingTargets(groups)]).toEqual(['a']);
});
