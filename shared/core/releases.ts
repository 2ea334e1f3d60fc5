/**
 * The record of a service's releases: every deployment with the digests that its tags meant then, whether it proved healthy, since when, and by whose word it stands. Tags move and task
 * definitions are deregistered: this is what a roll-back and a rebuild go by. Pure.
 */
import type { No, Ruling } from './answers.ts';
import type { ContainerTask, TaskShape } from './containers.ts';
import { shortOf } from './services.ts';
import { iso, type Time } from './time.ts';
import type { Json } from './verdict.ts';
import { plural } from './words.ts';

export type ReleaseState =
  /** Its health check is not over. */
  | 'unproven'
  /** Proven, and what is deployed. */
  | 'current'
  /** Proven, and followed by another one. */
  | 'previous'
  /** It did not pass. */
  | 'failed'
  /** It was left for one that had passed. */
  | 'rolled-back'
  /** Another one was deployed before it was proven. */
  | 'superseded';

/** A container's image, as the task definition names it and as it was pulled. */
export interface ReleaseImage {
  readonly name: string;
  readonly image: string;
  readonly digest?: string;
}

/** One synthetic request. */
export interface Probe {
  readonly at: Time;
  readonly ok: boolean;
  /** 'GET https://… answered 503 in 120 ms'. */
  readonly say: string;
}

export interface Release {
  /** ECS's deployment: 'ecs-svc/0123456789'. */
  readonly deployment: string;
  readonly definition: string;
  readonly images: readonly ReleaseImage[];
  /** When it was deployed. */
  readonly since: Time;
  readonly state: ReleaseState;
  /** What was measured last: "3 of 3 tasks serve; 0.1 % of 4210 requests failed, 0.1 % before". */
  readonly health: string;
  /** When its state was decided, by whom ('steward', 'ECS', or a person's ARN), and why. */
  readonly decidedAt?: Time;
  readonly by?: string;
  readonly because?: string;
  /** Old code may not run with what it has written: its task definition says so by the tag `steward:migration`. */
  readonly migration?: true;
  /** The deployment whose digests it has: it was rolled back to. */
  readonly copyOf?: string;
  readonly probes: readonly Probe[];
}

/** A person wants another release than what is deployed. */
export interface Wanted {
  readonly from: string;
  /** Deployments, as in `Release.deployment`. */
  readonly to: string;
  readonly by: string;
  readonly at: Time;
  readonly why: string;
}

export interface Releases {
  readonly kind: 'releases';
  /** ARN of the service. */
  readonly target: string;
  readonly version: number;
  /** The newest first. */
  readonly list: readonly Release[];
  readonly wanted?: Wanted;
  /** The service as it was when a release of it passed last, as CreateService takes it: what it is rebuilt from. Of a cluster, which has no releases: how it was when it had all that it needs. */
  readonly settings?: Json;
}

export const noReleases = (target: string): Releases => ({ kind: 'releases', target, version: 0, list: [] });

/** So many are kept, and of what was proven the latest two in any case. */
export const MOST_RELEASES = 20;
const MOST_PROBES = 20;

export const isProven = ({ state }: Release): boolean => state === 'current' || state === 'previous';
/** Nothing more is to be found out of it. */
export const isDecided = ({ state }: Release): boolean => state !== 'unproven';

export const releaseOf = ({ list }: Pick<Releases, 'list'>, deployment: string | undefined): Release | undefined =>
  list.find((r) => r.deployment === deployment);

/** The latest one that passed and is not what is deployed: what a roll-back goes to. */
export const formerOf = (releases: Releases, deployment: string): Release | undefined => {
  const own = releaseOf(releases, deployment);
  return releases.list.find(
    (r) => r.deployment !== deployment && isProven(r) && (own === undefined || !isSame(r, own)),
  );
};
/** The same code: the same definition with the same digests. */
const isSame = (a: Release, b: Release): boolean =>
  a.definition === b.definition &&
  a.images.every((i) => b.images.some((j) => j.name === i.name && j.digest === i.digest));

/** A migration lies between them, so that the older one may not run with what is in the database. */
export const crossesMigration = ({ list }: Releases, from: string, to: string): boolean => {
  const [newer, older] = [list.findIndex((r) => r.deployment === from), list.findIndex((r) => r.deployment === to)];
  return list.slice(Math.max(0, newer), older < 0 ? undefined : older).some((r) => r.migration === true);
};

