import * as z from 'zod/mini';
import type { ContainerService } from '../core/containers.ts';
import { noneIfGone, undefinedIfGone } from '../core/errors.ts';
import { lifecycleOf, type RegistryImage, ruleText, takenBy } from '../core/lifecycle.ts';
import { option } from '../core/option.ts';
import type { Ports } from '../core/ports.ts';
import { type Place, placeOf, type Replication } from '../core/registry.ts';
import { isProven, MOST_RELEASES, type Releases } from '../core/releases.ts';
import { defineRemediation, type Look, type Scan } from '../core/remediation.ts';
import { serviceThere, shortOf } from '../core/services.ts';
import type { Signal } from '../core/signal.ts';
import { serviceTarget, type Target } from '../core/target.ts';
import { days, hours, iso, minutes, type Time } from '../core/time.ts';
import { plural } from '../core/words.ts';

const options = z.strictObject({
  keep: option(
    z.int().check(z.gte(1), z.lte(MOST_RELEASES)),
    MOST_RELEASES,
    'The images of so many of the latest releases must stay, and those of the last two that passed in any case',
  ),
  aheadDays: option(
    z.int().check(z.gte(0), z.lte(90)),
    7,
    'So long before a lifecycle policy takes an image for its age a person is told',
  ),
  replicated: option(
    z.boolean(),
    false,
    'They must be in a second region too. Otherwise that is looked at only where a replication rule of the registry covers the repository',
  ),
});
type Options = z.output<typeof options>;

/** An image of releases that must stay. */
interface Kept {
  readonly digest: string;
  /** 'web:7', the newest first. */
  readonly releases: readonly string[];
  readonly since: Time;
}
interface Shelf {
  readonly place: Place;
  readonly kept: readonly Kept[];
  /** Undefined: the repository is not there. */
  readonly images: readonly RegistryImage[] | undefined;
  readonly lifecycle: string | undefined;
  readonly copies: readonly { readonly region: string; readonly digests: ReadonlySet<string> }[];
}
interface Seen {
  readonly name: string;
  readonly service: ContainerService;
  readonly uncovered: string | undefined;
  readonly shelves: readonly Shelf[];
}

/** By repository what must stay in it, of the registries of the target's own account. */
const keptOf = ({ list }: Releases, { account }: Pick<Target, 'account'>, { keep }: Options) => {
  const passed = list.filter(isProven).slice(0, 2);
  const shelves = new Map<string, { place: Place; kept: Map<string, Kept> }>();
  for (const release of list.filter((r, n) => n < keep || passed.includes(r)))
    for (const { image, digest } of release.images) {
      const place = placeOf(image);
      if (!place || !digest || place.account !== account) continue;
      const key = `${place.region} ${place.name}`;
      const shelf = shelves.get(key) ?? { place, kept: new Map<string, Kept>() };
      const { releases = [], since = release.since } = shelf.kept.get(digest) ?? {};
      const names = [...new Set([...releases, shortOf(release.definition)])];
      shelf.kept.set(digest, { digest, releases: names, since });
      shelves.set(key, shelf);
    }
  return [...shelves.values()].map(({ place, kept }) => ({ place, kept: [...kept.values()] }));
};

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const service = await serviceThere(target.arn, ports);
  const uncovered = look.uncovered(service.tags);
  const wanted = uncovered === undefined ? keptOf(look.releases, target, look.options) : [];
  const shelves: Shelf[] = [];
  for (const { place, kept } of wanted) shelves.push({ place, kept, ...(await lookInto(place, target, ports)) });
  return { name: `${service.cluster}/${service.name}`, service, uncovered, shelves };
};

const lookInto = async (
  place: Place,
  { account }: Target,
  { registry }: Ports,
): Promise<Pick<Shelf, 'images' | 'lifecycle' | 'copies'>> => {
  const images = await registry.images(place).catch(undefinedIfGone);
  if (!images) return { images, lifecycle: undefined, copies: [] };
  const [lifecycle, rules] = await Promise.all([registry.lifecycle(place), registry.replication(place.region)]);
  const copies = await Promise.all(
    copiedTo(rules, place, account).map(async (region) => {
      const there = await registry.images({ ...place, region }).catch(noneIfGone);
      return { region, digests: new Set(there.map((i) => i.digest)) };
    }),
  );
  return { images, lifecycle, copies };
};

