import {
  type Trail as AwsTrail,
  CloudTrailClient,
  CreateTrailCommand,
  DescribeTrailsCommand,
  type Event,
  GetEventSelectorsCommand,
  type GetEventSelectorsCommandOutput,
  GetTrailStatusCommand,
  ListTagsCommand,
  LookupEventsCommand,
  PutEventSelectorsCommand,
  StartLoggingCommand,
  UpdateTrailCommand,
} from '@aws-sdk/client-cloudtrail';
import * as z from 'zod/mini';
import { InvalidInput } from '../core/errors.ts';
import type { Trail, TrailChange, TrailSettings, Trails } from '../core/trails.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

type Tags = Readonly<Record<string, string>>;
const maybe = <K extends string>(key: K, value: string | undefined) =>
  (value ? { [key]: value } : {}) as { [k in K]?: string };

const settingsOf = (t: AwsTrail): TrailSettings => {
  if (!t.S3BucketName) throw new InvalidInput(`CloudTrail describes ${t.Name ?? 'a trail'} without a bucket`);
  return {
    bucket: t.S3BucketName,
    ...maybe('prefix', t.S3KeyPrefix),
    ...maybe('kmsKey', t.KmsKeyId),
    multiRegion: t.IsMultiRegionTrail ?? false,
    globalEvents: t.IncludeGlobalServiceEvents ?? false,
    validation: t.LogFileValidationEnabled ?? false,
  };
};

/** Basic selectors name management events by a flag, advanced ones by a field; either may have several. */
export const recordsManagement = ({
  EventSelectors = [],
  AdvancedEventSelectors = [],
}: GetEventSelectorsCommandOutput): boolean =>
  EventSelectors.some((s) => s.IncludeManagementEvents !== false && (s.ReadWriteType ?? 'All') === 'All') ||
  AdvancedEventSelectors.some(
    ({ FieldSelectors = [] }) =>
      FieldSelectors.some(isManagement) && FieldSelectors.every((f) => f.Field !== 'readOnly'),
  );
const isManagement = (f: { Field?: string | undefined; Equals?: string[] | undefined }): boolean =>
  f.Field === 'eventCategory' && f.Equals?.[0] === 'Management';

const text = z.string();
const flag = z.nullish(z.boolean());
/** What CloudTrail's own records of CreateTrail and UpdateTrail say. Strings are empty where there is none. */
const record = z.object({
  eventTime: text,
  eventName: text,
  errorCode: z.nullish(text),
  userIdentity: z.object({ arn: z.nullish(text), invokedBy: z.nullish(text) }),
  requestParameters: z.nullish(
    z.object({ tagsList: z.nullish(z.array(z.object({ key: text, value: z.nullish(text) }))) }),
  ),
  responseElements: z.nullish(
    z.object({
      s3BucketName: z.nullish(text),
      s3KeyPrefix: z.nullish(text),
      kmsKeyId: z.nullish(text),
      isMultiRegionTrail: flag,
      includeGlobalServiceEvents: flag,
      logFileValidationEnabled: flag,
    }),
  ),
});

const changeOf = ({ CloudTrailEvent }: Event): readonly TrailChange[] => {
  const { success, data: r } = z.safeParse(record, JSON.parse(CloudTrailEvent ?? 'null'));
  // One record that cannot be read must not hide the others: what is missing makes the history shorter, never wrong.
  if (!success || r.errorCode) return [];
  const { responseElements: made, requestParameters: asked } = r;
  return [
    {
      at: Date.parse(r.eventTime),
      call: r.eventName,
      author: r.userIdentity.arn ?? r.userIdentity.invokedBy ?? 'unknown',
      ...(made?.s3BucketName
        ? {
            settings: {
              bucket: made.s3BucketName,
              ...maybe('prefix', made.s3KeyPrefix ?? undefined),
              ...maybe('kmsKey', made.kmsKeyId ?? undefined),
              multiRegion: made.isMultiRegionTrail ?? false,
              globalEvents: made.includeGlobalServiceEvents ?? false,
              validation: made.logFileValidationEnabled ?? false,
            },
          }
        : {}),
      ...(asked?.tagsList ? { tags: Object.fromEntries(asked.tagsList.map((t) => [t.key, t.value ?? ''])) } : {}),
    },
  ];
};

/** So many calls about one trail are enough to know what it was. */
const HISTORY = 50;

const inputOf = (s: TrailSettings) => ({
  S3BucketName: s.bucket,
  ...(s.prefix === undefined ? {} : { S3KeyPrefix: s.prefix }),
  ...(s.kmsKey === undefined ? {} : { KmsKeyId: s.kmsKey }),
  IsMultiRegionTrail: s.multiRegion,
  IncludeGlobalServiceEvents: s.globalEvents,
  EnableLogFileValidation: s.validation,
});

