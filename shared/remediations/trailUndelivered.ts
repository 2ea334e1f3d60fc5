/** A trail that records, and may not write: its key cannot be used, or its bucket's policy does not let it. */
import * as z from 'zod/mini';
import { namesOf, waitForName } from '../core/authors.ts';
import {
  type BucketPolicy,
  bucketArn,
  type KeyState,
  mergedPolicy,
  nameOf,
  type Obstacles,
  obstaclesIn,
  type Writing,
} from '../core/delivery.ts';
import { Forbidden, NotFound } from '../core/errors.ts';
import type { Attempt } from '../core/incident.ts';
import type { Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look } from '../core/remediation.ts';
import { bucketTarget, idOf, type Target, targetOf } from '../core/target.ts';
import { iso, minutes, seconds } from '../core/time.ts';
import { deliveryRemedy, type Trail, type TrailChange } from '../core/trails.ts';
import type { Verdict } from '../core/verdict.ts';

const options = z.strictObject({});
type Options = z.output<typeof options>;

type Step =
  | { readonly do: 'keep-key'; readonly key: string }
  | { readonly do: 'enable-key'; readonly key: string }
  | { readonly do: 'restore-policy'; readonly writing: Writing };

/** `gone`: there is none of that name. `unseen`: another account's, perhaps; only CloudTrail's own report tells. */
type Lost = 'gone' | 'unseen';
interface Seen {
  readonly target: Target;
  readonly name: string;
  readonly trail: Trail | undefined;
  readonly writing: Writing | undefined;
  /** Undefined: it has none. */
  readonly key: KeyState | Lost | undefined;
  readonly bucket: Obstacles | Lost;
  readonly changes: readonly TrailChange[];
  /** Declared in steward.yml it needs none. */
  readonly tags: Readonly<Record<string, string>> | undefined;
  /** steward.yml says that the policy of this very bucket may be put back. */
  readonly mayRestore: boolean;
}

// ---- observe ----------------------------------------------------------------------------------------------------------------------------

const orLost = async <T>(asked: Promise<T>): Promise<T | Lost> => {
  try {
    return await asked;
  } catch (e) {
    if (e instanceof NotFound) return 'gone';
    if (e instanceof Forbidden) return 'unseen';
    throw e;
  }
};

const obstaclesOf = (policy: BucketPolicy | undefined | Lost, writing: Writing): Obstacles | Lost =>
  policy === 'gone' || policy === 'unseen' ? policy : obstaclesIn(policy, writing);

/** The calls that make such trouble. There may be very many about a key or a bucket that are none of these. */
const KEY_CALLS = ['DisableKey', 'ScheduleKeyDeletion', 'PutKeyPolicy'];
const BUCKET_CALLS = ['PutBucketPolicy', 'DeleteBucketPolicy', 'DeleteBucket'];

const observe = async (target: Target, { trails, keys, buckets }: Ports, look: Look<Options>): Promise<Seen> => {
  const name = idOf(target);
  const trail = await trails.describe(target.arn);
  const said = Object.hasOwn(look.declared.trails, name) ? look.declared.trails[name] : undefined;
  const seen: Seen = {
    target,
    name,
    trail,
    writing: undefined,
    key: undefined,
    bucket: 'unseen',
    changes: [],
    tags: trail && said ? { ...trail.tags, [look.tags.managed]: 'true' } : trail?.tags,
    mayRestore: false,
  };
  if (!trail) return seen;
  const { bucket, prefix = '', kmsKey } = trail.settings;
  const writing = { trail: target.arn, account: target.account, bucket, prefix };
  const [key, policy] = await Promise.all([
    kmsKey === undefined ? undefined : orLost(keys.state(kmsKey)),
    orLost(buckets.policy(bucket)),
  ]);
  const found: Seen = {
    ...seen,
    writing,
    key,
    bucket: obstaclesOf(policy, writing),
    mayRestore: said?.restoreBucketPolicy === true && said.bucket === bucket,
  };
  return isWell(found) ? found : { ...found, changes: await madeIt(found, trails) };
};

