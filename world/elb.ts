/** Elastic Load Balancing v2, as far as target groups go: who is registered, who answers, and how long the balancer takes to see that. */
import * as api from '@aws-sdk/client-elastic-load-balancing-v2';
import { page, toTags } from './describe.ts';
import { putPoint } from './metrics.ts';
import { AwsError, defineService, type Operations, queryWords } from './service.ts';
import type { World } from './world.ts';

export type TargetState = 'initial' | 'healthy' | 'unhealthy' | 'draining' | 'unused';
export type LoadTarget = {
  readonly id: string;
  readonly port: number;
  readonly zone: string | undefined;
  state: TargetState;
  reason: string | undefined;
  /** What the last look at it found; the state follows after so many checks. */
  answered: boolean | undefined;
  turn: number;
};
export type TargetGroup = {
  readonly name: string;
  readonly arn: string;
  readonly type: 'instance' | 'ip';
  readonly port: number;
  /** Milliseconds: the interval by the threshold. */
  readonly healthyAfter: number;
  readonly unhealthyAfter: number;
  /** Milliseconds that a deregistered target still drains. */
  readonly deregistration: number;
  readonly loadBalancers: readonly string[];
  readonly targets: Map<string, LoadTarget>;
  tags: Record<string, string>;
};
/** Of a listener: how much of its traffic goes to which of its target groups, in percent. */
export type ListenerRule = { readonly arn: string; readonly weights: Map<string, number> };
export type ElbState = {
  readonly groups: Map<string, TargetGroup>;
  readonly rules: Map<string, ListenerRule>;
  /** Ids of targets whose application does not answer, whatever its host does. */
  readonly sick: Set<string>;
  /** Of targets that are containers, by id and port: whether they answer. For an instance the world looks at the instance. */
  readonly probes: Map<string, () => boolean>;
  /** Told whenever a target's health has changed: ECS waits for that. */
  readonly listeners: Set<() => void>;
};
export const createElbState = (): ElbState => ({
  groups: new Map(),
  rules: new Map(),
  sick: new Set(),
  probes: new Map(),
  listeners: new Set(),
});

const keyOf = (id: string, port: number) => `${id}:${port}`;

/** A target group behind a load balancer. Source of the defaults: "Health checks for your target groups", ELB's user guide. */
export const makeTargetGroup = (world: World, name: string, given: Partial<TargetGroup> = {}): TargetGroup => {
  const { region, account } = world;
  const id = world.random.hex(16);
  const group: TargetGroup = {
    name,
    arn: `arn:aws:elasticloadbalancing:${region}:${account}:targetgroup/${name}/${id}`,
    type: 'instance',
    port: 80,
    healthyAfter: 5 * 30_000,
    unhealthyAfter: 2 * 30_000,
    deregistration: 300_000,
    loadBalancers: [`arn:aws:elasticloadbalancing:${region}:${account}:loadbalancer/app/${name}/${id}`],
    targets: new Map(),
    tags: {},
    ...given,
  };
  world.elb.groups.set(group.arn, group);
  return group;
};

/** A rule before two groups of one load balancer: all of its traffic goes to the first. */
export const makeRule = (world: World, first: TargetGroup, second: TargetGroup): ListenerRule => {
  const balancer = first.loadBalancers[0] ?? '';
  const arn = `${balancer.replace(':loadbalancer/', ':listener-rule/')}/${first.arn.split('/').at(-1)}/${second.arn.split('/').at(-1)}`;
  const rule: ListenerRule = {
    arn,
    weights: new Map([
      [first.arn, 100],
      [second.arn, 0],
    ]),
  };
  world.elb.rules.set(arn, rule);
  return rule;
};

/**
 * Requests of each minute, how many of them the targets answer with a 5xx, and connections that the load balancer itself turns away (`rejected`): as it
 * counts them, for the target group and for all of it, and publishes a minute later.
 */
