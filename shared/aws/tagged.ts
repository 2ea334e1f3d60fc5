/** What carries a tag, of all services that Resource Groups Tagging knows, in this account and region. */
import { paginateGetResources, ResourceGroupsTaggingAPIClient } from '@aws-sdk/client-resource-groups-tagging-api';
import { StateUnusable } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

/** More are no stack: a search would not end. */
const MOST = 20_000;

/** ARNs of what carries one of these tags with one of its values. */
export type Tagged = (tags: Readonly<Record<string, readonly string[]>>) => Promise<readonly string[]>;

/** @throws StateUnusable: there are too many; Forbidden: `tag:GetResources` is not granted */
export const awsTagged = (options: ClientOptions): Tagged => {
  const client = new ResourceGroupsTaggingAPIClient(clientConfig(options, 3));
  const carrying = async (key: string, values: readonly string[]): Promise<string[]> => {
    const found: string[] = [];
    const pages = paginateGetResources({ client, pageSize: 100 }, { TagFilters: [{ Key: key, Values: [...values] }] });
    for await (const { ResourceTagMappingList = [] } of pages) {
      found.push(...ResourceTagMappingList.flatMap((r) => r.ResourceARN ?? []));
      if (found.length > MOST)
        throw new StateUnusable(
          `more than ${MOST} resources carry ${key}: name fewer values in activity.readers of steward.yml`,
        );
    }
    return found;
  };
  return (tags) =>
    calling('cannot tell what carries the tags of activity.readers', async () =>
      (await Promise.all(Object.entries(tags).map(([key, values]) => carrying(key, values)))).flat(),
    );
};