const madeIt = async (seen: Seen, trails: Ports['trails']): Promise<readonly TrailChange[]> => {
  const { kmsKey, bucket } = seen.trail?.settings ?? {};
  const ofKey = troubleOfKey(seen) || (kmsKey !== undefined && !troubleOfBucket(seen));
  return ofKey && kmsKey !== undefined ? trails.calls(KEY_CALLS, kmsKey) : trails.calls(BUCKET_CALLS, bucket ?? '');
};

// ---- what is wrong ----------------------------------------------------------------------------------------------------------------------

const KEY_TROUBLE: Readonly<Record<KeyState | Lost, string>> = {
  usable: '',
  unseen: '',
  disabled: 'its key is disabled',
  'pending-deletion': 'its key will be deleted',
  gone: 'its key does not exist',
  other: 'its key cannot be used',
};
const troubleOfKey = ({ key }: Seen): string => (key === undefined ? '' : KEY_TROUBLE[key]);

const troubleOfBucket = ({ bucket }: Seen): string => {
  if (bucket === 'gone') return 'its bucket does not exist';
  if (bucket === 'unseen') return '';
  if (bucket.denying.length > 0) return `its bucket's policy denies it: ${bucket.denying.map(nameOf).join(', ')}`;
  const lacks = bucket.lacking.map(nameOf).join(', ');
  return lacks ? `its bucket's policy lacks ${lacks}` : '';
};

const troubles = (seen: Seen): readonly string[] =>
  [
    troubleOfKey(seen),
    troubleOfBucket(seen),
    seen.trail?.deliveryError ? `CloudTrail says ${seen.trail.deliveryError}` : '',
  ].filter((t) => t !== '');
const isWell = (seen: Seen): boolean => seen.trail !== undefined && troubles(seen).length === 0;

const authorOf = ({ changes }: Seen, look: Look<Options>): string | undefined =>
  look.signal.author ?? changes[0]?.author;

const told = (seen: Seen, look: Look<Options>): string => {
  const { name, trail } = seen;
  if (!trail) return `trail ${name} does not exist`;
  return isWell(seen)
    ? `trail ${name} can write`
    : `trail ${name} cannot write: ${troubles(seen).join('; ')} (${namesOf(authorOf(seen, look), seen.changes)})`;
};

// ---- decide -----------------------------------------------------------------------------------------------------------------------------

type Person = { readonly do: 'escalate'; readonly because: string; readonly remedy: string };
const person = (seen: Seen, look: Look<Options>, remedy: string, why = ''): Person => ({
  do: 'escalate',
  because: `${told(seen, look)}${why}`,
  remedy,
});

const remedyOf = (trail: Trail, target: Target): string => deliveryRemedy(trail, target);

const hands = (seen: Seen & { trail: Trail }, look: Look<Options>): Verdict<Step> | undefined => {
  const author = authorOf(seen, look);
  if (author !== undefined && look.trusts(author))
    return { do: 'nothing', because: `${author} changed it, whom \`trusted\` in steward.yml names` };
  return seen.trail.organization
    ? person(
        seen,
        look,
        `let the management account mend it: ${remedyOf(seen.trail, seen.target)}`,
        "; it is the organisation's trail",
      )
    : undefined;
};

/** KMS and S3 show a change within seconds. */
const settling = (look: Look<Options>): Verdict<Step> | undefined => {
  const last = look.attempts.at(-1);
  return last?.outcome?.kind === 'done' && last.effect === undefined
    ? { do: 'wait', until: look.now + seconds(5), because: `${last.plan}: AWS does not show it yet` }
    : undefined;
};

const failed = (seen: Seen & { trail: Trail }, look: Look<Options>): Verdict<Step> | undefined => {
  const last = look.attempts.at(-1);
  if (!last || (last.effect !== 'ineffective' && last.outcome?.kind !== 'permanent')) return undefined;
  const why = last.outcome?.kind === 'permanent' ? last.outcome.because : 'AWS took it, and nothing changed';
  return person(seen, look, remedyOf(seen.trail, seen.target), `; mending it failed: ${why}`);
};

