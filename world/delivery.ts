/** Whether CloudTrail can deliver what a trail records: into a bucket that lets it, with a key that can be used. Judged at each delivery, by a policy engine that others wrote. */
import { runUnsafeSimulation } from '@cloud-copilot/iam-simulate';
import type { PolicyDocument } from './iam.ts';
import type { World } from './world.ts';

/** "CloudTrail publishes log files multiple times an hour, about every 5 minutes." */
const EVERY = 5 * 60_000;
const SERVICE = 'cloudtrail.amazonaws.com';

type Asked = { readonly action: string; readonly resource: string; readonly context: Record<string, string> };

type Written = { readonly Principal?: '*' | Readonly<Record<string, string | readonly string[]>> };
const isForCloudTrail = ({ Principal = {} }: Written): boolean =>
  Principal === '*' || [Principal['AWS']].flat().includes('*') || [Principal['Service']].flat().includes(SERVICE);

/**
 * At once, so that a delivery is over when its time is. The engine that does so takes no policy of a resource: the statements that are for CloudTrail are judged as
 * a role's own. `NotPrincipal` is not modelled.
 */
const isAllowed = ({ account }: World, policy: PolicyDocument, { action, resource, context }: Asked): boolean => {
  const Statement = ([policy.Statement].flat() as Written[])
    .filter(isForCloudTrail)
    .map(({ Principal: _, ...rest }) => rest);
  return (
    runUnsafeSimulation(
      {
        request: {
          principal: `arn:aws:iam::${account}:role/cloudtrail`,
          action,
          resource: { resource, accountId: account },
          contextVariables: context,
        },
        identityPolicies: [{ name: 'bucket', policy: { Version: '2012-10-17', Statement } }],
        serviceControlPolicies: [],
        resourceControlPolicies: [],
      },
      { simulationMode: 'Strict' },
    ) === 'Allowed'
  );
};

const judged = new Map<string, boolean>();

const mayWrite = (world: World, name: string): boolean => {
  const { account, region } = world;
  const trail = world.cloudtrail.trails.get(name);
  const policy = world.s3.buckets.get(trail?.bucket ?? '')?.policy;
  if (!trail || policy === undefined) return false;
  const at = `arn:aws:s3:::${trail.bucket}`;
  const context = {
    'aws:SourceArn': `arn:aws:cloudtrail:${region}:${account}:trail/${name}`,
    'aws:SourceAccount': account,
    'aws:SecureTransport': 'true',
    'aws:PrincipalIsAWSService': 'true',
    'aws:PrincipalServiceName': SERVICE,
  };
  const object = `${at}/${trail.prefix ? `${trail.prefix}/` : ''}AWSLogs/${account}/CloudTrail/${region}/log.json.gz`;
  const asked: Asked[] = [
    { action: 's3:GetBucketAcl', resource: at, context },
    {
      action: 's3:PutObject',
      resource: object,
      context: { ...context, 's3:x-amz-acl': 'bucket-owner-full-control' },
    },
  ];
  // Judged again only when something that it rests on has changed.
  const question = JSON.stringify([policy, account, asked]);
  const known = judged.get(question);
  if (known !== undefined) return known;
  const document = JSON.parse(policy) as PolicyDocument;
  const may = asked.every((a) => isAllowed(world, document, a));
  judged.set(question, may);
  return may;
};

const errorOf = (world: World, name: string): string | undefined => {
  const key = world.cloudtrail.trails.get(name)?.kmsKey;
  const known = [...world.kms.keys.values()].find((k) => k.arn === key);
  if (known && (!known.enabled || known.deletion !== undefined)) return 'KMS.DisabledException';
  return mayWrite(world, name) ? undefined : 'AccessDenied';
};

/** A trail whose bucket is no bucket of the world's delivers, or not, as the test says. */
export const deliverEvery = (world: World, name: string): void => {
  if (!world.s3.buckets.has(world.cloudtrail.trails.get(name)?.bucket ?? '')) return;
  const next = (): void => {
    world.clock.at(world.clock.now() + EVERY, () => {
      const trail = world.cloudtrail.trails.get(name);
      if (!trail) return;
      next();
      if (trail.logging) trail.deliveryError = errorOf(world, name);
    });
  };
  next();
};
