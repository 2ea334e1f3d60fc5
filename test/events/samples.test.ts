/** Each sample: let through by its rule where it should be, read to exactly these signals, whichever way it came. */
import { ModifyVolumeCommand, StopInstancesCommand } from '@aws-sdk/client-ec2';
import { SendCommandCommand } from '@aws-sdk/client-ssm';
import { type Reading, readAll } from '../../events/read.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import type { SignalKind } from '../../shared/core/signal.ts';
import { targetOf } from '../../shared/core/target.ts';
import type { AlarmAction } from '../../world/alarm-messages.ts';
import { breakDisk, seedFleet } from '../../world/fleet.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf } from '../world/clients.ts';
import { patterns, quiet, rulesFor, sample, sampleNames, textOf } from './samples.ts';

const HOME = 'eu-central-1:111122223333';
const WEB1 = `arn:aws:ec2:${HOME}:instance/i-a08ff49b6f7726327`;
const VOLUME = `arn:aws:ec2:${HOME}:volume/vol-cd424e42a851214aa`;
/** Two minutes before the simulated account begins. The envelope has full seconds; CloudWatch's own times have milliseconds. */
const TRAIL = `arn:aws:cloudtrail:${HOME}:trail/audit`;
const ANNA = 'arn:aws:iam::111122223333:user/anna';
const TERRAFORM = 'arn:aws:sts::111122223333:assumed-role/terraform/run-7';
const AT = Date.parse('2026-01-15T07:58:00Z');
const FORMS = ['eventbridge', 'sns', 'sns-raw', 'lambda'] as const;

interface AlarmCase {
  readonly kind: SignalKind;
  readonly target: string;
  readonly alarm: string;
  readonly at: number;
  readonly cause: string;
  readonly heard: boolean;
}
const DISK = `arn:aws:cloudwatch:${HOME}:alarm:disk web-1 /srv`;
const alarms: Readonly<Record<string, AlarmCase>> = {
  'full-disk': {
    kind: 'disk.space-low',
    target: WEB1,
    alarm: DISK,
    at: AT + 417,
    cause: 'alarm disk web-1 /srv went to ALARM: Threshold Crossed: 2 out of the last 3 datapoints [94.3 (',
    heard: true,
  },
  'full-disk-ok': {
    kind: 'target.changed',
    target: WEB1,
    alarm: DISK,
    at: AT + 417,
    cause: 'alarm disk web-1 /srv went to OK: Threshold Crossed: 2 out of the last 3 datapoints [41.2 (',
    heard: true,
  },
  'full-disk-no-data': {
    kind: 'target.changed',
    target: WEB1,
    alarm: DISK,
    at: AT + 417,
    cause: 'alarm disk web-1 /srv went to INSUFFICIENT_DATA: Insufficient Data: 3 datapoints were unknown.',
    heard: false,
  },
  'full-inodes': {
    kind: 'disk.inodes-low',
    target: `arn:aws:ec2:${HOME}:instance/i-a0ccceea0a7f892b2`,
    alarm: `arn:aws:cloudwatch:${HOME}:alarm:inodes workers-1 /scratch`,
    at: AT + 417,
    cause: 'alarm inodes workers-1 /scratch went to ALARM: Threshold Crossed: ',
    heard: true,
  },
  flooded: {
    kind: 'web.flooded',
    target: `arn:aws:wafv2:${HOME}:regional/webacl/shop/*`,
    alarm: `arn:aws:cloudwatch:${HOME}:alarm:flood of the shop`,
    at: AT + 417,
    cause: 'alarm flood of the shop went to ALARM: Threshold Crossed: ',
    heard: true,
  },
  'metric-math': {
    kind: 'disk.space-low',
    target: `arn:aws:ec2:${HOME}:instance/i-ca4a9446d0fd367ad`,
    alarm: `arn:aws:cloudwatch:${HOME}:alarm:backup disk almost full`,
    at: AT + 417,
    cause: 'alarm backup disk almost full went to ALARM: Threshold Crossed: ',
    heard: true,
  },
  composite: {
    kind: 'alarm.unnamed',
    target: `arn:aws:cloudwatch:${HOME}:alarm:web storage`,
    alarm: `arn:aws:cloudwatch:${HOME}:alarm:web storage`,
    at: AT + 583,
    cause: `alarm web storage went to ALARM: ${DISK} transitioned to ALARM at `,
    heard: true,
  },
  'unknown-metric': {
    kind: 'alarm.unnamed',
    target: `arn:aws:cloudwatch:${HOME}:alarm:orders waiting`,
    alarm: `arn:aws:cloudwatch:${HOME}:alarm:orders waiting`,
    at: AT + 417,
    cause: 'alarm orders waiting went to ALARM: Threshold Crossed: ',
    heard: true,
  },
  'other-account': {
    kind: 'disk.space-low',
    target: 'arn:aws:ec2:eu-central-1:444455556666:instance/i-0c9a27f4be0158d36',
    alarm: 'arn:aws:cloudwatch:eu-central-1:444455556666:alarm:shop-files-disk',
    at: AT + 417,
    cause: 'alarm shop-files-disk went to ALARM: Threshold Crossed: ',
    heard: true,
  },
};
const alarmReading = ({ kind, target, alarm, at, cause }: AlarmCase) => ({
  signals: [{ kind, target: targetOf(target), at, cause: expect.stringContaining(cause), eventId: `${alarm}@${at}` }],
});

