/** ECR: private repositories, who may reach them, what is in them and what of it a lifecycle policy would let go. */
import * as api from '@aws-sdk/client-ecr';
import { emitApiCall } from './apiCalls.ts';
import { fromTags, page, toTags } from './describe.ts';
import { AwsError, type Call, defineService, jsonWords, type Operations, type Resource } from './service.ts';
import type { World } from './world.ts';

export type EcrImage = { readonly digest: string; tags: string[]; readonly pushedAt: number; archivedAt?: number };
export type Repository = {
  readonly name: string;
  readonly arn: string;
  readonly createdAt: number;
  immutable: boolean;
  scanOnPush: boolean;
  /** Undefined: it has none, so only the account itself reaches it. */
  policy: string | undefined;
  tags: Record<string, string>;
  images: EcrImage[];
  lifecycle: string | undefined;
};
export type EcrState = {
  readonly repositories: Map<string, Repository>;
  /** What was replicated, by 'region/name'. */
  readonly replicas: Map<string, EcrImage[]>;
  /** The registry's replication rules. */
  replication: api.ReplicationRule[];
};
export const createEcrState = (): EcrState => ({ repositories: new Map(), replicas: new Map(), replication: [] });

/** An image that was pushed now; the tag is taken from the one that had it. */
export const push = (world: World, repository: Repository, digest: string, ...tags: string[]): EcrImage => {
  for (const other of repository.images) other.tags = other.tags.filter((t) => !tags.includes(t));
  const image: EcrImage = { digest, tags, pushedAt: world.clock.now() };
  repository.images = [...repository.images.filter((i) => i.digest !== digest), image];
  return image;
};

export const makeRepository = (
  world: World,
  name: string,
  given: Partial<Pick<Repository, 'immutable' | 'scanOnPush' | 'policy' | 'tags' | 'images' | 'lifecycle'>> = {},
): Repository => {
  const repository: Repository = {
    name,
    arn: `arn:aws:ecr:${world.region}:${world.account}:repository/${name}`,
    createdAt: world.clock.now(),
    immutable: false,
    scanOnPush: true,
    policy: undefined,
    tags: {},
    images: [],
    lifecycle: undefined,
    ...given,
  };
  world.ecr.repositories.set(name, world.lag.create(repository));
  return repository;
};

const find = ({ world }: Pick<Call, 'world'>, name: string | undefined): Repository => {
  const found = world.ecr.repositories.get(name ?? '');
  if (found) return found;
  throw new AwsError(
    'RepositoryNotFoundException',
    `The repository with name '${name}' does not exist in the registry with id '${world.account}'`,
  );
};

const replicated = (world: World, region: string, name: string): EcrImage[] => {
  const found = world.ecr.replicas.get(`${region}/${name}`);
  if (found) return found;
  throw new AwsError('RepositoryNotFoundException', `The repository with name '${name}' does not exist in ${region}`);
};

const described = (r: Repository): api.Repository => ({
  repositoryArn: r.arn,
  registryId: r.arn.split(':')[4],
  repositoryName: r.name,
  createdAt: new Date(r.createdAt),
  imageTagMutability: r.immutable ? 'IMMUTABLE' : 'MUTABLE',
  imageScanningConfiguration: { scanOnPush: r.scanOnPush },
});

/** One change of a repository, and its event. */
const changing = (
  call: Call,
  eventName: string,
  asked: Record<string, unknown> & { repositoryName?: string | undefined },
  change: (repository: Repository) => void,
): Repository => {
  const repository = find(call, asked.repositoryName);
  change(call.world.lag.change(repository));
  emitApiCall(call, { service: 'ecr', eventName, requestParameters: asked });
  return repository;
};

