/** CloudTrail: trails, what they record, and who changed them. Changes reach EventBridge within seconds and LookupEvents within minutes. */

import type { AdvancedEventSelector, Trail as ApiTrail, EventSelector } from '@aws-sdk/client-cloudtrail';
import * as api from '@aws-sdk/client-cloudtrail';
import { deliverEvery } from './delivery.ts';
import { AwsError, type Call, defineService, jsonWords, type Operations } from './service.ts';
import type { World } from './world.ts';

export type Trail = {
  readonly name: string;
  bucket: string;
  prefix: string | undefined;
  kmsKey: string | undefined;
  multiRegion: boolean;
  globalEvents: boolean;
  validation: boolean;
  organization: boolean;
  logging: boolean;
  /** When it was last started and stopped; undefined: never. */
  startedAt: number | undefined;
  stoppedAt: number | undefined;
  deliveryError: string | undefined;
  selectors: EventSelector[];
  advanced: AdvancedEventSelector[];
  tags: Record<string, string>;
};
export type CloudTrailState = {
  readonly trails: Map<string, Trail>;
  /** Management events about trails, keys and buckets: what LookupEvents finds. */
  readonly events: { at: number; name: string; resource: string; record: object }[];
};
export const createCloudTrailState = (): CloudTrailState => ({ trails: new Map(), events: [] });

type CloudTrailOperations = Operations<typeof api>;

/** "CloudTrail typically delivers an event within an average of about 5 minutes of an API call." */
const LOOKUP_DELAY = 5 * 60_000;
/** EventBridge has it sooner. */
const EVENT_DELAY = 3_000;
const KEPT = 90 * 86_400_000;

const arnOf = ({ region, account }: World, name: string) => `arn:aws:cloudtrail:${region}:${account}:trail/${name}`;
const nameOf = (nameOrArn = '') => nameOrArn.replace(/^arn:[^/]*\//, '');

/** Makes a trail that has been there all along: no event, no history. */
export const addTrail = (world: World, name: string, given: Partial<Trail> = {}): Trail => {
  const trail: Trail = {
    name,
    bucket: `${name}-logs-${world.account}`,
    prefix: undefined,
    kmsKey: undefined,
    multiRegion: true,
    globalEvents: true,
    validation: true,
    organization: false,
    logging: true,
    startedAt: undefined,
    stoppedAt: undefined,
    deliveryError: undefined,
    selectors: [
      { ReadWriteType: 'All', IncludeManagementEvents: true, DataResources: [], ExcludeManagementEventSources: [] },
    ],
    advanced: [],
    tags: { 'steward:managed': 'true' },
    ...given,
  };
  world.cloudtrail.trails.set(name, trail);
  deliverEvery(world, name);
  return trail;
};

const find = (world: World, nameOrArn: string | undefined): Trail => {
  const trail = world.cloudtrail.trails.get(nameOf(nameOrArn));
  if (trail) return trail;
  throw new AwsError(
    'TrailNotFoundException',
    `Unknown trail: ${arnOf(world, nameOf(nameOrArn))} for the user: ${world.account}`,
  );
};

const lower = (key: string) =>
  ({ TrailARN: 'trailARN', S3BucketName: 's3BucketName', S3KeyPrefix: 's3KeyPrefix' })[key] ??
  `${key[0]?.toLowerCase()}${key.slice(1)}`;
const recorded = (fields: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([key, value]) => [lower(key), value]));

type Told = { call: string; trail: string; asked: object; answered: object | null };

/** Writes the call down and tells EventBridge. */
const tell = (
  { world, principal, requestId }: Pick<Call, 'world' | 'principal' | 'requestId'>,
  { call, trail, asked, answered }: Told,
) => {
  const at = world.clock.now();
  const record = {
    eventVersion: '1.11',
    userIdentity: {
      type: principal.arn.includes(':assumed-role/') ? 'AssumedRole' : 'IAMUser',
      arn: principal.arn,
      accountId: world.account,
    },
    eventTime: `${new Date(at).toISOString().slice(0, 19)}Z`,
    eventSource: 'cloudtrail.amazonaws.com',
    eventName: call,
    awsRegion: world.region,
    requestParameters: recorded(asked),
    responseElements: answered && recorded(answered),
    requestID: requestId,
    eventID: world.random.uuid(),
    readOnly: false,
    managementEvent: true,
    recipientAccountId: world.account,
  };
  world.cloudtrail.events.push({ at, name: call, resource: trail, record });
  world.recorder?.told(requestId, record);
  world.clock.at(at + EVENT_DELAY, () =>
    world.events.emit({
      source: 'aws.cloudtrail',
      detailType: 'AWS API Call via CloudTrail',
      resources: [],
      detail: structuredClone(record),
    }),
  );
};

