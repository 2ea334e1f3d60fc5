/** What is known of zones from what is written down: what AWS told of them, whether an incident of theirs is open, and whether they are evacuated. */
import type { Incident } from './incident.ts';
import type { AttemptsOf, Kind, Told, ToldOf } from './remediation.ts';
import type { Store } from './store.ts';
import { zoneGroup } from './storm.ts';
import { type Target, zoneTarget } from './target.ts';
import type { Time } from './time.ts';

/** Who answers for zones, and the rungs that are decisions: what follows them is each workload's own. */
export const OF_ZONES = 'zone-impaired';
export const RUNGS: Readonly<Record<Kind, string>> = { services: 'evacuate', groups: 'replace' };

/** Since when it is decided, if it is and nobody has taken it back: of all, then. */
export const evacuatedSince = ({
  attempts,
  undoWanted,
}: Pick<Incident, 'attempts' | 'undoWanted'>): Readonly<Partial<Record<Kind, Time>>> => {
  if (undoWanted || attempts.some((a) => a.undoes !== undefined)) return {};
  const at = (kind: Kind) =>
    attempts.findLast((a) => a.rung === RUNGS[kind] && a.outcome?.kind === 'done')?.outcome?.at;
  const [services, groups] = [at('services'), at('groups')];
  return { ...(services === undefined ? {} : { services }), ...(groups === undefined ? {} : { groups }) };
};

/** What ARC told of zones, by id, in the same records; and what their own open incidents say. */
export const toldIn =
  (store: Store, where: Pick<Target, 'account' | 'region'>): ToldOf =>
  async (zones) => {
    const targets = zones.map((zone) => zoneTarget(where, zone).arn);
    const [records, charts] = await Promise.all([
      store.read(...zones.map((zone) => ({ kind: 'group' as const, id: zoneGroup(zone) }))),
      store.read(...targets.map((target) => ({ kind: 'chart' as const, target }))),
    ]);
    const open = charts.flatMap((c) => {
      const id = c?.open[OF_ZONES];
      return c && id !== undefined ? [{ kind: 'incident' as const, target: c.target, id }] : [];
    });
    const incidents = open.length === 0 ? [] : await store.read(...open);
    const told = (n: number): Told => {
      const incident = incidents.find((i) => i?.target === targets[n] && i?.state !== 'closed');
      return {
        shifts: records[n]?.shifts ?? [],
        ...(incident ? { incident: incident.id, evacuated: evacuatedSince(incident) } : {}),
      };
    };
    return Object.fromEntries(zones.map((zone, n) => [zone, told(n)]));
  };

/** Whether a person was told of the zone itself by now, in its own incident. Where that cannot be read, nobody was. */
export const isZoneTold = async (
  store: Store,
  where: Pick<Target, 'account' | 'region'>,
  zone: string,
): Promise<boolean> => {
  const target = zoneTarget(where, zone).arn;
  const [chart] = await store.read({ kind: 'chart', target });
  const id = chart?.open[OF_ZONES];
  if (id === undefined) return false;
  const [incident] = await store.read({ kind: 'incident', target, id });
  return incident !== undefined && ['asking', 'escalated', 'snoozed'].includes(incident.state);
};

/** Of hundreds of workloads in the same zones, each asks. */
export const onceFor = (ask: ToldOf): ToldOf => {
  const asked = new Map<string, ReturnType<ToldOf>>();
  return (zones) => {
    const found = asked.get(zones.join()) ?? ask(zones);
    asked.set(zones.join(), found);
    return found;
  };
};

/** Of the incident that is open, if one is. */
export const attemptsIn =
  (store: Store): AttemptsOf =>
  async (target, remediation) => {
    const [chart] = await store.read({ kind: 'chart', target });
    const id = chart?.open[remediation];
    if (id === undefined) return [];
    const [incident] = await store.read({ kind: 'incident', target, id });
    return incident === undefined || incident.state === 'closed' ? [] : incident.attempts;
  };
