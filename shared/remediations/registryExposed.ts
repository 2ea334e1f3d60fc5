import * as z from 'zod/mini';
import type { Attempt } from '../core/incident.ts';
import { option } from '../core/option.ts';
import type { Ports } from '../core/ports.ts';
import { type Exposure, exposureOf, type Repository } from '../core/registry.ts';
import { defineRemediation, type Effect, type Look, type Scan } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, repositoryTarget, type Target } from '../core/target.ts';
import { minutes, seconds } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';

const options = z.strictObject({
  allowAccounts: option(
    z.array(z.string().check(z.regex(/^\d{12}$/))).check(z.maxLength(100)),
    [],
    'Other accounts whose principals a repository policy may let in',
  ),
  scanOnPush: option(z.boolean(), true, 'Images are scanned when they are pushed'),
  immutableTags: option(
    z.boolean(),
    false,
    'A tag that was pushed stays what it was. What pushes one tag again and again (latest) fails then',
  ),
});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'close'; readonly name: string; readonly from: string; readonly to: string | null }
  | { readonly do: 'scan'; readonly name: string }
  | { readonly do: 'fix-tags'; readonly name: string };
type Rung = Step['do'];

interface Seen {
  readonly name: string;
  readonly repository: Repository;
  readonly tags: Readonly<Record<string, string>>;
  readonly uncovered: string | undefined;
  readonly policy: string | undefined;
  /** Undefined: it has a policy that cannot be read. */
  readonly exposure: Exposure | undefined;
}

const NOBODY: Exposure = { to: [], without: undefined };

const observe = async (target: Target, { registry }: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const [repository, tags] = await Promise.all([registry.describe(name), registry.tags(target.arn)]);
  const uncovered = look.uncovered(tags);
  const policy = uncovered === undefined ? await registry.policy(name) : undefined;
  return { name, repository, tags, uncovered, policy, exposure: exposedBy(policy, target, look.options) };
};
/** @param policy undefined: it has none */
const exposedBy = (
  policy: string | undefined,
  { account }: Target,
  { allowAccounts: allowed }: Options,
): Exposure | undefined => (policy === undefined ? NOBODY : exposureOf(policy, { account, allowed }));

/** What is not as it must be, the gravest first, each in words. */
const weaknesses = (
  { exposure, repository }: Pick<Seen, 'exposure' | 'repository'>,
  o: Options,
): readonly (readonly [Rung, string])[] => [
  ...(exposure && exposure.to.length > 0 ? [['close', `its policy lets ${exposure.to.join(', ')} in`] as const] : []),
  ...(o.scanOnPush && !repository.scanOnPush ? [['scan', 'images are not scanned when they are pushed'] as const] : []),
  ...(o.immutableTags && repository.immutable === false
    ? [['fix-tags', 'its tags can be moved to other images'] as const]
    : []),
];

const REMEDIES: Readonly<Record<Rung, string>> = {
  close: 'look at its policy: aws ecr get-repository-policy; whom it may let in is `allowAccounts` of registry-exposed',
  scan: 'look whether enhanced scanning is set for the registry: then its rules decide',
  'fix-tags': 'aws ecr put-image-tag-mutability, or immutableTags: false',
};

const stepFor = (rung: Rung, { name, policy = '', exposure }: Seen): readonly [Step, string] => {
  switch (rung) {
    case 'close':
      return [
        { do: rung, name, from: policy, to: exposure?.without ?? null },
        `take ${exposure?.to.join(', ')} out of the policy of ${name}${exposure?.without === undefined ? ', of which nothing is left then' : ''}`,
      ];
    case 'scan':
      return [{ do: rung, name }, `scan what is pushed to ${name}`];
    case 'fix-tags':
      return [{ do: rung, name }, `let no tag of ${name} be moved`];
  }
};

type Past = readonly Attempt<Step>[];
const obstacle = (rung: Rung, look: Look<Options>): string | undefined => {
  const last = (look.attempts as Past).findLast((a) => a.step.do === rung && a.outcome?.kind !== 'transient');
  if (last?.outcome?.kind === 'permanent') return `AWS refused: ${last.outcome.because}`;
  return last?.effect === 'ineffective' ? 'that was put right and is so again, or AWS never did it' : undefined;
};

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { author } = look.signal;
  if (seen.uncovered !== undefined) return { do: 'nothing', because: seen.uncovered };
  if (author !== undefined && look.trusts(author))
    return { do: 'nothing', because: `${author} did it, which \`trusted\` in steward.yml names: it is intended` };
  if (!seen.exposure)
    return {
      do: 'escalate',
      because: `the policy of ${seen.name} cannot be read, so it is not known whom it lets in`,
      remedy: REMEDIES.close,
    };
  const found = weaknesses(seen, look.options);
  const last = (look.attempts as Past).at(-1);
  if (last && !last.effect && (last.outcome?.kind === 'done' || last.outcome?.kind === 'ambiguous'))
    return { do: 'wait', until: look.now + seconds(5), because: `${last.plan}: AWS does not show it yet` };
  const because = found.map(([, is]) => is).join('; ');
  const open = found.find(([rung]) => obstacle(rung, look) === undefined);
  if (open) {
    const [step, plan] = stepFor(open[0], seen);
    return { do: 'act', rung: step.do, step, plan, because };
  }
  const [[rung, is] = ['close', 'it is not as declared'] as const] = found;
  return { do: 'escalate', because: `${is}; ${obstacle(rung, look)}`, remedy: REMEDIES[rung] };
};