const described = (world: World, t: Trail): ApiTrail => ({
  Name: t.name,
  S3BucketName: t.bucket,
  ...(t.prefix === undefined ? {} : { S3KeyPrefix: t.prefix }),
  ...(t.kmsKey === undefined ? {} : { KmsKeyId: t.kmsKey }),
  IncludeGlobalServiceEvents: t.globalEvents,
  IsMultiRegionTrail: t.multiRegion,
  HomeRegion: world.region,
  TrailARN: arnOf(world, t.name),
  LogFileValidationEnabled: t.validation,
  HasCustomEventSelectors: false,
  IsOrganizationTrail: t.organization,
});
const changed = (world: World, trail: Trail): object => {
  const { HasCustomEventSelectors: _, HomeRegion: _home, ...rest } = described(world, trail);
  return rest;
};

type Wanted = {
  S3BucketName?: string | undefined;
  S3KeyPrefix?: string | undefined;
  KmsKeyId?: string | undefined;
  IncludeGlobalServiceEvents?: boolean | undefined;
  IsMultiRegionTrail?: boolean | undefined;
  EnableLogFileValidation?: boolean | undefined;
};
const set = (trail: Trail, wanted: Wanted) => {
  trail.bucket = wanted.S3BucketName ?? trail.bucket;
  trail.prefix = wanted.S3KeyPrefix ?? trail.prefix;
  trail.kmsKey = wanted.KmsKeyId ?? trail.kmsKey;
  trail.globalEvents = wanted.IncludeGlobalServiceEvents ?? trail.globalEvents;
  trail.multiRegion = wanted.IsMultiRegionTrail ?? trail.multiRegion;
  trail.validation = wanted.EnableLogFileValidation ?? trail.validation;
};

const attributeOf = (e: CloudTrailState['events'][number]): Record<string, string> => ({
  ResourceName: e.resource,
  EventName: e.name,
});

