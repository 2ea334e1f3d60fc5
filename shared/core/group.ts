/** Whose budget a repair of an instance spends: its Auto Scaling group, else the group that its tag names, else itself. */
import { servingTargets } from './loadBalancers.ts';
import type { Instance, Ports } from './ports.ts';
import type { Facts, Group } from './remediation.ts';
import { partitionOf } from './target.ts';

/** Set by Auto Scaling on each of its instances. */
export const ASG_TAG = 'aws:autoscaling:groupName';

/** @param groupTag the policy's name of the tag for what is in no Auto Scaling group */
export const groupIdOf = (tags: Readonly<Record<string, string>>, id: string, groupTag: string): string => {
  const { key, value } = groupTagOf(tags, groupTag);
  return value ? `${key === ASG_TAG ? 'asg' : 'group'}/${value}` : `instance/${id}`;
};
const groupTagOf = (tags: Readonly<Record<string, string>>, groupTag: string) => {
  const key = tags[ASG_TAG] ? ASG_TAG : groupTag;
  return { key, value: tags[key] };
};

export const aloneGroup = ({ id, zoneId }: Instance): Group => ({
  id: `instance/${id}`,
  size: 1,
  zones: { [zoneId]: 1 },
});

export const groupOfInstance = async (instance: Instance, ports: Ports, groupTag: string): Promise<Group> => {
  const { key, value } = groupTagOf(instance.tags, groupTag);
  if (!value) return aloneGroup(instance);
  const zones = await ports.instances.countByZone({ key, value });
  return {
    id: groupIdOf(instance.tags, instance.id, groupTag),
    size: Object.values(zones).reduce((a, b) => a + b, 0),
    zones,
  };
};

/**
 * Its group, and who of it serves: for a remediation that interrupts. A member serves while it runs, its status checks pass and, where the group
 * stands behind load balancers, each of them finds it healthy.
 */
export const membershipOf = async (
  instance: Instance,
  ports: Ports,
  groupTag: string,
  targetGroups: readonly string[] = [],
): Promise<{ readonly group: Group; readonly serving: NonNullable<Facts['serving']> }> => {
  const { key, value } = groupTagOf(instance.tags, groupTag);
  if (!value) return { group: aloneGroup(instance), serving: 'alone' };
  const [group, members, targets] = await Promise.all([
    groupOfInstance(instance, ports, groupTag),
    ports.instances.members({ key, value }),
    Promise.all(targetGroups.map((arn) => ports.loadBalancers.health(arn))),
  ]);
  const answering = servingTargets(targets);
  const checks = await ports.instances.checks([...new Set([instance.id, ...members])]);
  const serves = (id: string): boolean =>
    checks[id]?.state === 'running' &&
    checks[id].system === 'ok' &&
    checks[id].instance === 'ok' &&
    (targetGroups.length === 0 || answering.has(id));
  const { account, region } = ports.where;
  const arnOf = (id: string) => `arn:${partitionOf(region)}:ec2:${region}:${account}:instance/${id}`;
  return {
    group,
    serving: {
      self: serves(instance.id),
      others: members.filter((id) => id !== instance.id && serves(id)).map(arnOf),
    },
  };
};
