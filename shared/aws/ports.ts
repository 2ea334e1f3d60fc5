/** All ports of one session: one account, one region, one set of credentials. Clients are made on first use. */
import type { Ports } from '../core/ports.ts';
import { cloudWatchAlarms, cloudWatchMetrics } from './cloudwatch.ts';
import { type HostOptions, ssmHosts } from './hosts.ts';
import { ec2Instances } from './instances.ts';
import { ssmParameters } from './parameters.ts';
import { ec2Volumes } from './volumes.ts';

const once = <T>(make: () => T): (() => T) => {
  let made: { value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};

export const awsPorts = (options: HostOptions): Ports => {
  const instances = once(() => ec2Instances(options));
  const volumes = once(() => ec2Volumes(options));
  const hosts = once(() => ssmHosts(options));
  const metrics = once(() => cloudWatchMetrics(options));
  const alarms = once(() => cloudWatchAlarms(options));
  const parameters = once(() => ssmParameters(options));
  return {
    where: { account: options.account, region: options.region },
    get instances() {
      return instances();
    },
    get volumes() {
      return volumes();
    },
    get hosts() {
      return hosts();
    },
    get metrics() {
      return metrics();
    },
    get alarms() {
      return alarms();
    },
    get parameters() {
      return parameters();
    },
  };
};
