/**
 * What just watching costs. New instances get their alarms, as quickly as CloudWatch grants it and no quicker; then a day in which nothing ails them. AWS throttles at
 * its real rates.
 */
import { proofGroup } from '../shared/core/agents.ts';
import { hours, minutes } from '../shared/core/time.ts';
import { createStorm, STAGE, type Storm } from '../test/storm/storm.ts';
import { hostOf } from '../world/fleet.ts';
import { makeInstance } from '../world/instances.ts';

/** Where no agent is, its silence is no news. */
const policyFor = (metrics: boolean) => ({
  remediations: {
    'unwatched-instance': { mode: 'act' },
    ...(metrics ? {} : { 'log-agent-silent': { mode: 'off' } }),
  },
});

const fleetOf = (count: number, metrics: boolean): Storm => {
  const s = createStorm({ policy: policyFor(metrics), metrics });
  const zones = Object.keys(s.world.zones);
  for (let n = 0; n < count; n++) {
    const { id } = makeInstance(s.world, {
      running: true,
      type: 'm6i.large',
      zone: zones[n % zones.length] ?? '',
      tags: { Name: `idle-${n}`, 'steward:managed': 'true' },
    });
    // Their agents prove their logs.
    hostOf(s.world, id).cloudwatch.proof = proofGroup(STAGE);
  }
  return s;
};

const puts = ({ world }: Storm) => world.calls.filter((c) => c.operation === 'PutMetricAlarm' && c.error === undefined);
const throttled = ({ throttles }: Storm): number => Object.values(throttles).reduce((a, b) => a + b, 0);

/** Until no alarm is put any more. */
const converge = async (s: Storm, within: number) => {
  const from = s.clock.now();
  await s.run(within);
  const last = puts(s).at(-1)?.at ?? from;
  return {
    minutes: Math.round((last - from) / minutes(1)),
    calls: s.world.calls.filter((c) => c.at <= last).length,
    alarms: puts(s).length,
    throttled: throttled(s),
    told: s.outcomes.told.length,
  };
};

export const idle = async (): Promise<Record<string, number>> => {
  const s = fleetOf(1_000, true);
  const first = await converge(s, hours(3));
  s.world.calls.length = 0;
  const passes = s.outcomes.passes;
  await s.run(hours(24));
  const count = (operation: string): number => s.world.calls.filter((c) => c.operation === operation).length;
  const day = {
    'idle.convergenceMinutes': first.minutes,
    'idle.convergenceCalls': first.calls,
    'idle.convergenceAlarms': first.alarms,
    'idle.convergenceThrottled': first.throttled,
    'idle.callsPer1000InstancesPerDay': s.world.calls.length,
    'idle.assumeRole': count('AssumeRole'),
    'idle.describeInstances': count('DescribeInstances'),
    'idle.getMetricData': count('GetMetricData'),
    'idle.listMetrics': count('ListMetrics'),
    'idle.describeAlarms': count('DescribeAlarms'),
    'idle.putMetricAlarm': count('PutMetricAlarm'),
    'idle.getLogEvents': count('GetLogEvents'),
    'idle.describeLogStreams': count('DescribeLogStreams'),
    'idle.sendCommand': count('SendCommand'),
    'idle.throttled': throttled(s) - first.throttled,
    'idle.passes': s.outcomes.passes - passes,
  };
  // Without an agent each has EC2's own alarms only.
  const many = await converge(fleetOf(5_000, false), hours(6));
  return {
    ...day,
    'idle.convergence5000Minutes': many.minutes,
    'idle.convergence5000Alarms': many.alarms,
    'idle.convergence5000Throttled': many.throttled,
    'idle.told': first.told + many.told,
  };
};