export const cloudTrails = (options: ClientOptions): Trails => {
  const reader = new CloudTrailClient(clientConfig(options, 3));
  // Each of these names the end state: a repetition changes nothing.
  const writer = new CloudTrailClient(clientConfig(options, 2));

  const tagsOf = async (arn: string): Promise<Tags> => {
    const { ResourceTagList = [] } = await reader.send(new ListTagsCommand({ ResourceIdList: [arn] }));
    return Object.fromEntries((ResourceTagList[0]?.TagsList ?? []).map((t) => [t.Key ?? '', t.Value ?? '']));
  };
  /** Asked for by ARN it is never a copy of another region's. */
  const find = async (arn: string): Promise<AwsTrail | undefined> => {
    const { trailList = [] } = await reader.send(
      new DescribeTrailsCommand({ trailNameList: [arn], includeShadowTrails: false }),
    );
    return trailList.find((t) => t.TrailARN === arn);
  };

  return {
    own: () =>
      calling('cannot list the trails', async () => {
        const { trailList = [] } = await reader.send(new DescribeTrailsCommand({ includeShadowTrails: false }));
        const own = trailList.filter((t) => (t.HomeRegion ?? options.region) === options.region);
        return Promise.all(
          own.map(async (t) => {
            const status = await reader.send(new GetTrailStatusCommand({ Name: t.TrailARN }));
            return {
              arn: t.TrailARN ?? '',
              name: t.Name ?? '',
              settings: settingsOf(t),
              logging: status.IsLogging ?? false,
              ...maybe('deliveryError', status.LatestDeliveryError),
            };
          }),
        );
      }),
    describe: (arn) =>
      calling(`cannot look at ${arn}`, async (): Promise<Trail | undefined> => {
        // Asked together, for seconds count; what a trail that is gone answers to the rest is nobody's business.
        const rest = Promise.all([
          reader.send(new GetTrailStatusCommand({ Name: arn })),
          reader.send(new GetEventSelectorsCommand({ TrailName: arn })),
          tagsOf(arn),
        ]);
        rest.catch(() => {});
        const trail = await find(arn);
        if (!trail?.Name) return undefined;
        const [status, selectors, tags] = await rest;
        return {
          arn,
          name: trail.Name,
          settings: settingsOf(trail),
          logging: status.IsLogging ?? false,
          management: recordsManagement(selectors),
          ...maybe('deliveryError', status.LatestDeliveryError),
          organization: trail.IsOrganizationTrail ?? false,
          tags,
        };
      }),
    history: (name) =>
      calling(`cannot look up who changed ${name}`, async () => {
        const { Events = [] } = await reader.send(
          new LookupEventsCommand({
            LookupAttributes: [{ AttributeKey: 'ResourceName', AttributeValue: name }],
            MaxResults: HISTORY,
          }),
        );
        return Events.flatMap(changeOf).sort((a, b) => b.at - a.at);
      }),
    using: (what) =>
      calling('cannot list the trails', async () => {
        const { trailList = [] } = await reader.send(new DescribeTrailsCommand({ includeShadowTrails: false }));
        const uses = (t: AwsTrail) => ('key' in what ? t.KmsKeyId === what.key : t.S3BucketName === what.bucket);
        return trailList
          .filter((t) => uses(t) && (t.HomeRegion ?? options.region) === options.region)
          .flatMap((t) => t.TrailARN ?? []);
      }),
    calls: (names, about) =>
      calling(`cannot look up who changed ${about}`, async () => {
        // By resource CloudTrail would give the newest of very many: each delivery uses key and bucket.
        const found = await Promise.all(
          names.map((AttributeValue) =>
            reader.send(
              new LookupEventsCommand({
                LookupAttributes: [{ AttributeKey: 'EventName', AttributeValue }],
                MaxResults: HISTORY,
              }),
            ),
          ),
        );
        // A call may name a key by its id alone.
        const name = about.replace(/^arn:.*:key\//, '');
        return found
          .flatMap(({ Events = [] }) => Events)
          .filter((e) => e.CloudTrailEvent?.includes(`${name}"`))
          .flatMap(changeOf)
          .sort((a, b) => b.at - a.at);
      }),
    start: (arn) =>
      calling(`cannot start ${arn}`, async () => void (await writer.send(new StartLoggingCommand({ Name: arn })))),
    update: (arn, settings) =>
      calling(
        `cannot change ${arn}`,
        async () => void (await writer.send(new UpdateTrailCommand({ Name: arn, ...inputOf(settings) }))),
      ),
    create: (name, settings, tags) =>
      calling(`cannot create trail ${name}`, async () => {
        const TagsList = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
        await writer.send(new CreateTrailCommand({ Name: name, ...inputOf(settings), TagsList }));
      }),
    recordManagement: (arn) =>
      calling(`cannot change what ${arn} records`, async () => {
        const found = await reader.send(new GetEventSelectorsCommand({ TrailName: arn }));
        await writer.send(new PutEventSelectorsCommand({ TrailName: arn, ...withManagement(found) }));
      }),
  };
};

/** What it selects of data events stays. */
const withManagement = ({ EventSelectors = [], AdvancedEventSelectors = [] }: GetEventSelectorsCommandOutput) => {
  if (AdvancedEventSelectors.length === 0)
    return {
      EventSelectors: (EventSelectors.length > 0 ? EventSelectors : [{}]).map((s) => ({
        ...s,
        IncludeManagementEvents: true,
        ReadWriteType: 'All' as const,
      })),
    };
  const others = AdvancedEventSelectors.filter(({ FieldSelectors = [] }) => !FieldSelectors.some(isManagement));
  const management = {
    Name: 'Management events',
    FieldSelectors: [{ Field: 'eventCategory', Equals: ['Management'] }],
  };
  return { AdvancedEventSelectors: [management, ...others] };
};