/** EventBridge events that change nothing by themselves: [name, target, cause, is the rule to let it through?]. */
const changes: readonly (readonly [name: string, target: string, cause: string, heard: boolean])[] = [
  ['ec2-instance-state/pending', WEB1, 'i-a08ff49b6f7726327 is pending', false],
  ['ec2-instance-state/running', WEB1, 'i-a08ff49b6f7726327 is running', true],
  ['ec2-instance-state/stopping', WEB1, 'i-a08ff49b6f7726327 is stopping', false],
  ['ec2-instance-state/stopped', WEB1, 'i-a08ff49b6f7726327 is stopped', true],
  ['ec2-instance-state/terminated', WEB1, 'i-a08ff49b6f7726327 is terminated', true],
  ['ebs-volume/modify-optimizing', VOLUME, 'modifyVolume of vol-cd424e42a851214aa: optimizing', true],
  ['ebs-volume/modify-completed', VOLUME, 'modifyVolume of vol-cd424e42a851214aa: completed', true],
  ['ebs-volume/modify-failed', VOLUME, 'modifyVolume of vol-cd424e42a851214aa: failed', true],
  ['ebs-volume/create', VOLUME, 'createVolume of vol-cd424e42a851214aa: available', false],
  ['ebs-volume/attach-failed', VOLUME, 'attachVolume of vol-cd424e42a851214aa: failed', false],
  [
    'ssm-command/grow-success',
    WEB1,
    `arn:aws:ssm:${HOME}:document/steward-local-grow-filesystem on i-a08ff49b6f7726327: Success`,
    true,
  ],
  [
    'ssm-command/grow-timed-out',
    WEB1,
    `arn:aws:ssm:${HOME}:document/steward-local-grow-filesystem on i-a08ff49b6f7726327: TimedOut`,
    true,
  ],
  ['ssm-command/clean-failed', WEB1, 'steward-local-clean-disk on i-a08ff49b6f7726327: Failed', true],
  ['ssm-command/clean-cancelled', WEB1, 'steward-local-clean-disk on i-a08ff49b6f7726327: Cancelled', true],
  [
    'auto-scaling/launched',
    `arn:aws:autoscaling:${HOME}:autoScalingGroup:2a3b4c5d-6e7f-4a8b-9c0d-1e2f3a4b5c6d:autoScalingGroupName/web`,
    'EC2 Instance Launch Successful of web',
    true,
  ],
  [
    'ecs-service/even',
    `arn:aws:ecs:${HOME}:service/shop/web`,
    'ECS says SERVICE_REBALANCING_COMPLETED of shop/web',
    true,
  ],
  ['ecs-service/steady', `arn:aws:ecs:${HOME}:service/shop/web`, 'ECS says SERVICE_STEADY_STATE of shop/web', true],
  ['ssm-command/of-others', WEB1, 'AWS-RunPatchBaseline on i-a08ff49b6f7726327: Success', false],
];

