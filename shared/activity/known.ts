/**
 * What a writer knows of a shard: enough to say of any event whether the log has it, without an item per event.
 *
 * Events of one account are always in one shard, and a link can only be added by whoever knows all links before it. So a writer that has seen the ids of all
 * links which may hold an event of that time, up to the head, and then wins the next place, has written something new. Ids are 3-byte hints; a hit is
 * compared with the event itself.
 */

import { type Archive, type Events, eventsIfSound } from './archive.ts';
import { fingerprint } from './hashing.ts';
import { type Link, mayHold, placeOf } from './link.ts';
import { type LogTable, type Objects, shardName } from './log.ts';
import { bodyOf, linkAt, linksIn, linksOf, nodesOf } from './read.ts';
import { type Activity, readActivity, sameContent } from './record.ts';
import { unpack } from './segment.ts';
import { nameOf } from './terms.ts';
import type { Node } from './tile.ts';

export interface Entry {
  readonly raw: Uint8Array;
  readonly activity: Activity;
}

/** Bodies lately compared with: a file repeats what EventBridge brought, in about the same order. */
const BODIES = 64;
/** A writer that knows so many links begins anew: 100 MB. */
const MOST_LINKS = 20_000;

export type Found =
  | { readonly is: 'new' }
  | { readonly is: 'known' }
  | { readonly is: 'conflict'; readonly with: string };

interface Sources {
  readonly table: LogTable;
  readonly objects: Objects;
  readonly archive?: Archive;
}

export class Known {
  readonly shard: string;
  head: Link | undefined;
  private readonly table: LogTable;
  private readonly objects: Objects;
  private readonly archive: Archive | undefined;
  private readonly byId = new Map<number, Link[]>();
  private readonly bodies = new Map<string, Events>();
  private readonly loaded = new Set<Node>();
  private nodes: readonly Node[] = [];
  private links = 0;
  private cold = true;

  constructor(shard: string, from: Sources) {
    this.shard = shard;
    this.table = from.table;
    this.objects = from.objects;
    this.archive = from.archive;
  }

  /** Up to the head, and with all older links that may hold an event of one of these times. */
  async refresh(times: readonly number[]): Promise<void> {
    if (this.links > MOST_LINKS) this.forget();
    if (this.cold) await this.start();
    for await (const link of linksOf(this.table, this.shard, { from: (this.head?.header.seq ?? -1) + 1 }))
      this.add(link);
    for (const node of this.nodes)
      if (!this.loaded.has(node) && times.some((t) => mayHold(node, t))) await this.load(node);
  }

  private async start(): Promise<void> {
    this.nodes = await nodesOf(this.table);
    const next = this.nodes.at(-1)?.heads[this.shard] ?? 0;
    this.head = next > 0 ? await linkAt(this.table, this.shard, next - 1) : undefined;
    this.cold = false;
  }

  private async load(node: Node): Promise<void> {
    const own = node.runs.filter(([shard]) => shard === this.shard);
    for await (const link of linksIn(this.table, own)) this.note(link);
    this.loaded.add(node);
  }

  private forget(): void {
    this.byId.clear();
    this.loaded.clear();
    this.head = undefined;
    this.links = 0;
    this.cold = true;
  }

  /** The next link. */
  add(link: Link): void {
    this.note(link);
    this.head = link;
  }

  private note(link: Link): void {
    this.links++;
    for (const id of link.ids) {
      const list = this.byId.get(id);
      if (list) list.push(link);
      else this.byId.set(id, [link]);
    }
  }

  private async eventsOf(link: Link): Promise<Events> {
    const { body } = link.header;
    const known = this.bodies.get(body);
    if (known) return known;
    const bytes = await bodyOf({ table: this.table, objects: this.objects }, link);
    // What is nowhere any more cannot be compared: the event is kept again rather than lost.
    const events = bytes
      ? unpack(bytes).segment.events
      : ((this.archive && (await eventsIfSound(this.archive, link))) ?? []);
    if (this.bodies.size >= BODIES) this.bodies.delete(this.bodies.keys().next().value ?? '');
    this.bodies.set(body, events);
    return events;
  }

  async find({ raw, activity }: Entry): Promise<Found> {
    const name = nameOf(activity);
    const id = fingerprint(name);
    let conflict: string | undefined;
    for (const link of this.byId.get(id) ?? []) {
      if (!mayHold(link.header, activity.time)) continue;
      const events = await this.eventsOf(link);
      for (const [n, event] of events.entries()) {
        if (!event || link.ids[n] !== id || nameOf(readActivity(event)) !== name) continue;
        if (sameContent(raw, event)) return { is: 'known' };
        conflict ??= `${placeOf(link.header)}/${n}`;
      }
    }
    return conflict === undefined ? { is: 'new' } : { is: 'conflict', with: conflict };
  }
}

/** One view for each shard, by its number. */
export const viewsOf = (from: Sources): ((shard: number) => Known) => {
  const views = new Map<number, Known>();
  return (shard) => {
    const view = views.get(shard) ?? new Known(shardName(shard), from);
    views.set(shard, view);
    return view;
  };
};
