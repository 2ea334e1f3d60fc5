/** What an activity can be found by. Written and asked for alike: lower case, so that nobody needs to know how a name was written. */
import { fingerprint } from './hashing.ts';
import type { Activity } from './record.ts';

export interface Wanted {
  /** ARN, user, role, access key, session, or the service that called. */
  readonly actor?: string;
  /** 'ec2:RunInstances' or 'RunInstances'; 'ec2:' is all of a service. */
  readonly action?: string;
  /** ARN, id or name. */
  readonly resource?: string;
  readonly ip?: string;
  /** A code, or '*' for any. */
  readonly error?: string;
}

type Kind = keyof Wanted;

const after = (text: string, mark: string): string => text.slice(text.lastIndexOf(mark) + 1);

/** An ARN is found by its last part as well: who looks for `i-1` means `arn:…:instance/i-1`. */
const named = (name: string): string[] => {
  const short = name.startsWith('arn:') ? after(after(name, ':'), '/') : name;
  return short === name || short === '' ? [name] : [name, short];
};

const values: Readonly<Record<Kind, (a: Activity) => readonly string[]>> = {
  actor: (a) => a.who.flatMap(named),
  action: (a) => [a.what, `${a.what.slice(0, a.what.indexOf(':'))}:`, after(a.what, ':')],
  resource: (a) => a.resources.flatMap(named),
  ip: (a) => (a.ip === undefined ? [] : [a.ip]),
  error: (a) => (a.error === undefined ? [] : [a.error, '*']),
};
const KINDS = Object.keys(values) as Kind[];
const termOf = (kind: Kind, value: string): number => fingerprint(`${kind} ${value.toLowerCase()}`);

/** In the place of terms that have no room: such a link is looked at in every search. */
export const ANY = 0;

export const termsOf = (a: Activity): number[] => [
  ...KINDS.flatMap((kind) => values[kind](a).map((v) => termOf(kind, v))),
  ...(a.cut || a.unreadable !== undefined ? [ANY] : []),
];

const asked = (wanted: Wanted): [Kind, string][] =>
  KINDS.flatMap((kind) => (wanted[kind] === undefined ? [] : [[kind, wanted[kind]]]));

/** All of these must be in a link that may hold what is wanted. */
export const termsWanted = (wanted: Wanted): number[] => asked(wanted).map(([kind, value]) => termOf(kind, value));

/** The event itself decides: fingerprints only say where to look. One whose names were cut is taken by its text. */
export const matches = (a: Activity, wanted: Wanted, raw: Uint8Array): boolean =>
  asked(wanted).every(([kind, value]) => {
    const small = value.toLowerCase();
    if (values[kind](a).some((v) => v.toLowerCase() === small)) return true;
    const looksInText = a.unreadable !== undefined || (kind === 'resource' && a.cut);
    return looksInText && Buffer.from(raw).toString('utf8').toLowerCase().includes(small);
  });

/** Account and id, as a link lists them: the trail's file and EventBridge, two regions, a retry, all give the same. */
export const nameOf = (a: Pick<Activity, 'account' | 'id'>): string => `${a.account}/${a.id}`;
