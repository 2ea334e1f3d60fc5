import {
  DeleteAlarmsCommand,
  DescribeAlarmsCommand,
  type DescribeAlarmsCommandInput,
  DescribeAlarmsForMetricCommand,
  GetMetricDataCommand,
  ListMetricsCommand,
  ListTagsForResourceCommand,
  PutMetricAlarmCommand,
  type PutMetricAlarmCommandInput,
  PutMetricDataCommand,
  SetAlarmStateCommand,
  TagResourceCommand,
} from '@aws-sdk/client-cloudwatch';
import { breakDisk, seedFleet } from '../../world/fleet.ts';
import { fromDimensions } from '../../world/metrics.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure, minutes } from './clients.ts';

const TOPIC = 'arn:aws:sns:eu-central-1:111122223333:hook';
const FUNCTION = 'arn:aws:lambda:eu-central-1:111122223333:function:heal';

const start = () => {
  const world = createWorld();
  const { cloudwatch } = clientsOf(world);
  const put = (value: number) =>
    cloudwatch.send(
      new PutMetricDataCommand({
        Namespace: 'App',
        MetricData: [{ MetricName: 'Load', Value: value, Timestamp: new Date(world.clock.now()) }],
      }),
    );
  const alarm = (options: Partial<PutMetricAlarmCommandInput> = {}) =>
    cloudwatch.send(
      new PutMetricAlarmCommand({
        AlarmName: 'load',
        Namespace: 'App',
        MetricName: 'Load',
        Statistic: 'Average',
        Period: 60,
        EvaluationPeriods: 1,
        Threshold: 10,
        ComparisonOperator: 'GreaterThanThreshold',
        ...options,
      }),
    );
  const state = async () =>
    (await cloudwatch.send(new DescribeAlarmsCommand({ AlarmNames: ['load'] }))).MetricAlarms?.[0]?.StateValue;
  /** One value a minute; '-' for a minute without. Answers the state after each. */
  const play = async (values: readonly (number | '-')[]) => {
    const states: string[] = [];
    for (const value of values) {
      if (value !== '-') await put(value);
      world.clock.advance(minutes(1));
      states.push((await state())?.slice(0, 2) ?? '');
    }
    return states.join(' ');
  };
  return { world, cloudwatch, put, alarm, state, play };
};

describe('an alarm', () => {
  // OK, AL(ARM), IN(SUFFICIENT_DATA). A minute is judged when it is over; one without data waits a period for late data.
  test.each<[string, Partial<PutMetricAlarmCommandInput>, (number | '-')[], string]>([
    ['1 of 1', {}, [1, 11, 10, 11], 'OK AL OK AL'],
    ['3 of 3', { EvaluationPeriods: 3 }, [11, 11, 11, 1], 'OK OK AL OK'],
    ['2 of 3', { EvaluationPeriods: 3, DatapointsToAlarm: 2 }, [11, 1, 11, 1, 1], 'OK OK AL OK OK'],
    ['at least', { ComparisonOperator: 'GreaterThanOrEqualToThreshold' }, [10, 9], 'AL OK'],
    ['less than', { ComparisonOperator: 'LessThanThreshold' }, [10, 9], 'OK AL'],
    ['missing: missing', {}, [11, '-', '-', 1], 'AL AL IN OK'],
    ['missing: ignore', { TreatMissingData: 'ignore' }, [11, '-', '-', '-'], 'AL AL AL AL'],
    ['missing: breaching', { TreatMissingData: 'breaching' }, [1, '-', '-'], 'OK OK AL'],
    ['missing: notBreaching', { TreatMissingData: 'notBreaching' }, [11, '-', '-'], 'AL AL OK'],
  ])('%s', async (_, options, values, states) => {
    const { alarm, play } = start();
    await alarm(options);
    expect(await play(values)).toBe(states);
  });

  test('tells EventBridge, a topic and a function of each change, and of nothing else', async () => {
    const { world, alarm, play } = start();
    const events: Record<string, unknown>[] = [];
    const actions: { arn: string; payload: unknown }[] = [];
    world.onEvent((event) => events.push(event));
    world.onAlarmAction((action) => actions.push(action));
    await alarm({ AlarmActions: [TOPIC, FUNCTION], OKActions: [TOPIC], AlarmDescription: 'busy' });
    await play([1, 11.5, 12, 1]);
    expect(events).toHaveLength(3);
    expect(events[1]).toMatchObject({
      source: 'aws.cloudwatch',
      'detail-type': 'CloudWatch Alarm State Change',
      resources: ['arn:aws:cloudwatch:eu-central-1:111122223333:alarm:load'],
      detail: {
        alarmName: 'load',
        configuration: {
          description: 'busy',
          metrics: [
            {
              metricStat: { metric: { namespace: 'App', name: 'Load', dimensions: {} }, period: 60, stat: 'Average' },
              returnData: true,
            },
          ],
        },
        previousState: { value: 'OK' },
        state: {
          value: 'ALARM',
          reason:
            'Threshold Crossed: 1 out of the last 1 datapoints [11.5 (15/01/26 08:01:00)] was greater than the threshold (10.0) (minimum 1 datapoint for OK -> ALARM transition).',
          timestamp: '2026-01-15T08:02:00.000+0000',
        },
      },
    });
    expect(actions.map(({ arn }) => arn)).toEqual([TOPIC, TOPIC, FUNCTION, TOPIC]);
    expect(JSON.parse(String(actions[1]?.payload))).toMatchObject({
      AlarmName: 'load',
      OldStateValue: 'OK',
      NewStateValue: 'ALARM',
      Trigger: { MetricName: 'Load', Statistic: 'AVERAGE' },
    });
    expect(actions[2]?.payload).toMatchObject({
      source: 'aws.cloudwatch',
      accountId: '111122223333',
      alarmData: { alarmName: 'load', state: { value: 'ALARM' } },
    });
  });

  test('set by hand goes back by itself', async () => {
    const { world, cloudwatch, alarm, play, put, state } = start();
    await alarm();
    await play([1]);
    await cloudwatch.send(new SetAlarmStateCommand({ AlarmName: 'load', StateValue: 'ALARM', StateReason: 'drill' }));
    expect(await state()).toBe('ALARM');
    await put(1);
    world.clock.advance(minutes(1));
    expect(await state()).toBe('OK');
  });

  test('is found by prefix, state, metric and page; tagged; deleted', async () => {
    const { cloudwatch, alarm } = start();
    for (const AlarmName of ['load', 'load-2', 'other'])
      await alarm({ AlarmName, Tags: [{ Key: 'team', Value: 'a' }] });
    const names = async (input: DescribeAlarmsCommandInput) =>
      (await cloudwatch.send(new DescribeAlarmsCommand(input))).MetricAlarms?.map(({ AlarmName }) => AlarmName);
    expect(await names({ AlarmNamePrefix: 'load' })).toEqual(['load', 'load-2']);
    expect(await names({ StateValue: 'ALARM' })).toEqual([]);
    const first = await cloudwatch.send(new DescribeAlarmsCommand({ MaxRecords: 2 }));
    expect(await names({ NextToken: first.NextToken })).toEqual(['other']);
    const forMetric = await cloudwatch.send(
      new DescribeAlarmsForMetricCommand({ Namespace: 'App', MetricName: 'Load' }),
    );
    expect(forMetric.MetricAlarms).toHaveLength(3);
    const ResourceARN = 'arn:aws:cloudwatch:eu-central-1:111122223333:alarm:load';
    await cloudwatch.send(new TagResourceCommand({ ResourceARN, Tags: [{ Key: 'steward:managed', Value: 'true' }] }));
    expect((await cloudwatch.send(new ListTagsForResourceCommand({ ResourceARN }))).Tags).toEqual([
      { Key: 'team', Value: 'a' },
      { Key: 'steward:managed', Value: 'true' },
    ]);
    await cloudwatch.send(new DeleteAlarmsCommand({ AlarmNames: ['load'] }));
    expect(await failure(cloudwatch.send(new DeleteAlarmsCommand({ AlarmNames: ['load'] })))).toBe('ResourceNotFound');
  });
});