/** Calls that may have weakened something: [name, kind, target, who, cause]. */
const INES = 'arn:aws:iam::111122223333:user/ines';
const CLUSTER = `arn:aws:ecs:${HOME}:cluster/shop`;
const SERVICE = `arn:aws:ecs:${HOME}:service/shop/web`;
const GROUP = `arn:aws:logs:${HOME}:log-group:/ecs/web`;
const calls: readonly (readonly [
  name: string,
  kind: SignalKind,
  target: string,
  author: string | undefined,
  cause: string,
])[] = [
  [
    'ecr-api/policy-set',
    'registry.changed',
    `arn:aws:ecr:${HOME}:repository/shop/web`,
    INES,
    `${INES} called SetRepositoryPolicy for the repository shop/web`,
  ],
  [
    'ecr-api/scan-off',
    'registry.changed',
    `arn:aws:ecr:${HOME}:repository/shop/web`,
    INES,
    `${INES} called PutImageScanningConfiguration for the repository shop/web`,
  ],
  ['ecs-api/cluster-deleted', 'container-cluster.changed', CLUSTER, INES, `${INES} called DeleteCluster for shop`],
  ['ecs-api/deleted', 'container-service.gone', SERVICE, INES, `${INES} called DeleteService for shop/web`],
  ['ecs-api/deleted-by-arn', 'container-service.gone', SERVICE, INES, `${INES} called DeleteService for shop/web`],
  [
    'logs-api/retention-shortened',
    'log-group.changed',
    GROUP,
    INES,
    `${INES} called PutRetentionPolicy for the log group /ecs/web`,
  ],
  [
    'logs-api/group-deleted',
    'log-group.changed',
    GROUP,
    'arn:aws:sts::111122223333:assumed-role/deployer/run-7',
    'arn:aws:sts::111122223333:assumed-role/deployer/run-7 called DeleteLogGroup for the log group /ecs/web',
  ],
  [
    'logs-api/filter-deleted',
    'log-group.changed',
    GROUP,
    INES,
    `${INES} called DeleteSubscriptionFilter for the log group /ecs/web`,
  ],
  [
    'logs-api/key-removed',
    'log-group.changed',
    GROUP,
    INES,
    `${INES} called DisassociateKmsKey for the log group /ecs/web`,
  ],
  [
    'ec2-api/vpc-made',
    'flow-logs.changed',
    `arn:aws:ec2:${HOME}:vpc/vpc-0b1e5c2a9d3f47e68`,
    'arn:aws:sts::111122223333:assumed-role/deployer/run-7',
    'arn:aws:sts::111122223333:assumed-role/deployer/run-7 made vpc-0b1e5c2a9d3f47e68',
  ],
  [
    'logs-api/by-a-service',
    'log-group.changed',
    GROUP,
    // A service that acts by itself is named by its name.
    'config.amazonaws.com',
    'config.amazonaws.com called DeleteRetentionPolicy for the log group /ecs/web',
  ],
];

