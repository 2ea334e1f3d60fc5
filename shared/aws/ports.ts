/** All ports of one session: one account, one region, one set of credentials. Each adapter, and with it its SDK client, loads on first use. */
import type { Ports } from '../core/ports.ts';
import type { HostOptions } from './hosts.ts';
import { type FleetReads, type Together, together } from './together.ts';

type Methods = Readonly<Record<string, (...args: never[]) => Promise<unknown>>>;

/** A port whose adapter is loaded when it is first asked for something. */
const lazily = <P extends object>(load: () => Promise<P>): P => {
  let loaded: Promise<P> | undefined;
  const asked =
    (name: string) =>
    async (...args: never[]): Promise<unknown> => {
      loaded ??= load();
      return ((await loaded) as Methods)[name]?.(...args);
    };
  // Whoever awaits a port must not take it for a promise.
  return new Proxy({} as P, { get: (_, name) => (name === 'then' ? undefined : asked(String(name))) });
};

/** What all looks of a remediation in this environment ask of the fleet, under one session. */
export const fleetReads = (options: HostOptions, how: Together): FleetReads =>
  together(
    {
      instances: lazily(() => import('./instances.ts').then((m) => m.ec2Instances(options))),
      groups: lazily(() => import('./groups.ts').then((m) => m.autoScalingGroups(options))),
      hosts: lazily(() => import('./hosts.ts').then((m) => m.ssmHosts(options))),
      health: lazily(() => import('./health.ts').then((m) => m.awsHealth(options))),
      volumes: lazily(() => import('./volumes.ts').then((m) => m.ec2Volumes(options))),
      containers: lazily(() => import('./ecs.ts').then((m) => m.ecsContainers(options))),
    },
    how,
  );

/** @param fleet reads that go together with those of other passes, for a look */
export const awsPorts = (options: HostOptions, fleet?: FleetReads): Ports => ({
  where: { account: options.account, region: options.region, stage: options.stage },
  instances: lazily(() => import('./instances.ts').then((m) => ({ ...m.ec2Instances(options), ...fleet?.instances }))),
  volumes: lazily(() => import('./volumes.ts').then((m) => ({ ...m.ec2Volumes(options), ...fleet?.volumes }))),
  hosts: lazily(() => import('./hosts.ts').then((m) => ({ ...m.ssmHosts(options), ...fleet?.hosts }))),
  metrics: lazily(() => import('./cloudwatch.ts').then((m) => m.cloudWatchMetrics(options))),
  trails: lazily(() => import('./trails.ts').then((m) => m.cloudTrails(options))),
  keys: lazily(() => import('./keys.ts').then((m) => m.kmsKeys(options))),
  buckets: lazily(() => import('./buckets.ts').then((m) => m.s3Buckets(options))),
  groups: lazily(() => import('./groups.ts').then((m) => ({ ...m.autoScalingGroups(options), ...fleet?.groups }))),
  containers: lazily(() => import('./ecs.ts').then((m) => ({ ...m.ecsContainers(options), ...fleet?.containers }))),
  serviceScaling: lazily(() => import('./serviceScaling.ts').then((m) => m.applicationScaling(options))),
  loadBalancers: lazily(() => import('./loadBalancers.ts').then((m) => m.elbLoadBalancers(options))),
  watches: lazily(() => import('./watches.ts').then((m) => m.cloudWatchWatches(options))),
  registry: lazily(() => import('./registry.ts').then((m) => m.ecrRegistry(options))),
  webAcls: lazily(() => import('./webAcls.ts').then((m) => m.wafWebAcls(options))),
  web: options.web ?? lazily(() => import('./web.ts').then((m) => m.publicWeb)),
  flowLogs: lazily(() => import('./flowLogs.ts').then((m) => m.ec2FlowLogs(options))),
  health: lazily(() => import('./health.ts').then((m) => ({ ...m.awsHealth(options), ...fleet?.health }))),
  logGroups: lazily(() => import('./logs.ts').then((m) => m.cloudWatchLogGroups(options))),
  agentProofs: lazily(() => import('./agentProofs.ts').then((m) => m.logAgentProofs(options))),
  parameters: lazily(() => import('./parameters.ts').then((m) => m.ssmParameters(options))),
});
