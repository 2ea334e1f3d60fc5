import {
  DeleteRepositoryPolicyCommand,
  DescribeRepositoriesCommand,
  ECRClient,
  type Repository as EcrRepository,
  GetRepositoryPolicyCommand,
  ListTagsForResourceCommand,
  PutImageScanningConfigurationCommand,
  PutImageTagMutabilityCommand,
  paginateDescribeRepositories,
  SetRepositoryPolicyCommand,
} from '@aws-sdk/client-ecr';
import { InvalidInput, NotFound, Refused } from '../core/errors.ts';
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

const noneIfNone = (e: unknown): undefined => {
  if (e instanceof Refused && e.code === 'RepositoryPolicyNotFoundException') return undefined;
  throw e;
};

/** Every call names the end state, so the SDK may repeat each. */
export const ecrRegistry = (options: ClientOptions): Registry => {
  const client = new ECRClient(clientConfig(options, 3));
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