/** Undefined: the key is not what keeps it from writing, as far as can be seen. */
const forKey = (seen: Seen & { trail: Trail }, look: Look<Options>): Verdict<Step> | undefined => {
  const key = seen.trail.settings.kmsKey;
  if (key === undefined || !troubleOfKey(seen)) return undefined;
  const kept = look.attempts.some((a) => (a.step as Step).do === 'keep-key' && a.effect === 'effective');
  const because = told(seen, look);
  if (seen.key === 'pending-deletion')
    return {
      do: 'act',
      rung: 'keep-key',
      step: { do: 'keep-key', key },
      plan: `cancel the deletion of ${key}`,
      because,
    };
  if (seen.key === 'disabled')
    return {
      do: 'act',
      rung: 'enable-key',
      step: { do: 'enable-key', key },
      plan: `enable ${key}`,
      because,
      ...(kept ? { continues: true } : {}),
    };
  return person(seen, look, `let trail ${seen.name} use another key, and declare it: trails.${seen.name}.kmsKey`);
};

const forBucket = (seen: Seen & { trail: Trail; writing: Writing }, look: Look<Options>): Verdict<Step> | undefined => {
  const { bucket, writing, mayRestore, name } = seen;
  if (!troubleOfBucket(seen)) return undefined;
  const byHand = remedyOf(seen.trail, seen.target);
  if (bucket === 'gone' || bucket === 'unseen') return person(seen, look, byHand);
  if (bucket.denying.length > 0)
    return person(
      seen,
      look,
      `speak with whoever wrote ${bucket.denying.map(nameOf).join(', ')}: Steward removes no statement of others. ${byHand}`,
    );
  if (!mayRestore)
    return person(
      seen,
      look,
      `${byHand}. Steward puts them back by itself if steward.yml says trails.${name}.bucket: ${writing.bucket} and restoreBucketPolicy: true`,
    );
  return {
    do: 'act',
    rung: 'restore-policy',
    step: { do: 'restore-policy', writing },
    plan: `add ${bucket.lacking.map(nameOf).join(', ')} to the policy of bucket ${writing.bucket}`,
    because: told(seen, look),
  };
};

/** CloudTrail delivers about every five minutes, and reports the last delivery until the next. */
const NEXT_DELIVERY = minutes(30);

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { trail, writing } = seen;
  if (!trail || !writing) return { do: 'nothing', because: `${told(seen, look)}: that is trail-stopped's` };
  const known = { ...seen, trail, writing };
  const ruled = hands(known, look) ?? waitForName(seen.changes, look) ?? settling(look) ?? failed(known, look);
  const mended = ruled ?? forKey(known, look) ?? forBucket(known, look);
  if (mended) return mended;
  const last = look.attempts.findLast((a) => a.effect === 'effective');
  return last && look.now - last.reservedAt < NEXT_DELIVERY
    ? {
        do: 'wait',
        until: look.now + minutes(1),
        because: `${last.plan}: done; whether it writes shows at its next delivery, within some minutes`,
      }
    : person(seen, look, remedyOf(trail, seen.target));
};

// ---- act --------------------------------------------------------------------------------------------------------------------------------

const act = async (step: Step, { keys, buckets }: Ports) => {
  if (step.do === 'keep-key') await keys.cancelDeletion(step.key);
  if (step.do === 'enable-key') await keys.enable(step.key);
  if (step.do === 'restore-policy') {
    const { bucket } = step.writing;
    // Read again: what others added since the look stays.
    await buckets.putPolicy(bucket, mergedPolicy(await buckets.policy(bucket), step.writing));
  }
  return { did: step.do };
};

