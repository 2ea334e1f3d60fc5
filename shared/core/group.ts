/** Whose budget a repair of an instance spends: its Auto Scaling group, else the group that its tag names, else itself. */
import type { Instance, Ports } from './ports.ts';
import type { Group } from './remediation.ts';

/** Set by Auto Scaling on each of its instances. */
const ASG_TAG = 'aws:autoscaling:groupName';

export const aloneGroup = ({ id, zoneId }: Instance): Group => ({
  id: `instance/${id}`,
  size: 1,
  zones: { [zoneId]: 1 },
});

/** @param groupTag the policy's name of the tag for what is in no Auto Scaling group */
export const groupOfInstance = async (instance: Instance, ports: Ports, groupTag: string): Promise<Group> => {
  const key = instance.tags[ASG_TAG] ? ASG_TAG : groupTag;
  const value = instance.tags[key];
  if (!value) return aloneGroup(instance);
  const zones = await ports.instances.countByZone({ key, value });
  return {
    id: `${key === ASG_TAG ? 'asg' : 'group'}/${value}`,
    size: Object.values(zones).reduce((a, b) => a + b, 0),
    zones,
  };
};