/** @param on false: as it was before */
const put = async (step: Step, on: boolean, { registry }: Ports): Promise<Json> => {
  switch (step.do) {
    case 'close':
      await registry.setPolicy(step.name, on ? (step.to ?? undefined) : step.from);
      break;
    case 'scan':
      await registry.scanOnPush(step.name, on);
      break;
    case 'fix-tags':
      await registry.immutable(step.name, on);
  }
  return { name: step.name };
};

const effect = ({ step, reservedAt }: Attempt<Step>, seen: Seen, { now, options: o }: Look<Options>): Effect => {
  if (!weaknesses(seen, o).some(([rung]) => rung === step.do)) return 'effective';
  return now - reservedAt < minutes(1) ? 'pending' : 'ineffective';
};

/** Tags and policies are read a call each, and events tell of changes: so many in one survey, the next takes the next ones. */
const MOST_READ = 10;
const SURVEY_EVERY = minutes(5);

const survey = async ({ registry, where }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const all = await registry.list();
  const turn = (Math.floor(at.now / SURVEY_EVERY) * MOST_READ) % Math.max(1, all.length);
  const found: Signal[] = [];
  for (const repository of [...all.slice(turn), ...all.slice(0, turn)].slice(0, MOST_READ)) {
    const target = repositoryTarget(where, repository.name);
    if (at.uncovered(await registry.tags(target.arn)) !== undefined) continue;
    const exposure = exposedBy(await registry.policy(repository.name), target, at.options);
    const is = exposure
      ? weaknesses({ exposure, repository }, at.options)
          .map(([, words]) => words)
          .join('; ')
      : 'its policy cannot be read';
    if (is === '') continue;
    found.push({
      kind: 'registry.changed',
      target,
      at: at.now,
      cause: `the survey saw the repository ${repository.name}: ${is}`.slice(0, 400),
      eventId: `repository ${repository.name}: ${is}`.slice(0, 900),
    });
  }
  return found;
};

export const registryExposed = defineRemediation<Seen, Step, Options>({
  name: 'registry-exposed',
  title: 'closes ECR repositories that let in everyone or strange accounts, and scans what is pushed to them',
  about: `Where the policy of a repository lets in **everyone**, or principals of an account that is neither its own nor in \`allowAccounts\`, those principals are taken out of it (**close**), and nothing else of it is
changed; if nothing is left the policy is removed, and the account itself still reaches the repository by IAM. A condition that narrows a statement to an organisation, an account or an ARN counts, other
conditions do not, and services of AWS are let be. Scanning on push is turned on (**scan**), and tags are made immutable (**fix-tags**) where you say \`immutableTags\`. What a principal of \`trusted\` did is left as it is, as far as an
event tells who did it. A policy that cannot be read goes to a person. Closing interrupts whoever pulls by that door, so a person is asked unless the preset is automatic; it can be put back. It never touches images, tags that are there, or lifecycle policies.`,
  answers: ['registry.changed'],
  risk: 'harmless',
  risks: { close: 'interrupts', 'fix-tags': 'interrupts' },
  targets: 'arn:*:ecr:*:*:repository/*',
  ladder: {
    close: 'take out of its policy whoever should not be let in',
    scan: 'scan images when they are pushed',
    'fix-tags': 'let no tag be moved',
  },
  attemptsPerDay: 6,
  permissions: [
    {
      for: 'look',
      actions: ['ecr:DescribeRepositories', 'ecr:ListTagsForResource', 'ecr:GetRepositoryPolicy'],
      resources: ['*'],
    },
    {
      for: 'act',
      actions: [
        'ecr:SetRepositoryPolicy',
        'ecr:DeleteRepositoryPolicy',
        'ecr:PutImageScanningConfiguration',
        'ecr:PutImageTagMutability',
      ],
      resources: ['arn:*:ecr:*:*:repository/*'],
      whenTagged: 'aws:ResourceTag',
    },
  ],
  options,
  survey,
  observe,
  facts: ({ name, tags }) => ({
    tags,
    group: { id: `repository/${name}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe: (seen, { options: o }) => {
    if (seen.uncovered !== undefined) return `not looked into: ${seen.uncovered}`;
    if (!seen.exposure) return `the policy of ${seen.name} cannot be read`;
    const found = weaknesses(seen, o);
    return found.length > 0
      ? `${seen.name}: ${found.map(([, is]) => is).join('; ')}`
      : `${seen.name} lets in nobody but whom it may${o.scanOnPush ? ', and scans what is pushed' : ''}`;
  },
  isHealthy: (seen, { options: o }) =>
    seen.uncovered === undefined && seen.exposure !== undefined && weaknesses(seen, o).length === 0,
  decide,
  act: (step, ports) => put(step, true, ports),
  touches: () => [],
  before: ({ policy = null, repository: { scanOnPush, immutable } }) => ({ policy, scanOnPush, immutable }),
  effect,
  undo: ({ step }, ports) => put(step, false, ports),
});