/** Other regions of the same account: what is copied to another account cannot be seen. */
const copiedTo = (rules: readonly Replication[], { name, region }: Place, account: string): readonly string[] => [
  ...new Set(
    rules
      .filter(({ prefixes }) => prefixes.length === 0 || prefixes.some((p) => name.startsWith(p)))
      .flatMap(({ to }) => to.flatMap((t) => (t.account === account && t.region !== region ? [t.region] : []))),
  ),
];

interface Finding {
  readonly is: string;
  readonly remedy: string;
}
/** ECR copies within half an hour, mostly. */
const COPIES = hours(1);

const findingsIn = (shelf: Shelf, now: Time, o: Options): readonly Finding[] => {
  const { place, kept, images } = shelf;
  const at = `${place.name} in ${place.region}`;
  if (!images)
    return [
      {
        is: `the repository ${at} is gone, and with it the images of ${plural(kept.length, 'release')}`,
        remedy: 'create it and push them again: new tasks, a roll-back and a rebuild fail without them',
      },
    ];
  const there = new Map(images.map((i) => [i.digest, i]));
  const about = ({ digest, releases }: Kept): string => `${digest} of ${releases.join(', ')} (${at})`;
  const gone = kept
    .filter(({ digest }) => !there.has(digest))
    .map((k) => ({
      is: `the image ${about(k)} is no longer there`,
      remedy: 'push it again from where it was built: new tasks of that release, a roll-back to it and a rebuild fail',
    }));
  const archived = kept
    .filter(({ digest }) => there.get(digest)?.archivedAt !== undefined)
    .map((k) => ({
      is: `the image ${about(k)} is archived and cannot be pulled`,
      remedy: `aws ecr update-image-storage-class --region ${place.region} --repository-name ${place.name} --image-id imageDigest=${k.digest} --target-storage-class STANDARD`,
    }));
  const present = kept.filter(({ digest }) => there.get(digest)?.archivedAt === undefined && there.has(digest));
  const isNew = ({ digest }: Kept): boolean => now - (there.get(digest)?.pushedAt ?? 0) < COPIES;
  const lent = present.filter((k) => !isNew(k));
  return [...gone, ...archived, ...taken(shelf, present, about, now, o), ...uncopied(shelf, lent, about, o)];
};

type About = (kept: Kept) => string;

const taken = (
  { place, images = [], lifecycle }: Shelf,
  present: readonly Kept[],
  about: About,
  now: Time,
  { aheadDays }: Options,
): readonly Finding[] => {
  if (lifecycle === undefined) return [];
  const look = `aws ecr get-lifecycle-policy --region ${place.region} --repository-name ${place.name}`;
  const rules = lifecycleOf(lifecycle);
  if (!rules)
    return [
      {
        is: `the lifecycle policy of ${place.name} in ${place.region} cannot be read, so it is not known whether it keeps them`,
        remedy: `look at it: ${look}`,
      },
    ];
  const soon = takenBy(rules, images, now);
  const later = takenBy(rules, images, now + days(aheadDays));
  return present.flatMap((k) => {
    const rule = soon.get(k.digest) ?? later.get(k.digest);
    if (!rule) return [];
    const by = soon.has(k.digest) ? '24 hours' : plural(aheadDays, 'day');
    return [
      {
        is: `${about(k)} will be lost: within ${by} lifecycle ${ruleText(rule)}`,
        remedy: `give what is deployed a tag, and that tag a rule of its own before rule ${rule.rulePriority} that keeps enough; or let that rule keep more; or lower \`keep\` of release-unkept. The policy: ${look}; what ECR itself makes of it: aws ecr start-lifecycle-policy-preview`,
      },
    ];
  });
};

const uncopied = (
  { place, copies }: Shelf,
  lent: readonly Kept[],
  about: About,
  { replicated }: Options,
): readonly Finding[] => {
  if (copies.length === 0)
    return replicated && lent.length > 0
      ? [
          {
            is: `no replication rule copies ${place.name} of ${place.region} to a second region`,
            remedy: 'aws ecr put-replication-configuration, or replicated: false of release-unkept',
          },
        ]
      : [];
  return copies.flatMap(({ region, digests }) =>
    lent
      .filter(({ digest }) => !digests.has(digest))
      .map((k) => ({
        is: `${about(k)} is not in ${region}, where a replication rule copies it to`,
        remedy: `copy it there by its digest: ECR replicates only what is pushed after the rule was made, and a lifecycle policy of ${region} may have taken it`,
      })),
  );
};