describe('metrics', () => {
  test('are answered by statistic and period, newest first unless asked otherwise', async () => {
    const { world, cloudwatch, put } = start();
    const from = world.clock.now();
    for (const value of [1, 2, 3, 4]) {
      await put(value);
      world.clock.advance(minutes(1));
    }
    const ask = async (Stat: string, Period: number, ScanBy?: 'TimestampAscending') =>
      (
        await cloudwatch.send(
          new GetMetricDataCommand({
            StartTime: new Date(from),
            EndTime: new Date(world.clock.now()),
            ScanBy,
            MetricDataQueries: [
              { Id: 'm', MetricStat: { Metric: { Namespace: 'App', MetricName: 'Load' }, Period, Stat } },
            ],
          }),
        )
      ).MetricDataResults?.[0]?.Values;
    expect(await ask('Average', 60)).toEqual([4, 3, 2, 1]);
    expect(await ask('Average', 120, 'TimestampAscending')).toEqual([1.5, 3.5]);
    expect(await ask('Maximum', 300)).toEqual([4]);
    expect(await ask('Minimum', 300)).toEqual([1]);
    expect(await ask('Sum', 300)).toEqual([10]);
    expect(await ask('SampleCount', 300)).toEqual([4]);
    expect(await ask('p50', 300)).toEqual([2.5]);
    expect(await failure(ask('Median', 300))).toBe('ValidationException');
  });

  test('of a disk carry every dimension of the agent, and the disk s alarm goes off', async () => {
    const world = createWorld();
    const { web } = seedFleet(world);
    const { cloudwatch } = clientsOf(world);
    const [server] = web;
    world.clock.advance(minutes(5));
    const alarms = async (StateValue: 'ALARM' | 'OK') =>
      (await cloudwatch.send(new DescribeAlarmsCommand({ StateValue }))).MetricAlarms?.map(
        ({ AlarmName }) => AlarmName,
      );
    expect(await alarms('OK')).toHaveLength(25);
    breakDisk(world, server!.id, { path: '/srv', usedPercent: 92 });
    world.clock.advance(minutes(5));
    expect(await alarms('ALARM')).toEqual(['disk web-1 /srv']);
    const { Metrics = [] } = await cloudwatch.send(
      new ListMetricsCommand({
        Namespace: 'CWAgent',
        MetricName: 'disk_used_percent',
        Dimensions: [
          { Name: 'InstanceId', Value: server!.id },
          { Name: 'path', Value: '/srv' },
        ],
      }),
    );
    const dimensions = {
      InstanceId: server!.id,
      ImageId: server!.imageId,
      InstanceType: 'm6i.large',
      AutoScalingGroupName: 'web',
      path: '/srv',
      device: 'nvme1n1',
      fstype: 'xfs',
    };
    expect(Metrics).toEqual([
      { Namespace: 'CWAgent', MetricName: 'disk_used_percent', Dimensions: fromDimensions(dimensions) },
    ]);
  });
});