const operations: CloudTrailOperations = {
  DescribeTrails: (input, { world }) => ({
    trailList: [...world.cloudtrail.trails.values()]
      .filter((t) => !input.trailNameList?.length || input.trailNameList.some((n) => nameOf(n) === t.name))
      .map((t) => described(world, t)),
  }),
  GetTrailStatus: (input, { world }) => {
    const { logging, deliveryError, startedAt, stoppedAt } = find(world, input.Name);
    return {
      IsLogging: logging,
      ...(deliveryError === undefined ? {} : { LatestDeliveryError: deliveryError }),
      ...(startedAt === undefined ? {} : { StartLoggingTime: new Date(startedAt) }),
      ...(stoppedAt === undefined ? {} : { StopLoggingTime: new Date(stoppedAt) }),
    };
  },
  GetEventSelectors: (input, { world }) => {
    const trail = find(world, input.TrailName);
    const TrailARN = arnOf(world, trail.name);
    return trail.advanced.length > 0
      ? { TrailARN, AdvancedEventSelectors: trail.advanced }
      : { TrailARN, EventSelectors: trail.selectors };
  },
  StartLogging: (input, call) => {
    const trail = find(call.world, input.Name);
    trail.logging = true;
    trail.startedAt = call.at;
    tell(call, { call: 'StartLogging', trail: trail.name, asked: { Name: input.Name }, answered: null });
    return {};
  },
  StopLogging: (input, call) => {
    const trail = find(call.world, input.Name);
    trail.logging = false;
    trail.stoppedAt = call.at;
    tell(call, { call: 'StopLogging', trail: trail.name, asked: { Name: input.Name }, answered: null });
    return {};
  },
  DeleteTrail: (input, call) => {
    const trail = find(call.world, input.Name);
    call.world.cloudtrail.trails.delete(trail.name);
    tell(call, { call: 'DeleteTrail', trail: trail.name, asked: { Name: input.Name }, answered: null });
    return {};
  },
  UpdateTrail: (input, call) => {
    const trail = find(call.world, input.Name);
    set(trail, input);
    const answered = changed(call.world, trail);
    tell(call, { call: 'UpdateTrail', trail: trail.name, asked: { ...input }, answered });
    return answered;
  },
  CreateTrail: (input, call) => {
    const { Name: name = '', TagsList = [], ...rest } = input;
    if (call.world.cloudtrail.trails.has(name))
      throw new AwsError(
        'TrailAlreadyExistsException',
        `Trail ${name} already exists for customer: ${call.world.account}`,
      );
    const trail = addTrail(call.world, name, {
      logging: false,
      multiRegion: false,
      validation: false,
      tags: Object.fromEntries(TagsList.map((t) => [t.Key ?? '', t.Value ?? ''])),
    });
    set(trail, rest);
    const answered = changed(call.world, trail);
    const tagsList = TagsList.map((t) => ({ key: t.Key, value: t.Value }));
    tell(call, { call: 'CreateTrail', trail: name, asked: { ...rest, name, tagsList }, answered });
    return answered;
  },
  PutEventSelectors: (input, call) => {
    const trail = find(call.world, input.TrailName);
    trail.selectors = input.EventSelectors ?? [];
    trail.advanced = input.AdvancedEventSelectors ?? [];
    const answered = { TrailARN: arnOf(call.world, trail.name) };
    tell(call, { call: 'PutEventSelectors', trail: trail.name, asked: { TrailName: input.TrailName }, answered });
    return answered;
  },
  ListTags: (input, { world }) => ({
    ResourceTagList: (input.ResourceIdList ?? []).map((ResourceId) => ({
      ResourceId,
      TagsList: Object.entries(find(world, ResourceId).tags).map(([Key, Value]) => ({ Key, Value })),
    })),
  }),
  /** "Returns all public keys whose private keys were used to sign the digest files within the specified time range." */
  ListPublicKeys: (_input, { world }) => {
    const key = world.recorder?.publicKey;
    return {
      PublicKeyList: key
        ? [
            {
              Value: key.der,
              Fingerprint: key.fingerprint,
              ValidityStartTime: new Date(key.since),
              ValidityEndTime: new Date(key.since + KEPT),
            },
          ]
        : [],
    };
  },
  LookupEvents: (input, { world, at }) => {
    const [wanted] = input.LookupAttributes ?? [];
    const found = world.cloudtrail.events
      .filter((e) => e.at <= at - LOOKUP_DELAY && e.at > at - KEPT)
      .filter(
        (e) =>
          e.at >= (input.StartTime?.getTime() ?? 0) && e.at <= (input.EndTime?.getTime() ?? Number.POSITIVE_INFINITY),
      )
      .filter((e) => !wanted || attributeOf(e)[wanted.AttributeKey ?? ''] === wanted.AttributeValue)
      .toSorted((a, b) => b.at - a.at)
      .slice(0, input.MaxResults ?? 50);
    return {
      Events: found.map(({ at: time, name, resource, record }) => ({
        EventId: (record as { eventID: string }).eventID,
        EventName: name,
        EventTime: new Date(time),
        Resources: [{ ResourceName: resource }],
        CloudTrailEvent: JSON.stringify(record),
      })),
    };
  },
};

const trail = (nameOrArn: string | undefined, world: World) => [
  {
    arn: arnOf(world, nameOf(nameOrArn)),
    tags: world.cloudtrail.trails.get(nameOf(nameOrArn))?.tags ?? {},
  },
];

export const cloudTrailService = defineService<typeof api>({
  name: 'cloudtrail',
  signingName: 'cloudtrail',
  iamPrefix: 'cloudtrail',
  protocol: 'json',
  xmlNamespace: 'http://www.amazonaws.com/cloudtrail/v20131101/',
  api,
  words: jsonWords,
  operations,
  resources: {
    GetTrailStatus: (input, world) => trail(input.Name, world),
    GetEventSelectors: (input, world) => trail(input.TrailName, world),
    StartLogging: (input, world) => trail(input.Name, world),
    StopLogging: (input, world) => trail(input.Name, world),
    DeleteTrail: (input, world) => trail(input.Name, world),
    UpdateTrail: (input, world) => trail(input.Name, world),
    CreateTrail: (input, world) => trail(input.Name, world),
    PutEventSelectors: (input, world) => trail(input.TrailName, world),
    ListTags: (input, world) => (input.ResourceIdList ?? []).flatMap((id) => trail(id, world)),
  },
});
