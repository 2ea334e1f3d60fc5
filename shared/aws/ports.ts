/** All ports of one session: one account, one region, one set of credentials. Each adapter, and with it its SDK client, loads on first use. */
import type { Ports } from '../core/ports.ts';
import type { HostOptions } from './hosts.ts';

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

export const awsPorts = (options: HostOptions): Ports => ({
  where: { account: options.account, region: options.region, stage: options.stage },
  instances: lazily(() => import('./instances.ts').then((m) => m.ec2Instances(options))),
  volumes: lazily(() => import('./volumes.ts').then((m) => m.ec2Volumes(options))),
  hosts: lazily(() => import('./hosts.ts').then((m) => m.ssmHosts(options))),
  metrics: lazily(() => import('./cloudwatch.ts').then((m) => m.cloudWatchMetrics(options))),
  alarms: lazily(() => import('./cloudwatch.ts').then((m) => m.cloudWatchAlarms(options))),
  trails: lazily(() => import('./trails.ts').then((m) => m.cloudTrails(options))),
  groups: lazily(() => import('./groups.ts').then((m) => m.autoScalingGroups(options))),
  containers: lazily(() => import('./ecs.ts').then((m) => m.ecsContainers(options))),
  loadBalancers: lazily(() => import('./loadBalancers.ts').then((m) => m.elbLoadBalancers(options))),
  watches: lazily(() => import('./watches.ts').then((m) => m.cloudWatchWatches(options))),
  flowLogs: lazily(() => import('./flowLogs.ts').then((m) => m.ec2FlowLogs(options))),
  logGroups: lazily(() => import('./logs.ts').then((m) => m.cloudWatchLogGroups(options))),
  parameters: lazily(() => import('./parameters.ts').then((m) => m.ssmParameters(options))),
});
