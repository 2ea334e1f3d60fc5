/**
 * What a remediation may call. Its IAM role is generated from this list, each pass assumes it narrowed to one target, and a test proves that
 * it calls exactly this.
 */
import type { Change, Inspection } from './documents.ts';
import { idOf, matchesArn, type Target } from './target.ts';

export interface Permission {
  /** `look`: held by every pass. `act`: held only while a step runs, after the gate has let it through. */
  readonly for: 'look' | 'act';
  readonly actions: readonly string[];
  /**
   * ARN patterns with `*`, `{stage}` for the stage's name, and `{id}` for the target's id (in the role: any). The role has them as they are; a session has, in place of each pattern, the
   * target (and what the step touches) where it matches. '*' is for calls to which AWS gives no resource.
   */
  readonly resources: readonly string[];
  /** The role holds it only for resources that carry the opt-in tag, when the policy's scope is `tagged`; the value is AWS's condition key. */
  readonly whenTagged?: 'ssm:resourceTag' | 'aws:ResourceTag';
  /** `iam:PassRole`: the services, with `*`, that the role may be passed to. */
  readonly passedTo?: readonly string[];
  /** A grant that only a service of AWS may use: EC2, which needs the keys of the volumes of what it starts. */
  readonly grantsService?: true;
  /** Only where a service of AWS calls it in the session's name: Auto Scaling, which launches for whoever asks it to. */
  readonly viaService?: true;
}

/** By SSM on hosts that are opted in: one document at each look, the others only as a step. */
export const onHosts = (inspection: Inspection, changes: readonly Change[]): readonly Permission[] => {
  const document = (name: string): string => `arn:*:ssm:*:*:document/steward-{stage}-${name}`;
  const send = { actions: ['ssm:SendCommand'] };
  return [
    { for: 'look', ...send, resources: ['arn:*:ec2:*:*:instance/*'], whenTagged: 'ssm:resourceTag' },
    { for: 'look', ...send, resources: [document(inspection)] },
    { for: 'act', ...send, resources: changes.map(document) },
  ];
};

/** What `LaunchInstances` of a group calls in the name of whoever asks it to. */
export const launchingHosts: Permission = {
  for: 'act',
  actions: ['ec2:CreateFleet', 'ec2:DescribeLaunchTemplateVersions'],
  resources: ['*'],
  viaService: true,
};

/** The roles of a task definition, of which a session has those that its step touches: whoever deploys it gives them to ECS. */
export const passTaskRoles: Permission = {
  for: 'act',
  actions: ['iam:PassRole'],
  resources: ['arn:*:iam::*:role/*'],
  passedTo: ['ecs-tasks.amazonaws.com'],
};

export interface Statement {
  readonly Effect: 'Allow';
  readonly Action: readonly string[];
  readonly Resource: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}
export interface PolicyDocument {
  readonly Version: '2012-10-17';
  readonly Statement: readonly Statement[];
}

/** Our own documents and log groups: not touched by the target, so they stay, exact but for account and region, which are the target's. */
const isOwn = (pattern: string): boolean =>
  pattern.includes(':document/steward-{stage}-') || pattern.includes(':log-group:/steward/{stage}/');

const narrow = (given: string, stage: string, target: Target, touched: readonly string[]): string[] => {
  if (given === '*') return ['*'];
  const pattern = given.replace('{stage}', stage).replace('{id}', idOf(target));
  if (!isOwn(given)) return [target.arn, ...touched].filter((arn) => matchesArn(pattern, arn));
  // arn:*:ssm:*:*:document/steward-prod-x → the one of the target's account and region
  const [arn, , service, , , ...rest] = pattern.split(':');
  const partition = target.arn.split(':')[1] ?? 'aws';
  return [[arn, partition, service, target.region, target.account, ...rest].join(':')];
};

/** The session policy of one pass: this target, and for an act also what its step touches. Statements that match nothing are left out. */
export const sessionPolicy = (
  permissions: readonly Permission[],
  scope: { stage: string; target: Target; phase: 'look' | 'act'; touched: readonly string[] },
): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: permissions
    .filter((p) => p.for === 'look' || scope.phase === 'act')
    .map((p) => ({
      Effect: 'Allow' as const,
      Action: p.actions,
      Resource: p.resources.flatMap((r) => narrow(r, scope.stage, scope.target, scope.touched)),
    }))
    .filter((s) => s.Resource.length > 0),
});

const conditionOf = (
  { whenTagged, passedTo, grantsService, viaService }: Permission,
  optInTag: string | undefined,
): Pick<Statement, 'Condition'> => {
  const conditions = {
    ...(whenTagged && optInTag ? { StringEquals: { [`${whenTagged}/${optInTag}`]: 'true' } } : {}),
    ...(grantsService ? { Bool: { 'kms:GrantIsForAWSResource': 'true' } } : {}),
    ...(viaService ? { Bool: { 'aws:ViaAWSService': 'true' } } : {}),
    ...(passedTo ? { StringLike: { 'iam:PassedToService': passedTo } } : {}),
  };
  return Object.keys(conditions).length > 0 ? { Condition: conditions } : {};
};

/** The role's own policy, for the stack. */
export const rolePolicy = (
  permissions: readonly Permission[],
  stack: { stage: string; optInTag?: string },
): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: permissions.map((p) => ({
    Effect: 'Allow' as const,
    Action: p.actions,
    Resource: p.resources.map((r) => r.replace('{stage}', stack.stage).replace('{id}', '*')),
    ...conditionOf(p, stack.optInTag),
  })),
});
