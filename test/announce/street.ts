/** Incidents in a table, the people at the far ends of four channels, and everything that can go wrong between them. */
import type { ChannelConfig } from '../../shared/core/channels.ts';
import { Forbidden, Throttled, Unavailable } from '../../shared/core/errors.ts';
import type { Incident } from '../../shared/core/incident.ts';
import { defaultPolicy } from '../../shared/core/policy.ts';
import type { Store } from '../../shared/core/store.ts';
import { minutes, type Time } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { type AnnounceDeps, announce, announceDue } from '../../shared/runtime/announce.ts';
import { createInbox, type Inbox } from '../../world/inbox.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { anIncident, arnOf, idAt } from '../contract/records.ts';

export const START: Time = Date.parse('2026-11-23T03:00:00Z');
export const CHANNELS: Readonly<Record<string, ChannelConfig>> = {
  ops: { type: 'slack', channel: 'C0123456789', secret: '/s' },
  pager: { type: 'pagerduty', secret: '/s', region: 'us' },
  hook: { type: 'webhook', url: 'https://example.com/', secret: '/s' },
  mail: { type: 'sns', topic: 'arn:aws:sns:eu-central-1:111122223333:people' },
};

/** The invocation ends here. */
export class Crash extends Error {}
export type Trouble = 'none' | 'before' | 'after' | 'refused' | 'crash-before' | 'crash-after';

export interface StreetOptions {
  readonly channels?: Readonly<Record<string, ChannelConfig>>;
  /** Asked before each call to the table, and before each send: what happens to it. */
  readonly fate?: (what: 'table' | 'send', channel: string) => Trouble;
  /** How many turns of the event loop a call takes. */
  readonly turns?: () => number;
}

export const createStreet = ({ channels = CHANNELS, fate = () => 'none', turns = () => 0 }: StreetOptions = {}) => {
  let now = START;
  const table = memoryStore();
  const { digest } = defaultPolicy(remediations);
  const inboxes: Record<string, Inbox> = Object.fromEntries(
    Object.entries(channels).map(([name, c]) => [name, createInbox(c.type, () => now)]),
  );
  const told = { signals: [] as string[], parameters: [] as string[] };

  const takeTurns = async (): Promise<void> => {
    for (let n = turns(); n > 0; n--) await Promise.resolve();
  };
  const life = () => {
    let dead = false;
    const alive = (): void => {
      if (dead) throw new Crash('dead');
    };
    const die = (): never => {
      dead = true;
      throw new Crash('it crashed');
    };
    const refuse = (what: Trouble, name: string): void => {
      if (what === 'crash-before') die();
      if (what === 'before') throw new Throttled(`${name} is not reached`);
      if (what === 'refused') throw new Forbidden(`${name} says no`);
    };
    const call = async <T>(work: () => Promise<T>): Promise<T> => {
      alive();
      await takeTurns();
      alive();
      const what = fate('table', '');
      if (what === 'crash-before') die();
      const result = await work();
      if (what === 'crash-after') die();
      return result;
    };
    const store = new Proxy(table, {
      get: (t, key) => {
        const method = t[key as keyof Store] as (...args: unknown[]) => Promise<unknown>;
        return (...args: unknown[]) => call(() => method(...args));
      },
    }) as Store;
    const deps: AnnounceDeps = {
      now: () => now,
      sleep: async () => {},
      store,
      policy: { channels, digest },
      home: { stage: 'prod', region: 'eu-central-1' },
      account: '111122223333',
      queue: { send: async (messages) => void told.signals.push(...messages.map((m) => m.body)) },
      parameters: async () => ({ put: async (name, value) => void told.parameters.push(`${name}=${value}`) }),
      open: async (name) => ({
        send: async (letter) => {
          alive();
          await takeTurns();
          alive();
          const what = fate('send', name);
          refuse(what, name);
          const reply = await inboxes[name]!.channel.send(letter);
          if (what === 'crash-after') die();
          if (what === 'after') throw new Unavailable(`${name} did not answer`);
          return reply;
        },
      }),
    };
    return deps;
  };
  const lived = async (work: (deps: AnnounceDeps) => Promise<unknown>): Promise<void> => {
    try {
      await work(life());
    } catch (e) {
      if (!(e instanceof Crash)) throw e;
    }
  };

  /** What a pass writes. */
  const write = async (id: string, over: Partial<Incident>): Promise<{ target: string; id: string }> => {
    const known = [...table.records.values()].find((r) => r.kind === 'incident' && r.id === id) as Incident | undefined;
    const { approval: _, ...before } = known ?? anIncident({ id, target: arnOf(id) });
    const version = known?.version ?? 0;
    const log = [...before.log, { at: now, what: over.state ?? 'open', say: `version ${version + 1}` }];
    const put = { ...before, log, because: 'so', ...over, seen: `version ${version + 1}.`, version };
    await table.write({ put });
    return { target: put.target, id };
  };
  const incidents = (): Incident[] => [...table.records.values()].filter((r) => r.kind === 'incident');

  return {
    table,
    inboxes,
    told,
    write,
    incidents,
    now: () => now,
    pass: (ms: Time) => {
      now += ms;
    },
    stream: (changed: readonly { target: string; id: string }[]) =>
      lived((d) => announce(changed, d, now + minutes(1))),
    minute: () => lived((d) => announceDue(d, now + minutes(1))),
  };
};
export type Street = ReturnType<typeof createStreet>;

export const idOf = (n: number): string => idAt(START, n);
export const asks = (now: Time, plan = 'grow vol-1 under /srv from 20 to 30 GiB'): Partial<Incident> => ({
  state: 'asking',
  remedy: 'steward approve',
  seen: '/srv is 93 % full (xfs, 20 GiB, vol-1)',
  ask: {
    step: { do: 'grow' },
    rung: 'grow /srv',
    plan,
    because: '/srv is 93 % full',
    since: now,
    until: now + minutes(24 * 60),
  },
});