const findingsOf = ({ shelves }: Seen, { now, options: o }: Look<Options>): readonly Finding[] =>
  shelves.flatMap((s) => findingsIn(s, now, o));

/** So many are told in words. */
const MOST_TOLD = 3;
const told = (found: readonly Finding[]): string =>
  `${found
    .slice(0, MOST_TOLD)
    .map((f) => f.is)
    .join('; ')}${found.length > MOST_TOLD ? `; and ${found.length - MOST_TOLD} more` : ''}`;

const describe = (seen: Seen, look: Look<Options>): string => {
  if (seen.uncovered !== undefined) return `not looked into: ${seen.uncovered}`;
  const found = findingsOf(seen, look);
  if (found.length > 0) return `${seen.name}: ${told(found)}`;
  const count = seen.shelves.reduce((sum, s) => sum + s.kept.length, 0);
  return count === 0
    ? `no image of a release of ${seen.name} is known to be in ECR of its account`
    : `the registry keeps ${plural(count, 'image')} of the releases of ${seen.name}`;
};

/** Each service once an hour: a twelfth of them in each survey. */
const TURN = minutes(5);
const TURNS = 12;

const survey = async ({ where }: Ports, at: Scan<Options>): Promise<readonly Signal[]> => {
  const turn = Math.floor(at.now / TURN) % TURNS;
  const arns: string[] = [];
  for (const { cluster, services } of await at.clusters())
    for (const { name, status, tags } of services)
      if (status === 'ACTIVE' && at.uncovered(tags) === undefined) arns.push(serviceTarget(where, cluster, name).arn);
  const turned = arns.toSorted().filter((_, n) => n % TURNS === turn);
  const records = await at.releasesOf(turned);
  return turned.flatMap((arn) => {
    const record = records[arn];
    if (!record || keptOf(record, where, at.options).length === 0) return [];
    const target = { arn, account: where.account, region: where.region };
    return [
      {
        kind: 'container-service.unkept' as const,
        target,
        at: at.now,
        cause: `survey: whether the registry keeps the releases of ${shortOf(arn)}`,
        eventId: `survey:${arn}:unkept@${iso(at.now).slice(0, 13)}`,
        routine: true as const,
      },
    ];
  });
};

export const releaseUnkept = defineRemediation<Seen, never, Options>({
  name: 'release-unkept',
  title: 'tells of releases of an ECS service whose images the registry has lost, or will take away',
  about: `A release can be gone back to, rebuilt and started again only while its image is there. Each hour the **digests** of a managed service's last \`keep\` releases, and of the last two that passed, by the record that \`release-unproven\` keeps, are looked for in ECR:
whether they are **still there** and can be pulled; whether the repository's **lifecycle policy** takes one of them away now or within \`aheadDays\`, by which rule; and whether they are in the **second region** to which a replication rule copies the repository (\`replicated\`: there must be one).
A person is told the digest, the releases, the rule and what helps. The policy is evaluated by the rules that ECR documents; ECR's own preview would be a write. It never changes anything: no lifecycle policy, no tag, no image. Registries of other accounts and other kinds are not looked into.`,
  answers: ['container-service.unkept'],
  risk: 'harmless',
  inStorms: false,
  targets: 'arn:*:ecs:*:*:service/*',
  ladder: {},
  permissions: [
    {
      for: 'look',
      actions: ['ecs:DescribeServices', 'ecr:DescribeImages', 'ecr:GetLifecyclePolicy', 'ecr:DescribeRegistry'],
      resources: ['*'],
    },
  ],
  options,
  survey,
  observe,
  facts: ({ service }) => ({
    tags: service.tags,
    group: { id: `services/${service.cluster}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe,
  isHealthy: (seen, look) => seen.uncovered === undefined && findingsOf(seen, look).length === 0,
  decide: (seen, look) => {
    if (seen.uncovered !== undefined) return { do: 'nothing', because: seen.uncovered };
    const found = findingsOf(seen, look);
    return { do: 'escalate', because: told(found), remedy: found[0]?.remedy ?? 'nothing: it is kept' };
  },
  act: async () => null,
  touches: () => [],
  releases: 'read',
  before: () => null,
  effect: () => 'pending',
  noUndo: 'it changes nothing: it only tells',
});