/** Digests as its tasks run them: those of the oldest where they differ. */
export const imagesOf = (
  tasks: readonly Pick<ContainerTask, 'containers' | 'createdAt'>[],
): readonly ReleaseImage[] => {
  const found = new Map<string, ReleaseImage>();
  for (const { containers } of [...tasks].sort((a, b) => a.createdAt - b.createdAt))
    for (const { name, image, digest } of containers)
      if (found.get(name)?.digest === undefined) found.set(name, { name, image, ...(digest ? { digest } : {}) });
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
};

/** 'web:1@sha256:0123…' → whether the reference itself is exact. */
export const isExact = (image: string): boolean => image.includes('@sha256:');
/** 'registry:5000/web:1' and a digest → 'registry:5000/web@sha256:…' */
export const pinned = (image: string, digest: string): string =>
  `${image.replace(/@.*$/, '').replace(/:[^:/]*$/, '')}@${digest}`;

/** Containers of which no digest is known, so that they cannot be brought back as they were. */
export const unknownIn = ({ images }: Pick<Release, 'images'>, shape: Pick<TaskShape, 'images'>): readonly string[] =>
  shape.images.flatMap(({ name, image }) =>
    isExact(image) || images.some((i) => i.name === name && i.digest !== undefined) ? [] : [name],
  );

/** Container → image by its digest. Null: the definition names its digests itself, and can be deployed as it is. */
export const pinsOf = (
  { images }: Pick<Release, 'images'>,
  { status, images: named }: Pick<TaskShape, 'status' | 'images'>,
): Readonly<Record<string, string>> | null => {
  const moving = named.filter(({ image }) => !isExact(image));
  if (moving.length === 0 && status === 'ACTIVE') return null;
  return Object.fromEntries(
    moving.map(({ name, image }) => [name, pinned(image, images.find((i) => i.name === name)?.digest ?? '')]),
  );
};

export interface Judgement {
  readonly is: 'unproven' | 'good' | 'bad';
  readonly health: string;
  readonly probe?: Probe;
}

/** What a look has found of the deployment that is primary now. */
export interface Observation {
  readonly now: Time;
  readonly deployment: { readonly id: string; readonly definition: string; readonly createdAt: Time };
  readonly images: readonly ReleaseImage[];
  readonly judgement: Judgement;
  readonly migration: boolean;
  /** ECS itself has gone back to it. */
  readonly byEcs: boolean;
  /** Steward's own roll-backs: from which deployment, to which release. */
  readonly rolledBack: readonly { readonly from: string; readonly to: string; readonly by: string }[];
}

/** The record as it is after a look: the same for the same look, however often. */
export const observed = (releases: Releases, o: Observation): Releases => {
  const left = releases.list.map((r) => (r.deployment === o.deployment.id ? r : followed(r, o)));
  const known = releaseOf(releases, o.deployment.id);
  const own = judged(known ?? begun(releases, o), o);
  const rest = left
    .filter((r) => r.deployment !== own.deployment)
    .map((r) => (own.state === 'current' && r.state === 'current' ? { ...r, state: 'previous' as const } : r));
  const list = bounded([own, ...rest]);
  const { wanted, ...others } = releases;
  // It was done, or something else was deployed meanwhile.
  return wanted?.from === own.deployment ? { ...releases, list } : { ...others, list };
};

const begun = ({ list }: Releases, { deployment, rolledBack }: Observation): Release => {
  const copy = rolledBack.findLast(
    (b) => b.from !== deployment.id && list[0]?.deployment === b.from && releaseOf({ list }, b.to) !== undefined,
  );
  return {
    deployment: deployment.id,
    definition: deployment.definition,
    images: [],
    since: deployment.createdAt,
    state: 'unproven',
    health: 'not looked at yet',
    ...(copy ? { copyOf: copy.to } : {}),
    probes: [],
  };
};

/** What it has become now that another one is deployed. */
const followed = (r: Release, { now, deployment, byEcs, rolledBack }: Observation): Release => {
  const back = rolledBack.find((b) => b.from === r.deployment);
  if (r.state === 'rolled-back' || r.state === 'superseded') return r;
  if (back)
    return { ...r, state: 'rolled-back', decidedAt: now, by: back.by, because: r.because ?? `left for ${back.to}` };
  if (isProven(r)) return r;
  const to = shortOf(deployment.definition);
  if (byEcs)
    return { ...r, state: 'rolled-back', decidedAt: now, by: 'ECS', because: `ECS itself has gone back to ${to}` };
  return r.state === 'failed'
    ? r
    : { ...r, state: 'superseded', decidedAt: now, because: `${to} was deployed before it was proven` };
};

