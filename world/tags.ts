/** Tags of instances and volumes. */
import { applyFilters, type FilterTable, fromTags, page } from './describe.ts';
import type { Ec2Operations } from './ec2.ts';
import { AwsError } from './service.ts';
import type { World } from './world.ts';

type Tag = { id: string; type: 'instance' | 'volume'; key: string; value: string; tags: Record<string, string> };

const filters: FilterTable<Tag> = {
  'resource-id': ({ id }) => [id],
  'resource-type': ({ type }) => [type],
  key: ({ key }) => [key],
  value: ({ value }) => [value],
};

const tagged = (world: World, id: string) => {
  const { instances, volumes, vpcs, flowLogs } = world.ec2;
  const thing = instances.get(id) ?? volumes.get(id) ?? vpcs.get(id) ?? flowLogs.get(id);
  if (thing) return thing;
  if (id.startsWith('i-')) throw new AwsError('InvalidInstanceID.NotFound', `The instance ID '${id}' does not exist`);
  if (id.startsWith('vol-')) throw new AwsError('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
  throw new AwsError('InvalidID', `The ID '${id}' is not valid`);
};

const all = (world: World): Tag[] => {
  const of = (type: Tag['type'], things: Iterable<{ id: string; tags: Record<string, string> }>) =>
    [...things].flatMap((thing) => {
      const { id, tags } = world.lag.seen(thing) ?? { id: '', tags: {} };
      return Object.entries(tags).map(([key, value]) => ({ id, type, key, value, tags }));
    });
  return [...of('instance', world.ec2.instances.values()), ...of('volume', world.ec2.volumes.values())];
};

export const tagOperations: Ec2Operations = {
  CreateTags: (input, { world }) => {
    const tags = input.Tags ?? [];
    // "Tag keys … may not begin with aws:" (EC2 API Reference, Tag).
    if (tags.some(({ Key }) => Key?.startsWith('aws:'))) {
      throw new AwsError('InvalidParameterValue', "Tag keys starting with 'aws:' are reserved for internal use");
    }
    const things = (input.Resources ?? []).map((id) => tagged(world, id));
    for (const thing of things) {
      const after = { ...thing.tags, ...fromTags(tags) };
      // "Maximum number of tags per resource – 50" (EC2 User Guide, Tag restrictions); AWS's own do not count.
      if (Object.keys(after).filter((key) => !key.startsWith('aws:')).length > 50) {
        throw new AwsError('TagLimitExceeded', 'The maximum number of Tags for a resource has been reached.');
      }
      world.lag.change(thing).tags = after;
    }
    return {};
  },

  /** Without a value, any value; without tags, all of the caller's. */
  DeleteTags: (input, { world }) => {
    const goes = (key: string, value: string) =>
      input.Tags
        ? input.Tags.some((tag) => tag.Key === key && (tag.Value ?? value) === value)
        : !key.startsWith('aws:');
    for (const thing of (input.Resources ?? []).map((id) => tagged(world, id))) {
      world.lag.change(thing).tags = Object.fromEntries(
        Object.entries(thing.tags).filter(([key, value]) => !goes(key, value)),
      );
    }
    return {};
  },

  DescribeTags: (input, { world }) => {
    const { items, nextToken } = page(applyFilters(all(world), input.Filters, filters), {
      max: input.MaxResults,
      token: input.NextToken,
      otherwise: 1000,
    });
    const Tags = items.map(({ id, type, key, value }) => ({
      ResourceId: id,
      ResourceType: type,
      Key: key,
      Value: value,
    }));
    return { Tags, ...(nextToken && { NextToken: nextToken }) };
  },
};