const SHOWS = minutes(2);
const DONE: Readonly<Record<Step['do'], (seen: Seen) => boolean>> = {
  'keep-key': ({ key }) => key === 'disabled' || key === 'usable',
  'enable-key': ({ key }) => key === 'usable',
  'restore-policy': ({ bucket }) => typeof bucket === 'object' && bucket.lacking.length === 0,
};
const effect = ({ step, reservedAt }: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect =>
  DONE[step.do](seen) ? 'effective' : now - reservedAt < SHOWS ? 'pending' : 'ineffective';

/** The trails that write to the bucket, or with the key, that changed. */
const writersOf = async (changed: Target, { trails }: Ports): Promise<readonly Target[]> =>
  (
    await trails.using(
      changed.arn === bucketTarget(changed, idOf(changed)).arn ? { bucket: idOf(changed) } : { key: changed.arn },
    )
  ).map(targetOf);

export const trailUndelivered = defineRemediation<Seen, Step, Options>({
  name: 'trail-undelivered',
  title:
    'lets a CloudTrail trail write again whose key was disabled or whose bucket no longer lets it, and names who did it',
  about: `Within seconds of \`DisableKey\`, \`ScheduleKeyDeletion\`, \`PutBucketPolicy\` and \`DeleteBucketPolicy\`, else when CloudTrail reports that it could not deliver. The trail's key is **kept** from its deletion and **enabled**.
It never touches a bucket unless you say so: with \`trails.<name>.restoreBucketPolicy: true\` and that trail's own bucket declared, CloudTrail's two statements are merged into the **policy** as it is; no statement of others is removed or changed.
A statement that denies CloudTrail, a key or a bucket that is gone, a policy of a key, and a bucket without that option go to a person, with the statement's name or the very statements to add. What a principal in
\`trusted\` did is left alone, and the same again within a day goes to a person who is told of both authors. A bucket or key of another account cannot be looked at: there CloudTrail's own report counts.
Events of keys and buckets in another region than the trail's own do not reach it: there it is CloudTrail's report, some minutes later.`,
  answers: ['trail.undelivered'],
  risk: 'harmless',
  targets: 'arn:*:cloudtrail:*:*:trail/*',
  ladder: {
    'keep-key': 'cancel the deletion of its key',
    'enable-key': 'enable its key',
    'restore-policy': "put CloudTrail's statements back into its bucket's policy, if steward.yml says so",
  },
  attemptsPerDay: 6,
  permissions: [
    {
      for: 'look',
      actions: [
        'cloudtrail:DescribeTrails',
        'cloudtrail:GetTrailStatus',
        'cloudtrail:LookupEvents',
        'kms:DescribeKey',
        's3:GetBucketPolicy',
      ],
      resources: ['*'],
    },
    {
      for: 'look',
      actions: ['cloudtrail:GetEventSelectors', 'cloudtrail:ListTags'],
      resources: ['arn:*:cloudtrail:*:*:trail/*'],
    },
    { for: 'act', actions: ['kms:CancelKeyDeletion', 'kms:EnableKey'], resources: ['arn:*:kms:*:*:key/*'] },
    { for: 'act', actions: ['s3:PutBucketPolicy'], resources: ['arn:*:s3:::*'] },
  ],
  options,
  survey: async ({ trails }, { now }) =>
    (await trails.own()).flatMap(({ arn, name, deliveryError }) =>
      deliveryError === undefined
        ? []
        : [
            {
              kind: 'trail.undelivered' as const,
              target: targetOf(arn),
              at: now,
              cause: `survey: ${name} cannot write: ${deliveryError}`,
              eventId: `survey:${arn}:trail.undelivered@${iso(now).slice(0, 13)}`,
            },
          ],
    ),
  locate: { key: writersOf, bucket: writersOf },
  observe,
  facts: ({ name, tags }) => ({
    tags,
    group: { id: `trail/${name}`, size: 1, zones: {} },
    zone: undefined,
    serving: 'alone',
  }),
  describe: told,
  isHealthy: isWell,
  decide,
  act,
  touches: (step) => [step.do === 'restore-policy' ? bucketArn(step.writing) : step.key],
  before: ({ key, bucket }) => ({
    key: key ?? null,
    lacking: typeof bucket === 'object' ? bucket.lacking.map(nameOf) : bucket,
  }),
  effect,
  noUndo:
    'a trail that must record is not kept from writing; if it was meant, name its author in `trusted`, or pause the target',
});
