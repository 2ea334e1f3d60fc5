import {
  DeleteRepositoryPolicyCommand,
  DescribeRegistryCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  type Repository as EcrRepository,
  GetLifecyclePolicyCommand,
  GetRepositoryPolicyCommand,
  type ImageDetail,
  ListTagsForResourceCommand,
  PutImageScanningConfigurationCommand,
  PutImageTagMutabilityCommand,
  paginateDescribeImages,
  paginateDescribeRepositories,
  SetRepositoryPolicyCommand,
} from '@aws-sdk/client-ecr';
import { InvalidInput, NotFound, Refused } from '../core/errors.ts';
import type { RegistryImage } from '../core/lifecycle.ts';
import type { Registry, Repository } from '../core/registry.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

const asRepository = (raw: EcrRepository | undefined): Repository => {
  const {
    repositoryName: name,
    imageTagMutability: mutability = 'MUTABLE',
    imageScanningConfiguration: scan,
  } = raw ?? {};
  if (!name) throw new InvalidInput('ECR describes a repository without a name');
  return {
    name,
    scanOnPush: scan?.scanOnPush === true,
    immutable: mutability === 'IMMUTABLE' || (mutability === 'MUTABLE' ? false : 'partly'),
  };
};

const asImage = (raw: ImageDetail): RegistryImage => ({
  digest: raw.imageDigest ?? '',
  tags: raw.imageTags ?? [],
  pushedAt: raw.imagePushedAt?.getTime() ?? 0,
  pulledAt: raw.lastRecordedPullTime?.getTime(),
  archivedAt:
    raw.imageStatus === undefined || raw.imageStatus === 'ACTIVE' ? undefined : (raw.lastArchivedAt?.getTime() ?? 0),
});

const noneIfNone = (e: unknown): undefined => {
  if (e instanceof Refused && /^(Repository|Lifecycle)PolicyNotFoundException$/.test(e.code)) return undefined;
  throw e;
};

/** Every call names the end state, so the SDK may repeat each. */
export const ecrRegistry = (options: ClientOptions): Registry => {
  const client = new ECRClient(clientConfig(options, 3));
  const clientOf = (region: string): ECRClient =>
    region === options.region ? client : new ECRClient(clientConfig({ ...options, region }, 3));
  return {
    list: () =>
      calling('cannot list the repositories', async () => {
        const found: Repository[] = [];
        for await (const { repositories = [] } of paginateDescribeRepositories({ client, pageSize: 100 }, {}))
          found.push(...repositories.map(asRepository));
        return found;
      }),
    describe: (name) =>
      calling(`cannot describe the repository ${name}`, async () => {
        const { repositories: [found] = [] } = await client.send(
          new DescribeRepositoriesCommand({ repositoryNames: [name] }),
        );
        if (!found) throw new NotFound(`there is no repository ${name}`);
        return asRepository(found);
      }),
    tags: (arn) =>
      calling(`cannot read the tags of ${arn}`, async () => {
        const { tags = [] } = await client.send(new ListTagsForResourceCommand({ resourceArn: arn }));
        return Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value]));
      }),
    policy: (name) =>
      calling(
        `cannot read the policy of ${name}`,
        async () => (await client.send(new GetRepositoryPolicyCommand({ repositoryName: name }))).policyText,
      ).catch(noneIfNone),
    setPolicy: (name, policy) =>
      calling(`cannot set the policy of ${name}`, async () => {
        if (policy === undefined) await client.send(new DeleteRepositoryPolicyCommand({ repositoryName: name }));
        else await client.send(new SetRepositoryPolicyCommand({ repositoryName: name, policyText: policy }));
      }).catch(noneIfNone),
    images: ({ region, name }) =>
      calling(`cannot list the images of ${name} in ${region}`, async () => {
        const found: RegistryImage[] = [];
        for await (const { imageDetails = [] } of paginateDescribeImages(
          { client: clientOf(region), pageSize: 1000 },
          { repositoryName: name, filter: { imageStatus: 'ANY' } },
        ))
          found.push(...imageDetails.map(asImage));
        return found;
      }),
    lifecycle: ({ region, name }) =>
      calling(
        `cannot read the lifecycle policy of ${name} in ${region}`,
        async () =>
          (await clientOf(region).send(new GetLifecyclePolicyCommand({ repositoryName: name }))).lifecyclePolicyText,
      ).catch(noneIfNone),
    replication: (region) =>
      calling(`cannot read the replication rules of ${region}`, async () => {
        const { replicationConfiguration: { rules = [] } = {} } = await clientOf(region).send(
          new DescribeRegistryCommand({}),
        );
        return rules.map(({ destinations = [], repositoryFilters = [] }) => ({
          prefixes: repositoryFilters.map((f) => f.filter ?? ''),
          to: destinations.map((d) => ({ region: d.region ?? '', account: d.registryId ?? '' })),
        }));
      }),
    scanOnPush: (name, on) =>
      calling(
        `cannot set the scanning of ${name}`,
        async () =>
          void (await client.send(
            new PutImageScanningConfigurationCommand({
              repositoryName: name,
              imageScanningConfiguration: { scanOnPush: on },
            }),
          )),
      ),
    immutable: (name, on) =>
      calling(
        `cannot set the tags of ${name}`,
        async () =>
          void (await client.send(
            new PutImageTagMutabilityCommand({
              repositoryName: name,
              imageTagMutability: on ? 'IMMUTABLE' : 'MUTABLE',
            }),
          )),
      ),
  };
};
