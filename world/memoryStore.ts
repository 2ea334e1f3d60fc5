/** The state table in memory: the same conditions as DynamoDB's (version checks, all or nothing), for simulation and story tests. */
import { Conflict } from '../shared/core/errors.ts';
import type { Incident } from '../shared/core/incident.ts';
import {
  type Change,
  type Ill,
  NO_ZONE,
  nameOf,
  type Parked,
  type Pointer,
  type Ref,
  refOf,
  type Store,
  type StoreRecord,
} from '../shared/core/store.ts';
import { iso } from '../shared/core/time.ts';

export interface MemoryStore extends Store {
  /** Every record as it stands, by name: what the invariants are checked against. */
  readonly records: ReadonlyMap<string, StoreRecord>;
  readonly parkedEvents: ReadonlyMap<string, Parked>;
}

/** Records are kept and handed out as they are, and nobody can change them: a copy for each read costs more than all the rest. */
const frozen = <T>(value: T): T => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
};

export const memoryStore = (): MemoryStore => {
  const records = new Map<string, StoreRecord>();
  const parkedEvents = new Map<string, Parked>();
  const incidents = (): Incident[] => [...records.values()].filter((r) => r.kind === 'incident');
  const open = (): Incident[] => incidents().filter((i) => i.state !== 'closed');
  const newest = (a: Incident, b: Incident): number => (a.id < b.id ? 1 : -1);
  const closedAt = (i: Incident): number => i.closedAt ?? i.dueAt;
  const versionOf = (name: string): number => records.get(name)?.version ?? 0;

  const write = async (...changes: readonly Change[]): Promise<void> => {
    const moved = changes.flatMap((c) => {
      const [name, version] = 'put' in c ? [nameOf(refOf(c.put)), c.put.version] : [nameOf(c.check), c.version];
      return versionOf(name) === version ? [] : [name];
    });
    if (moved.length > 0) throw new Conflict(moved);
    for (const c of changes)
      if ('put' in c) records.set(nameOf(refOf(c.put)), frozen({ ...c.put, version: c.put.version + 1 }));
  };

  return {
    records,
    parkedEvents,
    // The cast matches each reference with the record stored under its name.
    read: async (...refs) => refs.map((ref: Ref) => records.get(nameOf(ref))) as never,
    write,
    due: async (now, limit): Promise<Pointer[]> =>
      open()
        .filter((i) => i.dueAt <= now)
        .sort((a, b) => a.dueAt - b.dueAt)
        .slice(0, limit)
        .map(({ target, id, remediation, dueAt }) => ({ target, id, remediation, dueAt })),
    open: async (limit) => open().sort(newest).slice(0, limit),
    closed: async (day, limit) =>
      incidents()
        .filter((i) => i.state === 'closed' && iso(closedAt(i)).startsWith(day))
        .sort((a, b) => closedAt(b) - closedAt(a))
        .slice(0, limit),
    ofTarget: async (target, limit) =>
      incidents()
        .filter((i) => i.target === target)
        .sort(newest)
        .slice(0, limit),
    find: async (id) => incidents().find((i) => i.id === id),
    ill: async (zone, since, limit, until = Number.MAX_SAFE_INTEGER) => {
      const found = new Map<string, Ill>();
      for (const i of incidents()
        .filter((x) => x.group !== undefined && (x.zone ?? NO_ZONE) === zone)
        .filter((x) => x.openedAt >= since && x.openedAt <= until)
        .sort((a, b) => a.openedAt - b.openedAt)) {
        const { target, group = '', state } = i;
        if (!found.has(target) && found.size === limit) break;
        found.set(target, { target, group, open: state !== 'closed' || found.get(target)?.open === true });
      }
      return [...found.values()];
    },
    untold: async (channel, now, limit) =>
      [...records.values()]
        .flatMap((r) =>
          r.kind === 'notice' && r.channel === channel && r.dueAt !== undefined && r.dueAt <= now
            ? [{ id: r.id, dueAt: r.dueAt }]
            : [],
        )
        .sort((a, b) => a.dueAt - b.dueAt)
        .slice(0, limit),
    park: async (parked) => void parkedEvents.set(parked.id, parked),
    parked: async (limit) => [...parkedEvents.values()].sort((a, b) => a.at - b.at).slice(0, limit),
    unpark: async (id) => void parkedEvents.delete(id),
  };
};
