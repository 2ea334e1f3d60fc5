/** What just watching costs: a fleet of 1,000 managed instances that nothing ails and whose agents all prove their logs, for a day of the world's time, after the hours in which their alarms are made. */
import { proofGroup } from '../shared/core/agents.ts';
import { hours } from '../shared/core/time.ts';
import { createAccount, STAGE } from '../test/stories/account.ts';
import { hostOf } from '../world/fleet.ts';
import { makeInstance } from '../world/instances.ts';

const INSTANCES = 1_000;
const SETTLED = hours(6);
const DAY = hours(24);

export const idle = async (): Promise<Record<string, number>> => {
  const account = createAccount({ policy: { remediations: { 'unwatched-instance': { mode: 'act' } } } });
  const { world } = account;
  for (let n = 0; n < INSTANCES; n++) {
    const tags = { Name: `idle-${n}`, 'steward:managed': 'true' };
    const { id } = makeInstance(world, { running: true, type: 'm6i.large', tags });
    hostOf(world, id).cloudwatch.proof = proofGroup(STAGE);
  }
  await account.run(SETTLED);
  const opened = account.incidents().length;
  world.calls.length = 0;
  await account.run(DAY);
  const count = (operation: string): number => world.calls.filter((c) => c.operation === operation).length;
  return {
    'idle.callsPer1000InstancesPerDay': world.calls.length,
    'idle.assumeRole': count('AssumeRole'),
    'idle.describeInstances': count('DescribeInstances'),
    'idle.getMetricData': count('GetMetricData'),
    'idle.listMetrics': count('ListMetrics'),
    'idle.describeAlarms': count('DescribeAlarms'),
    'idle.putMetricAlarm': count('PutMetricAlarm'),
    'idle.getLogEvents': count('GetLogEvents'),
    'idle.describeLogStreams': count('DescribeLogStreams'),
    'idle.sendCommand': count('SendCommand'),
    'idle.throttled': world.calls.filter((c) => /Throttl|RequestLimit/.test(c.error ?? '')).length,
    'idle.incidents': account.incidents().length - opened,
  };
};
