/** Dedicated Hosts: whether a stop and a start leave one, and what a person does where they do not. */
import type { Instance } from './ports.ts';
import type { Verdict } from './verdict.ts';

export interface DedicatedHost {
  readonly id: string;
  /** 'available', 'under-assessment', 'permanent-failure' … AWS's own words. */
  readonly state: string;
  readonly zoneName: string;
  /** It takes instances that name no host. */
  readonly autoPlacement: boolean;
  readonly instances: readonly string[];
  /** How many more it takes, by instance type. */
  readonly room: Readonly<Record<string, number>>;
}

/** One that would take it: in its zone, as an instance cannot leave that. */
const takes = (host: DedicatedHost, { host: own, zoneName, type }: Instance): boolean =>
  host.id !== own?.id && host.state === 'available' && host.zoneName === zoneName && (host.room[type] ?? 0) > 0;

/** To the word, for whoever moves it: `HostId` is what its next start goes to. */
export const movingByHand = (instance: Instance, hosts: readonly DedicatedHost[]): string => {
  const { id, type, zoneName } = instance;
  const other = hosts.find((h) => takes(h, instance));
  const first = other
    ? ''
    : `allocate another: aws ec2 allocate-hosts --instance-type ${type} --availability-zone ${zoneName} --quantity 1; then `;
  return `${first}stop it, aws ec2 modify-instance-placement --instance-id ${id} --host-id ${other?.id ?? '<the new host>'}, and start it`;
};

/**
 * Why a stop and a start would not take it to another host, and what does; undefined: they do. Pinned to its host it always comes back there;
 * else EC2 tries the last one first, and another only where auto-placement allows it. Source: "Auto-placement and host affinity", EC2 user guide.
 */
export const staysOnHost = (
  instance: Instance,
  hosts: readonly DedicatedHost[],
  is: string,
): Extract<Verdict<never>, { do: 'escalate' }> | undefined => {
  const { host } = instance;
  if (!host) return undefined;
  const told = (why: string) => ({
    do: 'escalate' as const,
    because: `${is}; a stop and a start would not move it: ${why}`,
    remedy: movingByHand(instance, hosts),
  });
  if (host.pinned) return told(`its affinity is the dedicated host ${host.id}`);
  if (hosts.find((h) => h.id === host.id)?.state === 'available')
    return told(`its dedicated host ${host.id} still takes instances, and EC2 tries that first`);
  if (!hosts.some((h) => h.autoPlacement && takes(h, instance)))
    return told(`no other dedicated host in ${instance.zoneName} has auto-placement and room for a ${instance.type}`);
  return undefined;
};
