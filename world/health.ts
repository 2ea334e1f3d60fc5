/** AWS Health: issues of whole services, as its API lists them and as EventBridge is told. */
import type * as api from '@aws-sdk/client-health';
import * as health from '@aws-sdk/client-health';
import { page } from './describe.ts';
import { AwsError, defineService, jsonWords, type Operations } from './service.ts';
import type { World } from './world.ts';

export type HealthEvent = {
  readonly arn: string;
  readonly service: 'EC2' | 'EBS';
  readonly code: string;
  readonly category: 'issue' | 'scheduledChange' | 'accountNotification';
  /** Its name; undefined: of the region. */
  readonly zone: string | undefined;
  readonly startTime: number;
  endTime: number | undefined;
  /** When AWS told of it first. */
  readonly toldAt: number;
};
export type HealthState = {
  /** Whether the account has Business support: without it the API says nothing. EventBridge does. */
  supported: boolean;
  readonly events: HealthEvent[];
};
export const createHealthState = (): HealthState => ({ supported: true, events: [] });

const tell = (world: World, event: HealthEvent) => {
  const { arn, service, code, category, zone, startTime, endTime } = event;
  const inWords = (time: number) => new Date(time).toUTCString();
  world.events.emit({
    source: 'aws.health',
    detailType: 'AWS Health Event',
    resources: [],
    detail: {
      eventArn: arn,
      service,
      eventScopeCode: 'PUBLIC',
      communicationId: world.random.hex(64),
      lastUpdatedTime: inWords(world.clock.now()),
      statusCode: endTime === undefined ? 'open' : 'closed',
      eventRegion: world.region,
      ...(zone && { availabilityZone: zone }),
      eventTypeCode: code,
      eventTypeCategory: category,
      startTime: inWords(startTime),
      ...(endTime !== undefined && { endTime: inWords(endTime) }),
      eventDescription: [{ language: 'en_US', latestDescription: 'We are investigating increased error rates.' }],
      page: '1',
      totalPages: '1',
      affectedEntities: [],
    },
  });
};

/** A service fails in the region, or in one zone of it. */
export const beginIssue = (
  world: World,
  { service = 'EC2', zone }: Partial<Pick<HealthEvent, 'service' | 'zone'>> = {},
): HealthEvent => {
  const code = `AWS_${service}_OPERATIONAL_ISSUE`;
  const event: HealthEvent = {
    arn: `arn:aws:health:${world.region}::event/${service}/${code}/${code}_${world.random.hex(8).toUpperCase()}`,
    service,
    code,
    category: 'issue',
    zone,
    // AWS tells of it after a while.
    startTime: world.clock.now() - 600_000,
    endTime: undefined,
    toldAt: world.clock.now(),
  };
  world.health.events.push(event);
  tell(world, event);
  return event;
};
/** Does it concern that zone? */
export const isOf = ({ zone, endTime }: HealthEvent, name: string): boolean =>
  endTime === undefined && (zone === undefined || zone === name);
export const endIssue = (world: World, event: HealthEvent): void => {
  event.endTime = world.clock.now();
  tell(world, event);
};

const operations: Operations<typeof api> = {
  DescribeEvents: (input, { world }) => {
    if (!world.health.supported)
      throw new AwsError('SubscriptionRequiredException', 'You need a subscription to a support plan to use this API.');
    const max = input.maxResults;
    if (max !== undefined && (max < 10 || max > 100))
      throw new AwsError('ValidationException', 'maxResults must be between 10 and 100');
    const { services, regions, eventTypeCategories, eventStatusCodes, ...others } = input.filter ?? {};
    const odd = Object.keys(others)[0];
    if (odd !== undefined) throw new AwsError('ValidationException', `The world has no filter ${odd}`);
    const statusOf = ({ endTime }: HealthEvent) => (endTime === undefined ? ('open' as const) : ('closed' as const));
    const wanted = <T>(values: readonly T[] | undefined, value: T) => values === undefined || values.includes(value);
    const found = world.health.events.filter(
      (e) =>
        wanted<string>(services, e.service) &&
        wanted(regions, world.region) &&
        wanted(eventTypeCategories, e.category) &&
        wanted(eventStatusCodes, statusOf(e)),
    );
    const { items, nextToken } = page(found, {
      max,
      token: input.nextToken,
      otherwise: 100,
      invalidToken: 'InvalidPaginationToken',
    });
    return {
      events: items.map((e) => ({
        arn: e.arn,
        service: e.service,
        eventTypeCode: e.code,
        eventTypeCategory: e.category,
        eventScopeCode: 'PUBLIC' as const,
        region: world.region,
        ...(e.zone && { availabilityZone: e.zone }),
        startTime: new Date(e.startTime),
        ...(e.endTime !== undefined && { endTime: new Date(e.endTime) }),
        lastUpdatedTime: new Date(e.endTime ?? e.startTime),
        statusCode: statusOf(e),
      })),
      ...(nextToken && { nextToken }),
    };
  },
};

export const healthService = defineService<typeof api>({
  name: 'health',
  signingName: 'health',
  iamPrefix: 'health',
  protocol: 'json',
  xmlNamespace: '',
  api: health,
  words: jsonWords,
  operations,
  resources: {},
});
