/** A CloudWatch alarm that changed its state, in each of the three forms in which AWS delivers it. All give the same signals. */
import * as z from 'zod/mini';
import { type AlarmMetric, signalsOfAlarm } from '../../shared/core/alarm.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import type { Signal } from '../../shared/core/signal.ts';
import { partitionOf } from '../../shared/core/target.ts';
import type { Envelope } from '../envelope.ts';
import { parsed, text, timeOf } from '../parse.ts';

const state = z.enum(['ALARM', 'OK', 'INSUFFICIENT_DATA']);
const metric = z.object({
  namespace: text,
  name: text,
  dimensions: z.optional(z.record(text, text)),
});
const data = z.object({
  alarmName: text,
  state: z.object({ value: state, reason: z.optional(z.string()), timestamp: text }),
  configuration: z.optional(
    z.object({ metrics: z.optional(z.array(z.object({ metricStat: z.optional(z.object({ metric })) }))) }),
  ),
});

const fromData = (arn: string, { alarmName, state: now, configuration }: z.infer<typeof data>): readonly Signal[] => {
  const metrics = (configuration?.metrics ?? []).flatMap((m) =>
    m.metricStat ? [{ ...m.metricStat.metric, dimensions: m.metricStat.metric.dimensions ?? {} }] : [],
  );
  return signalsOfAlarm({
    arn,
    name: alarmName,
    state: now.value,
    reason: now.reason ?? '',
    at: timeOf(now.timestamp),
    metrics,
  });
};

/** EventBridge: `CloudWatch Alarm State Change`. */
export const fromEventBridge = ({ resources: [arn], detail }: Envelope): readonly Signal[] => {
  if (!arn) throw new InvalidInput('the event names no alarm in `resources`');
  return fromData(arn, parsed(data, detail, 'the alarm'));
};

/** A Lambda function as the alarm's own action. */
const direct = z.object({ alarmArn: text, alarmData: data });
export const fromDirect = (raw: unknown): readonly Signal[] => {
  const { alarmArn, alarmData } = parsed(direct, raw, 'the alarm action');
  return fromData(alarmArn, alarmData);
};

const dimension = z.object({ name: text, value: text });
const trigger = z.object({
  MetricName: z.optional(text),
  Namespace: z.optional(text),
  Dimensions: z.optional(z.array(dimension)),
  Metrics: z.optional(
    z.array(
      z.object({
        MetricStat: z.optional(
          z.object({
            Metric: z.object({
              MetricName: text,
              Namespace: text,
              Dimensions: z.optional(z.array(dimension)),
            }),
          }),
        ),
      }),
    ),
  ),
});
const message = z.object({
  AlarmName: text,
  AlarmArn: z.optional(text),
  AWSAccountId: text,
  NewStateValue: state,
  NewStateReason: z.optional(z.string()),
  StateChangeTime: text,
  Trigger: z.optional(trigger),
});

const metricOf = (m: {
  MetricName?: string | undefined;
  Namespace?: string | undefined;
  Dimensions?: readonly { name: string; value: string }[] | undefined;
}): AlarmMetric[] =>
  m.MetricName === undefined
    ? []
    : [
        {
          name: m.MetricName,
          namespace: m.Namespace ?? '',
          dimensions: Object.fromEntries((m.Dimensions ?? []).map((d) => [d.name, d.value])),
        },
      ];

/** The alarm's notification by SNS. Older ones have no ARN, and give the region by its name for people: then the topic's region counts. */
export const fromNotification = (raw: unknown, topicArn?: string): readonly Signal[] => {
  const m = parsed(message, raw, 'the alarm notification');
  const region = topicArn?.split(':')[3];
  const arn =
    m.AlarmArn ??
    (region ? `arn:${partitionOf(region)}:cloudwatch:${region}:${m.AWSAccountId}:alarm:${m.AlarmName}` : undefined);
  if (!arn)
    throw new InvalidInput(
      `the notification of alarm ${m.AlarmName} has neither AlarmArn nor a topic: its region is unknown`,
    );
  const metrics = [
    ...metricOf(m.Trigger ?? {}),
    ...(m.Trigger?.Metrics ?? []).flatMap((x) => (x.MetricStat ? metricOf(x.MetricStat.Metric) : [])),
  ];
  return signalsOfAlarm({
    arn,
    name: m.AlarmName,
    state: m.NewStateValue,
    reason: m.NewStateReason ?? '',
    at: timeOf(m.StateChangeTime),
    metrics,
  });
};