export const receive = (
  world: World,
  group: TargetGroup,
  each: () => { readonly requests: number; readonly failed: number; readonly rejected?: number },
) => {
  const { clock } = world;
  const whole = { LoadBalancer: (group.loadBalancers[0] ?? '').split(':loadbalancer/')[1] ?? '' };
  const dimensions = { TargetGroup: group.arn.split(':').at(-1) ?? '', ...whole };
  const minute = () => {
    const at = clock.now();
    const { requests, failed, rejected = 0 } = each();
    clock.at(at + 60_000, () => {
      const count = (name: string, sum: number, ...of: readonly Record<string, string>[]) => {
        // What did not happen has no datapoint.
        for (const dimensions of sum > 0 ? of : [])
          putPoint(world, {
            namespace: 'AWS/ApplicationELB',
            name,
            dimensions,
            point: { at, min: 1, max: 1, sum, count: sum },
          });
      };
      count('RequestCount', requests, dimensions, whole);
      count('HTTPCode_Target_5XX_Count', failed, dimensions, whole);
      count('RejectedConnectionCount', rejected, whole);
    });
    clock.at(at + 60_000, minute);
  };
  minute();
};

export const instanceAnswers = (world: World, id: string): boolean => {
  const instance = world.ec2.instances.get(id);
  const host = world.hosts.get(id);
  return (
    instance?.state === 'running' &&
    !instance.impaired.system &&
    !instance.impaired.instance &&
    host !== undefined &&
    host.downUntil <= world.clock.now()
  );
};
const answers = (world: World, { id, port }: LoadTarget): boolean =>
  !world.elb.sick.has(id) && (world.elb.probes.get(keyOf(id, port))?.() ?? instanceAnswers(world, id));

const look = (world: World, group: TargetGroup, target: LoadTarget) => {
  const now = answers(world, target);
  if (target.state === 'draining' || now === target.answered) return;
  target.answered = now;
  const turn = ++target.turn;
  // A new target takes its first answer for granted: "healthy after one successful check" while it is initial.
  const wait =
    now && target.state === 'initial' ? group.healthyAfter / 5 : now ? group.healthyAfter : group.unhealthyAfter;
  world.clock.at(world.clock.now() + wait, () => {
    if (target.turn !== turn || target.state === 'draining') return;
    Object.assign(world.lag.change(target), {
      state: now ? 'healthy' : 'unhealthy',
      reason: now ? undefined : 'Target.Timeout',
    });
    for (const listener of world.elb.listeners) listener();
  });
};

/** Looks at every target anew: called at whatever may change an answer. */
export const probeTargets = (world: World) => {
  for (const group of world.elb.groups.values())
    for (const target of group.targets.values()) look(world, group, target);
};

export const registerTarget = (
  world: World,
  group: TargetGroup,
  { id, port, zone, answers: probe }: Pick<LoadTarget, 'id' | 'port' | 'zone'> & { answers?: () => boolean },
) => {
  if (probe) world.elb.probes.set(keyOf(id, port), probe);
  const known = group.targets.get(keyOf(id, port));
  if (known && known.state !== 'draining') return;
  const target: LoadTarget = {
    id,
    port,
    zone,
    state: group.loadBalancers.length > 0 ? 'initial' : 'unused',
    reason: group.loadBalancers.length > 0 ? 'Elb.RegistrationInProgress' : 'Target.NotInUse',
    answered: undefined,
    turn: 0,
  };
  group.targets.set(keyOf(id, port), world.lag.create(target));
  if (target.state === 'initial') look(world, group, target);
};

/** It drains first, and is gone afterwards. */
export const deregisterTarget = (world: World, group: TargetGroup, id: string, port: number) => {
  const target = group.targets.get(keyOf(id, port));
  if (!target || target.state === 'draining') return;
  Object.assign(world.lag.change(target), {
    state: 'draining',
    reason: 'Target.DeregistrationInProgress',
    turn: target.turn + 1,
  });
  world.clock.at(world.clock.now() + group.deregistration, () => {
    if (group.targets.get(keyOf(id, port)) === target) group.targets.delete(keyOf(id, port));
  });
};

const find = (world: World, arn: string | undefined): TargetGroup => {
  const group = world.elb.groups.get(arn ?? '');
  if (group) return group;
  throw new AwsError('TargetGroupNotFound', `Target groups '${arn}' not found`, 400);
};

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  'Elb.RegistrationInProgress': 'Target registration is in progress',
  'Target.DeregistrationInProgress': 'Target deregistration is in progress',
  'Target.NotInUse': 'Target group is not configured to receive traffic from the load balancer',
  'Target.NotRegistered': 'Target is not registered to the target group',
  'Target.Timeout': 'Request timed out',
};

