/** The resource that is looked at. The ARN is its identity everywhere: key, lease, session policy, log. */
import { InvalidInput } from './errors.ts';

export interface Target {
  readonly arn: string;
  readonly account: string;
  readonly region: string;
}

/** 'cn-north-1' → 'aws-cn'. Source: AWS's partitions table. */
export const partitionOf = (region: string): string =>
  region.startsWith('cn-') ? 'aws-cn' : region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';

const ARN = /^arn:aws[a-z-]*:[a-z0-9-]+:([a-z0-9-]*):(\d{12}):(.+)$/;

/** Parses a full ARN with account and region. @throws InvalidInput */
export const targetOf = (arn: string): Target => {
  const [, region, account] = ARN.exec(arn) ?? [];
  if (!region || !account) throw new InvalidInput(`'${arn}' is not an ARN with a region and an account`);
  return { arn, account, region };
};

const resourceTarget =
  (type: string, shape: RegExp) =>
  (where: { account: string; region: string }, id: string): Target => {
    if (!shape.test(id)) throw new InvalidInput(`'${id}' is not the id of an EC2 ${type}`);
    return targetOf(`arn:${partitionOf(where.region)}:ec2:${where.region}:${where.account}:${type}/${id}`);
  };

/** @throws InvalidInput when the id is not `i-` and 8 or 17 hex digits. */
export const instanceTarget = resourceTarget('instance', /^i-([0-9a-f]{8}|[0-9a-f]{17})$/);
export const dedicatedHostTarget = resourceTarget('dedicated-host', /^h-([0-9a-f]{8}|[0-9a-f]{17})$/);
export const volumeTarget = resourceTarget('volume', /^vol-([0-9a-f]{8}|[0-9a-f]{17})$/);

export const vpcTarget = resourceTarget('vpc', /^vpc-([0-9a-f]{8}|[0-9a-f]{17})$/);

/** By cluster and service; the ARNs of old services lack the cluster. @throws InvalidInput */
export const serviceTarget = (where: { account: string; region: string }, cluster: string, name: string): Target => {
  if (![cluster, name].every((part) => /^[\w-]{1,255}$/.test(part)))
    throw new InvalidInput(
      `'${cluster.slice(0, 100)}/${name.slice(0, 100)}' is not a cluster and the name of a service`,
    );
  return targetOf(`arn:${partitionOf(where.region)}:ecs:${where.region}:${where.account}:service/${cluster}/${name}`);
};

/** By name. @throws InvalidInput */
export const clusterTarget = (where: { account: string; region: string }, name: string): Target => {
  if (!/^[\w-]{1,255}$/.test(name)) throw new InvalidInput(`'${name.slice(0, 100)}' is not the name of a cluster`);
  return targetOf(`arn:${partitionOf(where.region)}:ecs:${where.region}:${where.account}:cluster/${name}`);
};

/** By name, with `*` for the id that its ARN has beside it. @throws InvalidInput. Source: CreateAutoScalingGroup. */
export const groupTarget = (where: { account: string; region: string }, name: string): Target => {
  if (!/^[^:/*?]{1,255}$/.test(name))
    throw new InvalidInput(`'${name.slice(0, 100)}' is not the name of an Auto Scaling group`);
  const partition = partitionOf(where.region);
  return targetOf(
    `arn:${partition}:autoscaling:${where.region}:${where.account}:autoScalingGroup:*:autoScalingGroupName/${name}`,
  );
};

/** @throws InvalidInput when it is not the name of a log group. Source: CreateLogGroup, naming guidelines. */
export const logGroupTarget = (where: { account: string; region: string }, name: string): Target => {
  if (!/^[\w./#-]{1,512}$/.test(name)) throw new InvalidInput(`'${name.slice(0, 100)}' is not the name of a log group`);
  return targetOf(`arn:${partitionOf(where.region)}:logs:${where.region}:${where.account}:log-group:${name}`);
};
/** 'arn:…:log-group:/ecs/web' → '/ecs/web' */
export const logGroupOf = (target: Target): string => target.arn.split(':').slice(6).join(':');

/** @throws InvalidInput when it is not the name of a repository. Source: CreateRepository, `repositoryName`. */
export const repositoryTarget = (where: { account: string; region: string }, name: string): Target => {
  if (!/^[a-z0-9][a-z0-9._/-]{1,255}$/.test(name))
    throw new InvalidInput(`'${name.slice(0, 100)}' is not the name of a repository`);
  return targetOf(`arn:${partitionOf(where.region)}:ecr:${where.region}:${where.account}:repository/${name}`);
};

/** A bucket's own ARN has neither account nor region: here it has those of the event about it. */
export const bucketTarget = (where: { account: string; region: string }, name: string): Target => {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name))
    throw new InvalidInput(`'${name.slice(0, 100)}' is not the name of a bucket`);
  return targetOf(`arn:${partitionOf(where.region)}:s3:${where.region}:${where.account}:bucket/${name}`);
};

/** Patterns are those of the remediations: a few, each asked thousands of times. */
const compiled = new Map<string, RegExp>();

/** Does the ARN match a pattern with `*`, or one of several? */
export const matchesArn = (pattern: string | readonly string[], arn: string): boolean => {
  if (typeof pattern !== 'string') return pattern.some((p) => matchesArn(p, arn));
  const known = compiled.get(pattern);
  const regexp = known ?? new RegExp(`^${pattern.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`);
  if (!known) compiled.set(pattern, regexp);
  return regexp.test(arn);
};

/** 'arn:…:instance/i-0abc' → 'i-0abc'; 'arn:…:parameter/steward/drill' → 'steward/drill'. */
export const idOf = (target: Target): string => {
  const resource = target.arn.split(':').slice(5).join(':');
  return resource.slice(resource.indexOf('/') + 1);
};
/** 'instance', 'volume', 'parameter' … */
export const typeOf = (target: Target): string => {
  const resource = target.arn.split(':').slice(5).join(':');
  return resource.slice(0, Math.max(0, resource.indexOf('/')));
};

/** A zone by its id ('euc1-az1'). AWS has no ARN for one. @throws InvalidInput */
export const zoneTarget = ({ account, region }: Pick<Target, 'account' | 'region'>, id: string): Target => {
  if (!/^[a-z0-9-]{3,20}$/.test(id)) throw new InvalidInput(`'${id.slice(0, 100)}' is not the id of a zone`);
  return targetOf(`arn:${partitionOf(region)}:steward:${region}:${account}:zone/${id}`);
};

/** For what is asked of a whole account and region. */
export const everythingIn = ({ account, region }: Pick<Target, 'account' | 'region'>): Target =>
  targetOf(`arn:${partitionOf(region)}:steward:${region}:${account}:survey/all`);
