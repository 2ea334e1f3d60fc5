/**
 * What is written down, and the one port to it. Records are replaced whole, each under the condition that its version has not moved; several
 * in one call are all or nothing. That is all the gate needs: whatever it decided on, it checks in the same transaction.
 */
import type { Incident } from './incident.ts';
import type { ChannelBook, Notice } from './outbox.ts';
import type { Releases } from './releases.ts';
import type { Time } from './time.ts';
import type { Shift } from './zoneShifts.ts';

/** A stop: everything, or one remediation, group or target. */
export interface Pause {
  readonly scope: 'all' | `remediation/${string}` | `group/${string}` | `target/${string}`;
  readonly by: string;
  readonly why: string;
  readonly at: Time;
  readonly until?: Time;
}
export interface Switches {
  readonly kind: 'switches';
  readonly version: number;
  readonly pauses: readonly Pause[];
}

export interface Lease {
  readonly incident: string;
  readonly remediation: string;
  readonly until: Time;
}
/** What was done to a target lately, whichever incident it was for: attempts guard, cool-down, same plan twice. */
export interface Done {
  readonly remediation: string;
  readonly incident: string;
  readonly rung: string;
  readonly at: Time;
  /** The step as JSON text. */
  readonly step: string;
  /** A step that continued a rung counts with the attempt that began it. */
  readonly counted: boolean;
}
export interface Chart {
  readonly kind: 'chart';
  readonly target: string;
  readonly version: number;
  /** Open incident of each remediation. */
  readonly open: Readonly<Record<string, string>>;
  readonly lease?: Lease;
  readonly recent: readonly Done[];
}
export const noChart = (target: string): Chart => ({ kind: 'chart', target, version: 0, open: {}, recent: [] });

export interface GroupRecord {
  readonly kind: 'group';
  readonly id: string;
  readonly version: number;
  /** Members under repair: target → until when the entry holds. */
  readonly repairs: Readonly<Record<string, Lease>>;
  readonly breaker?: Breaker;
  /** Instances that run there, as the survey counted them: known of zones only. */
  readonly size?: number;
  /** What ARC told of it, oldest first: known of zones only. */
  readonly shifts?: readonly Shift[];
  /** The policy that the surveys went by last (a print of it), and since when. */
  readonly policy?: { readonly print: string; readonly since: Time };
}
/** A storm in a group or a zone. */
export interface Breaker {
  readonly since: Time;
  readonly lastSeenAt: Time;
  readonly because: string;
  /** Members in trouble when it was last counted: how rarely each of them is looked at. */
  readonly ill?: number;
}

/** What a remediation's steps have added to the monthly bill in one calendar month (UTC). */
export interface Ledger {
  readonly kind: 'ledger';
  readonly remediation: string;
  readonly month: string; // '2026-11'
  readonly version: number;
  readonly usdPerMonth: number;
}

export type StoreRecord = Switches | Chart | Incident | GroupRecord | Ledger | Notice | ChannelBook | Releases;
export type Ref =
  | { readonly kind: 'switches' }
  | { readonly kind: 'chart'; readonly target: string }
  | { readonly kind: 'incident'; readonly target: string; readonly id: string }
  | { readonly kind: 'releases'; readonly target: string }
  | { readonly kind: 'group'; readonly id: string }
  | { readonly kind: 'ledger'; readonly remediation: string; readonly month: string }
  | { readonly kind: 'notice'; readonly channel: string; readonly id: string }
  | { readonly kind: 'channel'; readonly name: string };
export type RecordOf<R extends Ref> = Extract<StoreRecord, { kind: R['kind'] }>;

/** `record.version` is the version it was read with (0: it must not exist yet); it is stored with version + 1. */
export type Change = { readonly put: StoreRecord } | { readonly check: Ref; readonly version: number };

/** An open incident, as the indexes know it. */
export interface Pointer {
  readonly target: string;
  readonly id: string;
  readonly remediation: string;
  readonly dueAt: Time;
}

/** A target that was found in trouble. */
export interface Ill {
  readonly target: string;
  readonly group: string;
  /** It is still in trouble. */
  readonly open: boolean;
}
/** The zone of what is in none that is known. */
export const NO_ZONE = 'unknown';

/** An event that nobody could read, kept whole. */
export interface Parked {
  readonly id: string;
  readonly at: Time;
  readonly because: string;
  /** Exactly what came, as text. */
  readonly body: string;
}

export interface Store {
  /** Strongly consistent. Undefined where there is none. */
  read<const R extends readonly Ref[]>(...refs: R): Promise<{ [K in keyof R]: RecordOf<R[K]> | undefined }>;
  /** All or nothing. @throws Conflict, naming what has moved */
  write(...changes: readonly Change[]): Promise<void>;
  /** Open incidents whose dueAt has come, oldest first in each shard. */
  due(now: Time, limit: number): Promise<readonly Pointer[]>;
  open(limit: number): Promise<readonly Incident[]>;
  /** Closed incidents of one UTC day ('2026-11-24'), latest first. */
  closed(day: string, limit: number): Promise<readonly Incident[]>;
  ofTarget(target: string, limit: number): Promise<readonly Incident[]>;
  find(id: string): Promise<Incident | undefined>;
  /** Targets in a zone that fell ill since then (and until then), each once; stops at `limit` targets. */
  ill(zone: string, since: Time, limit: number, until?: Time): Promise<readonly Ill[]>;

  /** Notices of a channel whose dueAt has come, oldest first. */
  untold(channel: string, now: Time, limit: number): Promise<readonly { readonly id: string; readonly dueAt: Time }[]>;

  park(parked: Parked): Promise<void>;
  parked(limit: number): Promise<readonly Parked[]>;
  unpark(id: string): Promise<void>;
}

export const refOf = (r: StoreRecord): Ref => {
  switch (r.kind) {
    case 'switches':
      return { kind: 'switches' };
    case 'chart':
      return { kind: 'chart', target: r.target };
    case 'incident':
      return { kind: 'incident', target: r.target, id: r.id };
    case 'releases':
      return { kind: 'releases', target: r.target };
    case 'group':
      return { kind: 'group', id: r.id };
    case 'ledger':
      return { kind: 'ledger', remediation: r.remediation, month: r.month };
    case 'notice':
      return { kind: 'notice', channel: r.channel, id: r.id };
    case 'channel':
      return { kind: 'channel', name: r.name };
  }
};

/** For messages and for the in-memory store. */
export const nameOf = (ref: Ref): string => {
  switch (ref.kind) {
    case 'switches':
      return 'the switches';
    case 'chart':
      return `target ${ref.target}`;
    case 'incident':
      return `incident ${ref.id} of ${ref.target}`;
    case 'releases':
      return `releases of ${ref.target}`;
    case 'group':
      return `group ${ref.id}`;
    case 'ledger':
      return `ledger ${ref.remediation} ${ref.month}`;
    case 'notice':
      return `notice ${ref.id} of ${ref.channel}`;
    case 'channel':
      return `channel ${ref.name}`;
  }
};