const NEEDED = `arn:aws:kms:${HOME}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const WRITTEN_TO = `arn:aws:s3:${HOME}:bucket/audit-logs-111122223333`;
const needs: typeof calls = (
  [
    ['key-disabled', NEEDED, 'DisableKey'],
    ['key-deletion-scheduled', NEEDED, 'ScheduleKeyDeletion'],
    ['key-policy', NEEDED, 'PutKeyPolicy'],
    ['bucket-policy-deleted', WRITTEN_TO, 'DeleteBucketPolicy'],
    ['bucket-policy', WRITTEN_TO, 'PutBucketPolicy'],
  ] as const
).map(([name, arn, call]) => [
  `trail-needs/${name}`,
  'trail.undelivered',
  arn,
  ANNA,
  `${ANNA} called ${call} for ${arn}`,
]);

/** Understood, and nothing to Steward. */
const ignored: Readonly<Record<string, string>> = {
  'cloudtrail/stop-logging-failed': 'nothing to act on',
  'ec2-health/of-no-instance': 'nothing to act on',
  'ecs-container-instance/connected': 'nothing to act on',
  'ecs-container-instance/deregistered': 'nothing to act on',
  'ecs-container-instance/external': 'nothing to act on',
  'ecs-service/desired-count': 'nothing to act on',
  'ecs-task/running': 'nothing to act on',
  'ecs-task/scaled-in': 'nothing to act on',
  'ssm-command/clean-in-progress': 'nothing to act on',
  'ssm-command/inspect-success': 'nothing to act on',
  'ssm-command/whole-command': 'not an event that Steward listens to',
  'other/unknown-detail-type': 'aws.tag "Tag Change on Resource" is not an event that Steward listens to',
  'other/sns-subscription': 'SNS SubscriptionConfirmation',
};

/** Nobody can read these: the reason names what is wrong, and where. */
const unreadable: Readonly<Record<string, string>> = {
  'other/alarm-in-an-unknown-state': 'the alarm cannot be read: state.value: ALARM or OK or INSUFFICIENT_DATA expected',
  'other/alarm-without-its-arn': 'the event names no alarm in `resources`',
  'other/alarm-without-detail': 'the EventBridge event cannot be read: detail: record expected',
  'other/alarm-without-account': 'the EventBridge event cannot be read: account: string expected',
  'other/alarm-of-an-odd-instance': "'mi-0a1b2c3d4e5f67890' is not the id of an EC2 instance",
  'other/sns-raw-alarm-of-no-region':
    'the notification of alarm disk web-1 /srv has neither AlarmArn nor a topic: its region is unknown',
  'other/volume-without-a-volume': 'the event names no volume in `resources`',
  'other/state-without-an-instance': 'the instance state change cannot be read: instance-id: string expected',
  'other/sns-text': 'the message of the SNS notification is not JSON',
  'other/array': 'the event is not a JSON object',
  'other/nothing': 'the event has none of the forms that Steward knows: its keys are none',
  'other/bucket': 'the event has Records that are neither of SQS nor of SNS',
  'other/api-call-of-an-odd-group': "'/ecs/web:1' is not the name of a log group",
  'other/api-call-without-a-name': 'the CloudTrail record cannot be read: eventName: string expected',
  'other/own-look-of-nothing': "'i-a08ff49b6f7726327' is not an ARN with a region and an account",
  'other/own-of-an-unknown-kind': "Steward's own message cannot be read: steward: none of the kinds that there are",
};

const failureOf = (read: () => unknown): unknown => {
  try {
    return read();
  } catch (e) {
    return e;
  }
};

describe('alarms', () => {
  const names = Object.entries(alarms).flatMap(([name, expected]) =>
    FORMS.map((form) => [`alarm/${name}.${form}`, expected] as const),
  );
  test.each(names)('%s', (name, expected) => {
    expect(readAll(sample(name))).toEqual([alarmReading(expected)]);
  });

  test.each(Object.keys(alarms))('%s gives the very same signal in each form', (name) => {
    const [first, ...others] = FORMS.map((form) => readAll(sample(`alarm/${name}.${form}`)));
    for (const other of others) expect(other).toStrictEqual(first);
  });

  test.each(Object.entries(alarms))('%s: the rule hears its EventBridge form as it should', (name, { heard }) => {
    expect(rulesFor(sample(`alarm/${name}.eventbridge`))).toEqual(heard ? ['alarm'] : []);
  });

  test('SNS that invokes a function, a whole batch of the queue, and an explained event carry the same fact', () => {
    const plain = readAll(sample('alarm/full-disk.eventbridge'));
    expect(readAll(sample('alarm/full-disk.sns-lambda'))).toStrictEqual(plain);
    expect(readAll(sample('alarm/full-disk.explain').event)).toStrictEqual(plain);
    expect(sample('alarm/full-disk.explain').explain).toBe(true);
    const { Records } = sample('alarm/full-disk.sqs');
    expect(Records).toHaveLength(3);
    for (const { body, eventSource } of Records) {
      expect(eventSource).toBe('aws:sqs');
      expect(readAll(JSON.parse(body))).toStrictEqual(plain);
    }
  });

  test('several SNS records in one event give a reading each', () => {
    const { Records } = sample('alarm/full-disk.sns-lambda');
    const confirmation = { ...Records[0], Sns: sample('other/sns-subscription') };
    expect(() => readAll({ Records: [...Records, confirmation] })).toThrow(InvalidInput);
    expect(readAll({ Records: [...Records, ...Records] })).toHaveLength(2);
  });

  test('an older notification without AlarmArn takes the region of its topic', () => {
    const notification = sample('alarm/full-disk.sns');
    const { AlarmArn: _, ...message } = JSON.parse(notification.Message);
    expect(readAll({ ...notification, Message: JSON.stringify(message) })).toStrictEqual(readAll(notification));
  });
});

/** [name, kind, causes, targets] */
const notices: readonly (readonly [string, string, string, readonly string[]])[] = [
  [
    'ec2-health/retirement',
    'instance.scheduled-event',
    'AWS Health: AWS_EC2_PERSISTENT',
    [WEB1, `arn:aws:ec2:${HOME}:instance/i-0123456789abcdef0`],
  ],
  [
    'ec2-health/dedicated-host',
    'instance.host-announced',
    'AWS Health: AWS_EC2_DEDICATED_HOST_RETIREMENT_SCHEDULED of h-0a1b2c3d4e5f60718',
    [`arn:aws:ec2:${HOME}:dedicated-host/h-0a1b2c3d4e5f60718`],
  ],
  [
    'ec2-health/volume-lost',
    'volume.lost',
    'AWS Health: AWS_EBS_VOLUME_LOST of vol-cd424e42a851214aa',
    [`arn:aws:ec2:${HOME}:volume/vol-cd424e42a851214aa`],
  ],
  ['ec2-health/degraded', 'instance.hardware-degraded', 'AWS Health: AWS_EC2_INSTANCE_STORE', [WEB1]],
  [
    'ecs-container-instance/cut-off',
    'container-instance.agent-disconnected',
    'the ECS agent of i-a08ff49b6f7726327 is cut off from the cluster shop',
    [WEB1],
  ],
  [
    'ecs-service/placement-failure',
    'container-service.failing',
    'ECS says SERVICE_TASK_PLACEMENT_FAILURE of shop/web: RESOURCE:MEMORY',
    [SERVICE],
  ],
  ['ecs-service/start-impaired', 'container-service.failing', 'ECS says SERVICE_TASK_START_IMPAIRED of', [SERVICE]],
  [
    'ecs-service/deployment-begun',
    'container-service.deployed',
    'ECS says SERVICE_DEPLOYMENT_IN_PROGRESS of shop/web: ECS deployment',
    [SERVICE],
  ],
  [
    'ecs-service/deployment-completed',
    'container-service.deployed',
    'ECS says SERVICE_DEPLOYMENT_COMPLETED of shop/web: ECS deployment',
    [SERVICE],
  ],
  ['ecs-service/of-an-old-service', 'container-service.failing', 'ECS says SERVICE_TASK_START_IMPAIRED of', [SERVICE]],
  [
    'ecs-service/deployment-failed',
    'container-service.failing',
    'ECS says SERVICE_DEPLOYMENT_FAILED of shop/web: ECS deployment circuit breaker: tasks failed to start.',
    [SERVICE],
  ],
  [
    'ecs-task/exited',
    'container-service.failing',
    'task 01c41e0f5b7a4d5e9b6d2f8a1c3e5071 of web in shop has stopped: Essential container in task exited; web with 1',
    [SERVICE],
  ],
  ['ecs-task/out-of-memory', 'container-service.failing', 'web with 137 (OutOfMemoryError: Container', [SERVICE]],
  ['ecs-task/not-started', 'container-service.failing', 'has stopped: CannotPullContainerError: pull', [SERVICE]],
  [
    'ecs-task/of-no-service',
    'container-task.failed',
    'task 04c41e0f5b7a4d5e9b6d2f8a1c3e5071 of family:nightly in shop has stopped: ',
    [`arn:aws:ecs:${HOME}:task/shop/04c41e0f5b7a4d5e9b6d2f8a1c3e5071`],
  ],
  [
    'ecs-task-health/unhealthy',
    'container-service.failing',
    'task 08c41e0f5b7a4d5e9b6d2f8a1c3e5071 of web in shop fails its health checks',
    [SERVICE],
  ],
  ['ec2-spot/interruption', 'instance.interruption', 'EC2 Spot Instance Interruption Warning of', [WEB1]],
  ['ec2-spot/rebalance', 'instance.rebalance-recommended', 'EC2 Instance Rebalance Recommendation of', [WEB1]],
];

describe('notices', () => {
  test.each(notices)('%s', (name, kind, cause, targets) => {
    const event = sample(name);
    expect(readAll(event)).toEqual([
      {
        signals: targets.map((arn) => ({
          kind,
          target: targetOf(arn),
          at: AT,
          cause: expect.stringContaining(cause),
          eventId: event.id,
        })),
      },
    ]);
    expect(rulesFor(event)).toEqual([name.split('/')[0]]);
  });
});

/** [name, kind, trail, cause, author] */
const trailCalls: readonly (readonly [string, string, string, string, string | undefined])[] = [
  ['cloudtrail/stop-logging', 'trail.stopped', TRAIL, 'StopLogging by ', ANNA],
  ['cloudtrail/stop-logging-by-arn', 'trail.stopped', TRAIL, 'StopLogging by ', ANNA],
  ['cloudtrail/stop-logging-by-iac', 'trail.stopped', TRAIL, 'StopLogging by ', TERRAFORM],
  ['cloudtrail/delete-trail', 'trail.stopped', TRAIL, 'DeleteTrail by ', ANNA],
  ['cloudtrail/update-trail', 'trail.weakened', TRAIL, 'UpdateTrail by ', ANNA],
  ['cloudtrail/put-event-selectors', 'trail.weakened', TRAIL, 'PutEventSelectors by ', ANNA],
  ['cloudtrail/by-steward', 'target.changed', TRAIL, 'UpdateTrail by ', undefined],
];

describe('API calls', () => {
  test.each(trailCalls)('%s', (name, kind, target, cause, author) => {
    const event = sample(name);
    expect(readAll(event)).toEqual([
      {
        signals: [
          {
            kind,
            target: targetOf(target),
            at: AT,
            cause: expect.stringContaining(cause),
            eventId: event.detail.eventID,
            ...(author === undefined ? {} : { author }),
          },
        ],
      },
    ]);
    expect(rulesFor(event)).toEqual([name.split('/')[0]]);
  });
});

describe('changes', () => {
  test.each(changes)('%s', (name, target, cause, heard) => {
    const event = sample(name);
    expect(readAll(event)).toEqual([
      {
        signals: [
          { kind: 'target.changed', target: targetOf(target), at: AT, cause, eventId: event.id },
          // A new instance, and one that is gone, is looked over for its alarms.
          ...(/state\/(running|terminated)$/.test(name)
            ? [
                {
                  kind: 'instance.unwatched',
                  target: targetOf(target),
                  at: AT,
                  cause,
                  eventId: event.id,
                  routine: true,
                },
              ]
            : []),
        ],
      },
    ]);
    expect(rulesFor(event)).toEqual(heard ? [name.split('/')[0]] : []);
  });
});

/** Calls that the parser would take, and the rule leaves out. */
const outside = ['logs-api/of-no-interest', 'ec2-api/flow-log-deleted'];
/** What ARC tells of a zone: [name, kind, whether it begins]. */
const shifts = [
  ['zonal-autoshift/begun', 'autoshift', true],
  ['zonal-autoshift/begun-for-a-resource', 'autoshift', true],
  ['zonal-autoshift/completed', 'autoshift', false],
  ['zonal-autoshift/experiment', 'experiment', true],
  ['zonal-autoshift/practice-started', 'practice', true],
  ['zonal-autoshift/practice-interrupted', 'practice', false],
] as const;
test.each(shifts)('%s is of a zone, and signals nothing', (name, kind, begins) => {
  const event = sample(name);
  expect(readAll(event)).toStrictEqual([{ shift: { kind, begins, zone: 'euc1-az2', at: AT }, region: 'eu-central-1' }]);
  expect(rulesFor(event)).toEqual(['zonal-autoshift']);
});
test('a shift that a person began, or of no zone, is none', () => {
  const event = sample('zonal-autoshift/begun');
  expect(readAll({ ...event, 'detail-type': 'Manual Shift Started' })).toEqual([{ ignored: expect.anything() }]);
  const odd = { ...event, detail: { ...event.detail, metadata: { awayFrom: 'TARGET#x' } } };
  expect(() => readAll(odd)).toThrow(InvalidInput);
});

test.each(outside)('%s is not listened to', (name) => expect(rulesFor(sample(name))).toEqual([]));

const ASG = `arn:aws:autoscaling:${HOME}:autoScalingGroup:2a3b4c5d-6e7f-4a8b-9c0d-1e2f3a4b5c6d:autoScalingGroupName/web`;
/** Looked into as a matter of course: [name, kind, target, cause]. */
const routines: readonly (readonly [string, SignalKind, string, string])[] = [
  [
    'auto-scaling/no-capacity',
    'instance-group.uneven',
    ASG,
    'EC2 Instance Launch Unsuccessful of web: We currently do not have sufficient m6i.large capacity in the Availability Zone you requested (eu-central-1b). Launching EC2 instance failed.',
  ],
  ['ecs-service/uneven', 'container-service.uneven', SERVICE, 'ECS says SERVICE_REBALANCING_STARTED of shop/web'],
];
test.each(routines)('%s is looked into', (name, kind, target, cause) => {
  const event = sample(name);
  const signal = { kind, target: targetOf(target), at: AT, cause, eventId: event.id, routine: true };
  expect(readAll(event)).toStrictEqual([{ signals: [signal] }]);
  expect(rulesFor(event)).toEqual([name.split('/')[0]]);
});

describe('calls', () => {
  test.each([...calls, ...needs])('%s', (name, kind, target, author, cause) => {
    const event = sample(name);
    const signal = { kind, target: targetOf(target), at: AT, cause, eventId: event.id, ...(author && { author }) };
    expect(readAll(event)).toStrictEqual([{ signals: [signal] }]);
    expect(rulesFor(event)).toEqual([name.split('/')[0]]);
  });

  test.each(quiet)('%s passes the rule and ends at the parser', (name) => {
    expect(readAll(sample(name))).toEqual([{ ignored: expect.stringContaining('nothing to act on') }]);
    expect(rulesFor(sample(name))).toEqual([name.split('/')[0]]);
  });
});

test.each(Object.entries(ignored))('%s is ignored, with the reason', (name, because) => {
  const [reading] = readAll(sample(name)) as [Reading & { ignored: string }];
  expect(reading.ignored).toContain(because);
  expect(rulesFor(sample(name))).toEqual([]);
});

test.each(Object.entries(unreadable))('%s cannot be read: %s', (name, because) => {
  const failure = failureOf(() => readAll(sample(name)));
  expect(failure).toBeInstanceOf(InvalidInput);
  expect((failure as InvalidInput).message).toBe(because);
});

test('a message that is not JSON is a text and nothing else', () => {
  expect(() => JSON.parse(textOf('other/samples/not-json.txt'))).toThrow(SyntaxError);
  expect(() => readAll(textOf('other/samples/not-json.txt'))).toThrow('the event is not a JSON object');
});

describe("Steward's own messages", () => {
  const look = { target: WEB1, remediation: 'full-disk', incident: '01KAQX4T2D6N8J0V5R3F7G9H1K' };
  test('look', () => {
    expect(readAll(sample('steward/look'))).toStrictEqual([{ look: { ...look, due: 1_795_597_380_000 } }]);
    expect(readAll(sample('steward/look-first'))).toStrictEqual([{ look }]);
  });
  test('a signal is the alarm that a survey found', () => {
    expect(readAll(sample('steward/signal'))).toStrictEqual(readAll(sample('alarm/full-disk.eventbridge')));
  });
  test('a channel that fails is named by the parameter of its health', () => {
    expect(readAll(sample('steward/channel-failing'))).toMatchObject([
      {
        signals: [
          { kind: 'channel.failing', target: targetOf(`arn:aws:ssm:${HOME}:parameter/steward/local/channel/ops`) },
        ],
      },
    ]);
  });
  test('an Auto Scaling group is named without its id', () => {
    const target = targetOf(`arn:aws:autoscaling:${HOME}:autoScalingGroup:*:autoScalingGroupName/web`);
    expect(readAll(sample('steward/wanted'))).toMatchObject([{ signals: [{ kind: 'capacity.wanted', target }] }]);
  });
  test('a drill keeps who asked', () => {
    expect(readAll(sample('steward/drill'))).toStrictEqual([
      {
        signals: [
          {
            kind: 'steward.drill',
            target: targetOf(`arn:aws:ssm:${HOME}:parameter/steward/local/drill`),
            at: AT + 417,
            cause: 'steward doctor',
            eventId: 'drill-01KAQX4T2D',
            askedBy: 'arn:aws:iam::111122223333:user/ines',
          },
        ],
      },
    ]);
  });
  test('a plan is asked of a target, by its ARN', () => {
    expect(sample('steward/plan')).toEqual({ explain: true, target: WEB1 });
  });
});

test('every sample is in one of the tables above', () => {
  const own = ['look', 'look-first', 'signal', 'drill', 'channel-failing', 'plan', 'wanted'].map((n) => `steward/${n}`);
  const forms = ['sns-lambda', 'sqs', 'explain'].map((form) => `alarm/full-disk.${form}`);
  const listed = [
    ...Object.keys(alarms).flatMap((name) => FORMS.map((form) => `alarm/${name}.${form}`)),
    ...changes.map(([name]) => name),
    ...[...calls, ...needs].map(([name]) => name),
    ...notices.map(([name]) => name),
    ...routines.map(([name]) => name),
    ...trailCalls.map(([name]) => name),
    ...quiet,
    ...outside,
    ...shifts.map(([name]) => name),
    ...Object.keys(ignored),
    ...Object.keys(unreadable),
    ...own,
    ...forms,
  ];
  expect(listed.sort()).toEqual(sampleNames);
});

test('what a rule lets through is never ignored, but for calls that changed nothing', () => {
  expect(Object.keys(patterns).sort()).toEqual([
    'alarm',
    'auto-scaling',
    'cloudtrail',
    'ebs-volume',
    'ec2-api',
    'ec2-health',
    'ec2-instance-state',
    'ec2-spot',
    'ecr-api',
    'ecs-api',
    'ecs-container-instance',
    'ecs-service',
    'ecs-task',
    'ecs-task-health',
    'logs-api',
    'ssm-command',
    'trail-needs',
    'zonal-autoshift',
  ]);
  for (const name of sampleNames.filter(
    (n) => rulesFor(sample(n)).length > 0 && !(n in unreadable) && !quiet.includes(n),
  ))
    expect([name, readAll(sample(name))]).toEqual([
      name,
      [
        name.startsWith('zonal-autoshift/')
          ? { shift: expect.anything(), region: 'eu-central-1' }
          : { signals: expect.arrayContaining([expect.anything()]) },
      ],
    ]);
});

/** Which keys there are and of which type, in any order. */
const shapeOf = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
};

describe('the samples and the simulated account', () => {
  const world = createWorld();
  const fleet = seedFleet(world);
  const [web1] = fleet.web;
  const alarm = world.cloudwatch.alarms.get('disk web-1 /srv')!;
  const actions: AlarmAction[] = [];
  world.onAlarmAction((action) => void actions.push(action));
  alarm.actions.ALARM.push(
    'arn:aws:sns:eu-central-1:111122223333:alarms',
    'arn:aws:lambda:eu-central-1:111122223333:function:heal',
  );
  // Told as OK first, so that ALARM follows it with evaluated datapoints.
  world.clock.advance(300_000);
  breakDisk(world, web1!.id, { path: '/srv', usedPercent: 95 });
  world.clock.advance(300_000);

  test('name the same machine, alarm and dimensions, in the same account and region', () => {
    const { detail, account, region } = sample('alarm/full-disk.eventbridge');
    expect([account, region]).toEqual([world.account, world.region]);
    expect(detail.alarmName).toBe(alarm.name);
    expect(detail.configuration.metrics[0].metricStat.metric.dimensions).toEqual(alarm.dimensions);
    const volume = world.ec2.volumes.get('vol-cd424e42a851214aa');
    expect(volume?.attachment?.instanceId).toBe(web1?.id);
  });

  test('have the same shape: alarm', () => {
    const told = world.events.sent.findLast(
      ({ source, detail }) => source === 'aws.cloudwatch' && detail['alarmName'] === alarm.name,
    );
    expect(shapeOf(told)).toEqual(shapeOf(sample('alarm/full-disk.eventbridge')));
    const payloads = actions.map(({ payload }) => (typeof payload === 'string' ? JSON.parse(payload) : payload));
    const [message, event] = payloads;
    expect(shapeOf(event)).toEqual(shapeOf(sample('alarm/full-disk.lambda')));
    expect(shapeOf({ ...message, OKActions: [''], AlarmActions: [''] })).toEqual(
      shapeOf(sample('alarm/full-disk.sns-raw')),
    );
    const [direct] = readAll(event);
    expect(readAll(message)).toStrictEqual([direct]);
    expect(readAll(told)).toStrictEqual([direct]);
  });

  test('have the same shape: instance, volume, command', async () => {
    const { ec2, ssm } = clientsOf(world);
    await ec2.send(new ModifyVolumeCommand({ VolumeId: 'vol-cd424e42a851214aa', Size: 40 }));
    await ssm.send(
      new SendCommandCommand({
        DocumentName: 'steward-clean-disk',
        InstanceIds: [web1!.id],
        Parameters: { Mount: ['Lw=='] },
      }),
    );
    world.clock.advance(60_000);
    await ec2.send(new StopInstancesCommand({ InstanceIds: [web1!.id] }));
    world.clock.advance(60_000);
    const told = (type: string) => world.events.sent.findLast((e) => e['detail-type'] === type);
    expect(shapeOf(told('EBS Volume Notification'))).toEqual(shapeOf(sample('ebs-volume/modify-completed')));
    expect(shapeOf(told('EC2 Instance State-change Notification'))).toEqual(
      shapeOf(sample('ec2-instance-state/stopped')),
    );
    expect(shapeOf(told('EC2 Command Invocation Status-change Notification'))).toEqual(
      shapeOf(sample('ssm-command/grow-success')),
    );
    const { parameters: mine, ...whole } = told('EC2 Command Status-change Notification')!.detail;
    const { parameters: theirs, ...expected } = sample('ssm-command/whole-command').detail;
    expect(shapeOf(whole)).toEqual(shapeOf(expected));
    for (const parameters of [mine, theirs])
      expect(Object.values(parameters as object).every(Array.isArray)).toBe(true);
  });
});
