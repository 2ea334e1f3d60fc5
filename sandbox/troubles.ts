/** How each trouble begins, by the word that follows `break`. What fills a disk has a command of its own in the shell: it takes a path. */
import { breakEcsAgent, nextDefinition, setImage } from '../world/clusters.ts';
import type { Instance } from '../world/ec2.ts';
import { deploy } from '../world/ecsScheduler.ts';
import { breakLoad, hostOf } from '../world/fleet.ts';
import { impair } from '../world/instances.ts';
import type { World } from '../world/world.ts';

export interface Trouble {
  /** For the help. */
  readonly what: string;
  /** @returns what happened, for the terminal. @throws Error for an instance that cannot have it */
  readonly begin: (world: World, instance: Instance) => string;
}

const nameOf = ({ id, tags }: Instance): string => tags['Name'] ?? id;

export const troubles: Readonly<Record<string, Trouble>> = {
  memory: {
    what: 'a unit leaks: 6.9 GB, and 20 MiB a minute more',
    begin: (world, instance) => {
      breakLoad(world, instance.id, { name: 'shop.service', mib: 6_900, mibPerMinute: 20 });
      return `shop.service leaks on ${nameOf(instance)}. Its alarm is one that Steward made: it goes off in five minutes.`;
    },
  },
  cpu: {
    what: 'a unit runs away',
    begin: (world, instance) => {
      breakLoad(world, instance.id, { name: 'shop.service', cpuPercent: 96 });
      return `shop.service runs away on ${nameOf(instance)}. Its alarm is one that Steward made: it goes off in some minutes.`;
    },
  },
  instance: {
    what: 'its instance status check fails, and a reboot helps',
    begin: (world, instance) => {
      impair(world, instance.id, { instance: true });
      return `The instance check of ${nameOf(instance)} fails.`;
    },
  },
  system: {
    what: 'its system status check fails: the hardware',
    begin: (world, instance) => {
      impair(world, instance.id, { system: true }, 'restart');
      return `The system check of ${nameOf(instance)} fails: only other hardware helps.`;
    },
  },
  cloudwatch: {
    what: 'its CloudWatch agent publishes no more',
    begin: (world, instance) => {
      hostOf(world, instance.id).publishes = false;
      return `The CloudWatch agent of ${nameOf(instance)} is silent. Steward takes ten minutes of silence for a sign.`;
    },
  },
  agent: {
    what: 'its ECS agent loses the cluster (shop-1 … shop-3)',
    begin: (world, instance) => {
      const member = [...world.ecs.clusters.values()].some((c) =>
        [...c.instances.values()].some((i) => i.ec2InstanceId === instance.id),
      );
      if (!member) throw new Error(`${nameOf(instance)} is in no cluster: shop-1, shop-2 and shop-3 are`);
      breakEcsAgent(world, instance.id, 'hung');
      return `The ECS agent of ${nameOf(instance)} is cut off. ECS tells that at once; its tasks go on.`;
    },
  },
};

/** Of the service web in the cluster shop. */
export const breakRelease = (world: World): string => {
  const service = world.ecs.clusters.get('shop')?.services.get('web');
  const primary = service?.deployments
    .find((d) => d.status === 'PRIMARY')
    ?.definition.split('/')
    .at(-1);
  const definition = world.ecs.definitions.get(primary ?? '');
  if (!service || !definition) throw new Error('there is no service web in the cluster shop');
  setImage(world, 'web:bad', { exits: { afterMs: 40_000, code: 1 }, says: ['panic: no database'] });
  const { arn } = nextDefinition(world, { definition }, 'web:bad');
  deploy(world, service, arn);
  return `${arn.split('/').at(-1)} was deployed to shop/web, and its tasks end. By this policy a person is asked before it is rolled back.`;
};