const operations: Operations<typeof api> = {
  CreateRepository: (input, call) => {
    const { world } = call;
    const { repositoryName = '', tags = [] } = input;
    if (world.ecr.repositories.has(repositoryName))
      throw new AwsError(
        'RepositoryAlreadyExistsException',
        `The repository with name '${repositoryName}' already exists`,
      );
    const made = makeRepository(world, repositoryName, {
      immutable: input.imageTagMutability === 'IMMUTABLE',
      scanOnPush: input.imageScanningConfiguration?.scanOnPush ?? false,
      tags: fromTags(tags),
    });
    emitApiCall(call, { service: 'ecr', eventName: 'CreateRepository', requestParameters: { ...input } });
    return { repository: described(made) };
  },
  DescribeRepositories: (input, { world }) => {
    const all = input.repositoryNames?.map((name) => find({ world }, name)) ?? [...world.ecr.repositories.values()];
    const { items, nextToken } = page(all, {
      max: input.maxResults,
      token: input.nextToken,
      otherwise: 100,
      invalidToken: 'InvalidParameterException',
    });
    const seen = items.flatMap((r) => world.lag.seen(r) ?? []);
    return { repositories: seen.map(described), ...(nextToken && { nextToken }) };
  },
  ListTagsForResource: (input, { world }) => {
    const { tags } = find({ world }, input.resourceArn?.split(':repository/')[1]);
    return { tags: toTags(tags) };
  },
  GetRepositoryPolicy: (input, { world }) => {
    const seen = world.lag.seen(find({ world }, input.repositoryName));
    if (seen?.policy === undefined)
      throw new AwsError(
        'RepositoryPolicyNotFoundException',
        `Repository policy does not exist for the repository with name '${input.repositoryName}' in the registry with id '${world.account}'`,
      );
    return { repositoryName: input.repositoryName, registryId: world.account, policyText: seen.policy };
  },
  SetRepositoryPolicy: (input, call) => {
    const { policyText = '' } = input;
    changing(call, 'SetRepositoryPolicy', { ...input }, (r) => {
      r.policy = policyText;
    });
    return { repositoryName: input.repositoryName, policyText };
  },
  DeleteRepositoryPolicy: (input, call) => {
    const { policy } = find(call, input.repositoryName);
    if (policy === undefined)
      throw new AwsError('RepositoryPolicyNotFoundException', 'Repository policy does not exist for the repository');
    changing(call, 'DeleteRepositoryPolicy', { ...input }, (r) => {
      r.policy = undefined;
    });
    return { repositoryName: input.repositoryName, policyText: policy };
  },
  DescribeImages: (input, { world, region }) => {
    const { repositoryName = '', filter } = input;
    const all =
      region === world.region ? find({ world }, repositoryName).images : replicated(world, region, repositoryName);
    // Without a filter it tells of those only that can be pulled.
    const told = all.filter((i) => i.archivedAt === undefined || filter?.imageStatus === 'ANY');
    const { items, nextToken } = page(told, {
      max: input.maxResults,
      token: input.nextToken,
      otherwise: 100,
      invalidToken: 'InvalidParameterException',
    });
    const imageDetails = items.map(
      ({ digest, tags, pushedAt, archivedAt }): api.ImageDetail => ({
        repositoryName,
        registryId: world.account,
        imageDigest: digest,
        ...(tags.length > 0 ? { imageTags: tags } : {}),
        imagePushedAt: new Date(pushedAt),
        imageStatus: archivedAt === undefined ? 'ACTIVE' : 'ARCHIVED',
        ...(archivedAt === undefined ? {} : { lastArchivedAt: new Date(archivedAt) }),
      }),
    );
    return { imageDetails, ...(nextToken && { nextToken }) };
  },
  BatchDeleteImage: (input, call) => {
    const digests = new Set(input.imageIds?.map((i) => i.imageDigest));
    changing(call, 'BatchDeleteImage', { ...input }, (r) => {
      r.images = r.images.filter((i) => !digests.has(i.digest));
    });
    return { imageIds: input.imageIds, failures: [] };
  },
  GetLifecyclePolicy: (input, { world }) => {
    const { lifecycle } = find({ world }, input.repositoryName);
    if (lifecycle === undefined)
      throw new AwsError(
        'LifecyclePolicyNotFoundException',
        `Lifecycle policy does not exist for the repository with name '${input.repositoryName}'`,
      );
    return { registryId: world.account, repositoryName: input.repositoryName, lifecyclePolicyText: lifecycle };
  },
  PutLifecyclePolicy: (input, call) => {
    changing(call, 'PutLifecyclePolicy', { ...input }, (r) => {
      r.lifecycle = input.lifecyclePolicyText;
    });
    return { repositoryName: input.repositoryName, lifecyclePolicyText: input.lifecyclePolicyText };
  },
  DescribeRegistry: (_input, { world }) => ({
    registryId: world.account,
    replicationConfiguration: { rules: world.ecr.replication },
  }),
  PutImageScanningConfiguration: (input, call) => {
    const scanOnPush = input.imageScanningConfiguration?.scanOnPush ?? false;
    changing(call, 'PutImageScanningConfiguration', { ...input }, (r) => {
      r.scanOnPush = scanOnPush;
    });
    return { repositoryName: input.repositoryName, imageScanningConfiguration: { scanOnPush } };
  },
  PutImageTagMutability: (input, call) => {
    changing(call, 'PutImageTagMutability', { ...input }, (r) => {
      r.immutable = input.imageTagMutability !== 'MUTABLE';
    });
    return { repositoryName: input.repositoryName, imageTagMutability: input.imageTagMutability };
  },
};

const repository = ({ repositoryName }: { repositoryName?: string | undefined }, world: World): Resource[] => [
  {
    arn: `arn:aws:ecr:${world.region}:${world.account}:repository/${repositoryName ?? ''}`,
    tags: world.ecr.repositories.get(repositoryName ?? '')?.tags ?? {},
  },
];

/** Resource types: Service Authorization Reference, "Actions defined by Amazon Elastic Container Registry". */
export const ecrService = defineService<typeof api>({
  name: 'ecr',
  signingName: 'ecr',
  iamPrefix: 'ecr',
  protocol: 'json',
  xmlNamespace: '',
  api,
  words: jsonWords,
  operations,
  resources: {
    DescribeRepositories: (input, world) =>
      input.repositoryNames?.flatMap((repositoryName) => repository({ repositoryName }, world)) ?? [
        { arn: `arn:aws:ecr:${world.region}:${world.account}:repository/*` },
      ],
    CreateRepository: repository,
    ListTagsForResource: (input, world) =>
      repository({ repositoryName: input.resourceArn?.split(':repository/')[1] }, world),
    DescribeImages: repository,
    BatchDeleteImage: repository,
    GetLifecyclePolicy: repository,
    PutLifecyclePolicy: repository,
    GetRepositoryPolicy: repository,
    SetRepositoryPolicy: repository,
    DeleteRepositoryPolicy: repository,
    PutImageScanningConfiguration: repository,
    PutImageTagMutability: repository,
  },
});
