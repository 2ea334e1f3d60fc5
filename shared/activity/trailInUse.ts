/** Which trail is read, where its files lie, and when it did not log. */
import type { Time } from '../core/time.ts';
import type { TrailFiles } from './log.ts';
import type { Trouble } from './marks.ts';
import { digestListings, type Folder, isDigestOf, type Place, rootOf, type TrailInUse } from './trailLayout.ts';

/** Declared ones first, then those that see most. */
export const chooseTrail = (trails: readonly TrailInUse[], declared: readonly string[]): TrailInUse | undefined => {
  const rank = (t: TrailInUse): number =>
    [t.logging, declared.includes(t.name), t.organization, t.multiRegion, t.validation].reduce(
      (sum, is) => 2 * sum + (is ? 1 : 0),
      0,
    );
  return [...trails].sort((a, b) => rank(b) - rank(a) || (a.name < b.name ? -1 : 1))[0];
};

const isAccount = (name: string): boolean => /^\d{12}$/.test(name);

/** Where the trail has files: of this account, and of an organisation's all. */
export const foldersOf = async (trail: TrailInUse, files: TrailFiles, home: Place): Promise<Folder[]> => {
  const root = rootOf(trail);
  const below = await files.folders(root);
  const organizations = trail.organization ? below.filter((name) => name.startsWith('o-')) : [];
  const accounts: { account: string; root: string }[] = below
    .filter((name) => name === home.account)
    .map((account) => ({ account, root: `${root}${account}/` }));
  for (const organization of organizations)
    for (const account of (await files.folders(`${root}${organization}/`)).filter(isAccount))
      accounts.push({ account, root: `${root}${organization}/${account}/` });
  const found: Folder[] = [];
  for (const { account, root: own } of accounts)
    for (const region of await files.folders(`${own}CloudTrail/`)) found.push({ account, region, root: own });
  return found;
};

/** Keys of a folder's digests of this trail, those that were delivered from a time on; a day may be begun after `to`. */
export async function* digestsIn(
  files: TrailFiles,
  folder: Folder,
  trail: TrailInUse,
  from: Time,
  to: Time,
): AsyncGenerator<string> {
  for (const { prefix, after } of digestListings(folder, trail, from, to))
    for await (const key of files.keys(prefix, after)) if (isDigestOf(key, folder, trail)) yield key;
}

/** When the trail did not log last, as far as it says. */
export const stopOf = ({ logging, startedAt = 0, stoppedAt }: TrailInUse, now: Time): Trouble | undefined =>
  stoppedAt === undefined || (logging && startedAt <= stoppedAt)
    ? undefined
    : [stoppedAt, logging ? startedAt : now, 'the trail was not logging'];