const judged = (r: Release, { now, images, judgement, migration }: Observation): Release => {
  const probes = judgement.probe ? [...r.probes, judgement.probe].slice(-MOST_PROBES) : r.probes;
  const seen: Release = {
    ...r,
    images: images.length > 0 ? images : r.images,
    probes,
    ...(migration ? { migration } : {}),
  };
  // What is decided stays decided: by a person's word above all. A release that was once good, and was gone back to, is the current one again.
  if (r.state === 'current' || (r.state === 'failed' && judgement.is !== 'good')) return seen;
  if (r.state === 'previous') return { ...seen, state: 'current', decidedAt: now, by: r.by ?? 'steward' };
  if (judgement.is === 'unproven') return { ...seen, state: 'unproven', health: judgement.health };
  const { because: _, ...clean } = seen;
  return judgement.is === 'good'
    ? { ...clean, state: 'current', health: judgement.health, decidedAt: now, by: 'steward' }
    : { ...clean, state: 'failed', health: judgement.health, decidedAt: now, by: 'steward', because: judgement.health };
};

const bounded = (list: readonly Release[]): readonly Release[] => {
  const kept = new Set(list.filter(isProven).slice(0, 2));
  const others = new Set(list.filter((r) => !kept.has(r)).slice(0, MOST_RELEASES - kept.size));
  return list.filter((r) => kept.has(r) || others.has(r));
};

/** Whether a look has told anything new: a record that says the same is not written. */
export const isNewsOf = (before: Releases, after: Releases): boolean =>
  JSON.stringify([before.list, before.wanted, before.settings]) !==
  JSON.stringify([after.list, after.wanted, after.settings]);

// ---- what a person may change -----------------------------------------------------------------------------------------------------------

export interface Word {
  readonly by: string;
  readonly now: Time;
  readonly why: string;
}
const no = (why: string, remedy: string): No => ({ no: why, remedy });
const nameOf = (target: string): string => target.split('/').slice(-2).join('/');

/** The newest release is good, whatever was measured. It takes back a wish to roll back, too. */
export const promote = (releases: Releases, { by, now, why }: Word): Ruling<Releases> => {
  const [newest, ...rest] = releases.list;
  const service = nameOf(releases.target);
  if (!newest)
    return no(`cannot promote: no release of ${service} is known`, 'deploy one, or wait for the next survey');
  if (newest.state === 'current' && !releases.wanted)
    return no(
      `cannot promote ${shortOf(newest.definition)}: it is the current release of ${service} already`,
      `nothing: steward release list ${service}`,
    );
  const { wanted: _, ...kept } = releases;
  const list = [
    { ...newest, state: 'current' as const, decidedAt: now, by, because: why },
    ...rest.map((r) => (r.state === 'current' ? { ...r, state: 'previous' as const } : r)),
  ];
  return { ...kept, list };
};

/** 'web:7', the beginning of a digest, or ECS's deployment. */
export const isNamed = (r: Release, name: string): boolean =>
  shortOf(r.definition) === name ||
  r.definition === name ||
  r.deployment === name ||
  r.images.some(
    ({ digest }) =>
      digest !== undefined &&
      name.length >= 7 &&
      digest.replace(/^sha256:/, '').startsWith(name.replace(/^sha256:/, '')),
  );

/** @param to which release; without it the last one that passed */
export const wantBack = (releases: Releases, to: string | undefined, { by, now, why }: Word): Ruling<Releases> => {
  const [newest] = releases.list;
  const service = nameOf(releases.target);
  const list = `steward release list ${service}`;
  if (!newest)
    return no(`cannot roll back: no release of ${service} is known`, 'deploy one, or wait for the next survey');
  if (releases.wanted)
    return no(
      `cannot roll back ${service}: ${releases.wanted.by} asked for that at ${iso(releases.wanted.at)}`,
      `see how far it is: ${list}; to take it back: steward release promote ${service} --because '…'`,
    );
  const found = to === undefined ? formerOf(releases, newest.deployment) : releases.list.find((r) => isNamed(r, to));
  if (!found)
    return no(
      to === undefined
        ? `cannot roll back ${service}: of its ${plural(releases.list.length, 'release')} none other has passed, so there is nothing to return to`
        : `cannot roll back ${service}: no release of it is called ${to}`,
      `see which there are: ${list}`,
    );
  if (found.deployment === newest.deployment)
    return no(`cannot roll back ${service} to ${to}: that is what is deployed`, `see which there are: ${list}`);
  return { ...releases, wanted: { from: newest.deployment, to: found.deployment, by, at: now, why } };
};