const healthOf = (target: Pick<LoadTarget, 'id' | 'port' | 'zone' | 'state' | 'reason'>) => ({
  Target: { Id: target.id, Port: target.port, ...(target.zone && { AvailabilityZone: target.zone }) },
  HealthCheckPort: String(target.port),
  TargetHealth: {
    State: target.state,
    ...(target.reason && {
      Reason: target.reason as 'Target.Timeout',
      Description: DESCRIPTIONS[target.reason] ?? target.reason,
    }),
  },
});

const operations: Operations<typeof api> = {
  DescribeTargetGroups: (input, { world }) => {
    const named = input.TargetGroupArns?.map((arn) => find(world, arn));
    const balancer = input.LoadBalancerArn;
    if (balancer && ![...world.elb.groups.values()].some((g) => g.loadBalancers.includes(balancer)))
      throw new AwsError('LoadBalancerNotFound', `Load balancers '[${balancer}]' not found`, 400);
    const all = (named ?? [...world.elb.groups.values()]).filter(
      (g) =>
        (!input.Names || input.Names.includes(g.name)) &&
        (!input.LoadBalancerArn || g.loadBalancers.includes(input.LoadBalancerArn)),
    );
    const { items, nextToken } = page(all, { max: input.PageSize, token: input.Marker, otherwise: 400 });
    return {
      TargetGroups: items.map((g) => ({
        TargetGroupArn: g.arn,
        TargetGroupName: g.name,
        Protocol: 'HTTP' as const,
        Port: g.port,
        TargetType: g.type,
        VpcId: 'vpc-00000000000000001',
        LoadBalancerArns: [...g.loadBalancers],
        HealthCheckIntervalSeconds: 30,
        HealthyThresholdCount: Math.round(g.healthyAfter / 30_000),
        UnhealthyThresholdCount: Math.round(g.unhealthyAfter / 30_000),
      })),
      ...(nextToken && { NextMarker: nextToken }),
    };
  },

  DescribeTargetHealth: (input, { world }) => {
    const group = find(world, input.TargetGroupArn);
    if (!input.Targets)
      return {
        TargetHealthDescriptions: [...group.targets.values()].flatMap((t) => world.lag.seen(t) ?? []).map(healthOf),
      };
    return {
      TargetHealthDescriptions: input.Targets.map(({ Id = '', Port = group.port }) => {
        const known = group.targets.get(keyOf(Id, Port));
        return healthOf(
          (known && world.lag.seen(known)) ?? {
            id: Id,
            port: Port,
            zone: undefined,
            state: 'unused',
            reason: 'Target.NotRegistered',
          },
        );
      }),
    };
  },

  RegisterTargets: (input, { world }) => {
    const group = find(world, input.TargetGroupArn);
    for (const { Id = '', Port = group.port, AvailabilityZone } of input.Targets ?? []) {
      if (group.type === 'instance' && !world.ec2.instances.has(Id))
        throw new AwsError('InvalidTarget', `The following targets are not in a running state: '${Id}'`, 400);
      registerTarget(world, group, { id: Id, port: Port, zone: AvailabilityZone });
    }
    return {};
  },

  /** What is not registered is passed over. */
  DeregisterTargets: (input, { world }) => {
    const group = find(world, input.TargetGroupArn);
    for (const { Id = '', Port } of input.Targets ?? [])
      for (const target of [...group.targets.values()])
        if (target.id === Id && (Port === undefined || target.port === Port))
          deregisterTarget(world, group, Id, target.port);
    return {};
  },

  DescribeTags: (input, { world }) => ({
    TagDescriptions: (input.ResourceArns ?? []).map((ResourceArn) => ({
      ResourceArn,
      Tags: toTags(find(world, ResourceArn).tags),
    })),
  }),

  CreateTargetGroup: (input, { world }) => {
    const type = input.TargetType === 'ip' ? 'ip' : 'instance';
    const group = makeTargetGroup(world, input.Name ?? '', { type, port: input.Port ?? 80, loadBalancers: [] });
    return { TargetGroups: [{ TargetGroupArn: group.arn, TargetGroupName: group.name, TargetType: type }] };
  },
};

export const elbService = defineService<typeof api>({
  name: 'elb',
  signingName: 'elasticloadbalancing',
  iamPrefix: 'elasticloadbalancing',
  protocol: 'query',
  xmlNamespace: 'http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/',
  api,
  words: queryWords,
  operations,
  resources: {
    RegisterTargets: (input) => [{ arn: input.TargetGroupArn ?? '' }],
    DeregisterTargets: (input) => [{ arn: input.TargetGroupArn ?? '' }],
  },
});
