/**
 * The one parser behind every way in: queue, EventBridge, SNS, alarm action, `serverless invoke`. The same fact gives the same signals,
 * whichever way it came.
 */
import * as z from 'zod/mini';
import { InvalidInput } from '../shared/core/errors.ts';
import type { Signal } from '../shared/core/signal.ts';
import type { ShiftNews } from '../shared/core/zoneShifts.ts';
import * as alarm from './alarm/signal.ts';
import * as autoScaling from './auto-scaling/signal.ts';
import * as cloudtrail from './cloudtrail/signal.ts';
import * as ebsVolume from './ebs-volume/signal.ts';
import * as ec2Api from './ec2-api/signal.ts';
import * as ec2Health from './ec2-health/signal.ts';
import * as ec2InstanceState from './ec2-instance-state/signal.ts';
import * as ec2Spot from './ec2-spot/signal.ts';
import * as ecrApi from './ecr-api/signal.ts';
import * as ecsApi from './ecs-api/signal.ts';
import * as ecsContainerInstance from './ecs-container-instance/signal.ts';
import * as ecsService from './ecs-service/signal.ts';
import * as ecsTask from './ecs-task/signal.ts';
import { type Envelope, envelope } from './envelope.ts';
import * as logsApi from './logs-api/signal.ts';
import { jsonOf, parsed, text } from './parse.ts';
import * as ssmCommand from './ssm-command/signal.ts';
import { fromSteward, type LookAgain } from './steward/signal.ts';
import * as trailNeeds from './trail-needs/signal.ts';
import * as zonalAutoshift from './zonal-autoshift/shift.ts';

export type Reading =
  | { readonly signals: readonly Signal[] }
  | { readonly look: LookAgain }
  /** About a zone: kept, and the zone is looked at. */
  | { readonly shift: ShiftNews; readonly region: string }
  /** Understood, and nothing to us. */
  | { readonly ignored: string };

/** Every event that Steward listens to, by source and detail-type. Each folder has the pattern of its rule beside its parser. */
const PARSERS: Readonly<Record<string, (event: Envelope) => readonly Signal[]>> = {
  'aws.cloudwatch/CloudWatch Alarm State Change': alarm.fromEventBridge,
  'aws.cloudtrail/AWS API Call via CloudTrail': cloudtrail.fromEventBridge,
  'aws.ec2/AWS API Call via CloudTrail': ec2Api.fromEventBridge,
  'aws.ec2/EC2 Instance State-change Notification': ec2InstanceState.fromEventBridge,
  'aws.autoscaling/EC2 Instance Launch Successful': autoScaling.fromEventBridge,
  'aws.autoscaling/EC2 Instance Launch Unsuccessful': autoScaling.fromEventBridge,
  'aws.ec2/EC2 Instance Rebalance Recommendation': ec2Spot.fromEventBridge,
  'aws.ec2/EC2 Spot Instance Interruption Warning': ec2Spot.fromEventBridge,
  'aws.ecr/AWS API Call via CloudTrail': ecrApi.fromEventBridge,
  'aws.ecs/AWS API Call via CloudTrail': ecsApi.fromEventBridge,
  'aws.ecs/ECS Container Instance State Change': ecsContainerInstance.fromEventBridge,
  'aws.ecs/ECS Deployment State Change': ecsService.fromEventBridge,
  'aws.ecs/ECS Service Action': ecsService.fromEventBridge,
  'aws.ecs/ECS Task State Change': ecsTask.fromEventBridge,
  'aws.health/AWS Health Event': ec2Health.fromEventBridge,
  'aws.ec2/EBS Volume Notification': ebsVolume.fromEventBridge,
  'aws.kms/AWS API Call via CloudTrail': trailNeeds.fromEventBridge,
  'aws.s3/AWS API Call via CloudTrail': trailNeeds.fromEventBridge,
  'aws.logs/AWS API Call via CloudTrail': logsApi.fromEventBridge,
  'aws.ssm/EC2 Command Invocation Status-change Notification': ssmCommand.fromEventBridge,
};

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);

const notification = z.object({ Message: z.string(), TopicArn: z.optional(text) });
const fromSns = (raw: unknown): Reading => {
  const { Message, TopicArn } = parsed(notification, raw, 'the SNS notification');
  return read(jsonOf(Message, 'the message of the SNS notification'), TopicArn);
};

const fromEventBridge = (raw: unknown): Reading => {
  const event = parsed(envelope, raw, 'the EventBridge event');
  const shift = event.source === 'aws.arc-zonal-shift' ? zonalAutoshift.fromEventBridge(event) : undefined;
  if (shift) return { shift, region: event.region };
  const name = `${event.source}/${event['detail-type']}`;
  const parse = Object.hasOwn(PARSERS, name) ? PARSERS[name] : undefined;
  if (!parse) return { ignored: `${event.source} "${event['detail-type']}" is not an event that Steward listens to` };
  const signals = parse(event);
  return signals.length > 0 ? { signals } : { ignored: `${event.source} "${event['detail-type']}": nothing to act on` };
};

/** @throws InvalidInput for what cannot be read: the caller parks it whole */
export const read = (raw: unknown, topicArn?: string): Reading => {
  if (!isRecord(raw)) throw new InvalidInput('the event is not a JSON object');
  if ('steward' in raw) return fromSteward(raw);
  if ('alarmArn' in raw) return { signals: alarm.fromDirect(raw) };
  if ('NewStateValue' in raw) return { signals: alarm.fromNotification(raw, topicArn) };
  if ('detail-type' in raw) return fromEventBridge(raw);
  if (raw['Type'] === 'Notification') return fromSns(raw);
  if (raw['Type'] === 'SubscriptionConfirmation' || raw['Type'] === 'UnsubscribeConfirmation')
    return { ignored: `SNS ${raw['Type']}` };
  throw new InvalidInput(
    `the event has none of the forms that Steward knows: its keys are ${Object.keys(raw).slice(0, 10).join(', ').slice(0, 300) || 'none'}`,
  );
};

const records = z.object({ Records: z.array(z.record(z.string(), z.unknown())) });

/** SNS invokes a function with `Records[].Sns`, several in one event. Anything else is one. */
export const readAll = (raw: unknown): readonly Reading[] => {
  if (isRecord(raw) && Array.isArray(raw['Records'])) {
    const list = parsed(records, raw, 'the event').Records;
    if (list.every((r) => isRecord(r['Sns']))) return list.map((r) => fromSns(r['Sns']));
    throw new InvalidInput('the event has Records that are neither of SQS nor of SNS');
  }
  return [read(raw)];
};
