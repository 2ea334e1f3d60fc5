/** The event of a call that changed something, as CloudTrail gives it to EventBridge. An account without a trail has none of these. */
import type { Call } from './service.ts';

type ApiCall = {
  /** 'logs' → source aws.logs, eventSource logs.amazonaws.com */
  readonly service: string;
  readonly eventName: string;
  readonly requestParameters: Readonly<Record<string, unknown>>;
  readonly responseElements?: Readonly<Record<string, unknown>> | null;
  /** What LookupEvents finds it by; without one it does not. */
  readonly resource?: string;
};

export const identityOf = ({ principal, world }: Call) => ({
  type: { root: 'Root', role: 'AssumedRole', user: 'IAMUser' }[principal.kind],
  principalId: principal.userId,
  arn: principal.arn,
  accountId: principal.account,
  ...(principal.role && {
    sessionContext: {
      sessionIssuer: {
        type: 'Role',
        principalId: principal.userId.split(':')[0],
        arn: principal.role.arn,
        accountId: world.account,
        userName: principal.role.name,
      },
      attributes: { creationDate: new Date(world.clock.now()).toISOString(), mfaAuthenticated: 'false' },
    },
  }),
});

/** Puts the call on the bus, some seconds after it was answered. */
export const emitApiCall = (call: Call, { service, eventName, ...told }: ApiCall) => {
  const { world, at, requestId } = call;
  const detail = {
    eventVersion: '1.11',
    userIdentity: identityOf(call),
    eventTime: `${new Date(at).toISOString().slice(0, 19)}Z`,
    eventSource: `${service}.amazonaws.com`,
    eventName,
    awsRegion: world.region,
    sourceIPAddress: '198.51.100.7',
    userAgent: 'aws-cli/2.31.0',
    requestParameters: told.requestParameters,
    responseElements: told.responseElements ?? null,
    requestID: requestId,
    eventID: world.random.uuid(),
    readOnly: false,
    eventType: 'AwsApiCall',
    managementEvent: true,
    recipientAccountId: world.account,
    eventCategory: 'Management',
  };
  world.recorder?.told(requestId, detail);
  if (told.resource !== undefined)
    world.cloudtrail.events.push({ at, name: eventName, resource: told.resource, record: detail });
  const emit = () =>
    world.events.emit({ source: `aws.${service}`, detailType: 'AWS API Call via CloudTrail', resources: [], detail });
  world.clock.at(world.clock.now() + world.settle.apiCallEvent, emit);
};
