/**
 * How a trail lays its files into its bucket. Names sort by the minute of delivery, so that a listing can begin at a time.
 *
 *     [prefix/]AWSLogs/[o-organisation/]<account>/CloudTrail/<region>/<yyyy>/<mm>/<dd>/<account>_CloudTrail_<region>_<yyyymmddThhmmZ>_<random>.json.gz
 *     …/CloudTrail-Digest/<region>/<yyyy>/<mm>/<dd>/<account>_CloudTrail-Digest_<region>_<trail>_<home region>_<yyyymmddThhmmssZ>[_backfill].json.gz
 *
 * Source: AWS CloudTrail user guide, "Finding your CloudTrail log files", "CloudTrail digest file structure".
 */
import { days, iso, type Time } from '../core/time.ts';

/** Where events of one account and region lie. */
export interface Place {
  readonly account: string;
  readonly region: string;
}
/** 'account/region': in keys of the log. */
export const placeName = ({ account, region }: Place): string => `${account}/${region}`;
export const placeNamed = (name: string): Place => {
  const [account = '', region = ''] = name.split('/');
  return { account, region };
};

/** The trail that is read. */
export interface TrailInUse {
  readonly name: string;
  readonly home: string;
  readonly bucket: string;
  readonly prefix?: string;
  readonly organization: boolean;
  readonly multiRegion: boolean;
  readonly validation: boolean;
  readonly logging: boolean;
  /** When it was last started and stopped, as far as CloudTrail says. */
  readonly startedAt?: Time;
  readonly stoppedAt?: Time;
}

/** A place, and the folder of its account: '…AWSLogs/[o-…/]<account>/'. */
export interface Folder extends Place {
  readonly root: string;
}

export const rootOf = ({ prefix }: Pick<TrailInUse, 'prefix'>): string => `${prefix ? `${prefix}/` : ''}AWSLogs/`;

type Kind = 'CloudTrail' | 'CloudTrail-Digest';

/** 2026-01-15T08:05:00Z → '20260115T0805' */
const compact = (time: Time, length: 13 | 15): string => iso(time).replaceAll(/[-:]/g, '').slice(0, length);
const DELIVERED = /_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?Z(?:_[^/]*)?\.json\.gz$/;

/** When a file or digest was delivered, as its name says; undefined: it has no such name. */
export const deliveredAt = (key: string): Time | undefined => {
  const [, y, mo, d, h, mi, s = '00'] = DELIVERED.exec(key) ?? [];
  const time = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  return Number.isNaN(time) ? undefined : time;
};

export interface Listing {
  readonly prefix: string;
  readonly after?: string;
}

/** What to list for everything that was delivered from a time until now, day by day. */
const listings = ({ account, region, root }: Folder, kind: Kind, middle: string, from: Time, now: Time): Listing[] => {
  const first = Math.floor(from / days(1));
  const count = Math.max(1, Math.floor(now / days(1)) - first + 1);
  return Array.from({ length: count }, (_, n): Listing => {
    const day = iso((first + n) * days(1))
      .slice(0, 10)
      .replaceAll('-', '/');
    const prefix = `${root}${kind}/${region}/${day}/`;
    const name = `${account}_${kind}_${region}_${middle}`;
    return n === 0
      ? { prefix, after: `${prefix}${name}${compact(from, kind === 'CloudTrail' ? 13 : 15)}` }
      : { prefix };
  });
};

export const fileListings = (folder: Folder, from: Time, now: Time): Listing[] =>
  listings(folder, 'CloudTrail', '', from, now);

/** Of this trail: others may write into the same bucket. */
export const digestListings = (folder: Folder, trail: TrailInUse, from: Time, now: Time): Listing[] =>
  listings(folder, 'CloudTrail-Digest', `${trail.name}_${trail.home}_`, from, now);
export const isDigestOf = (key: string, { account, region }: Place, { name, home }: TrailInUse): boolean =>
  key.slice(key.lastIndexOf('/') + 1).startsWith(`${account}_CloudTrail-Digest_${region}_${name}_${home}_`);

/** The last part of a key: what is remembered of it. */
export const nameOfKey = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
