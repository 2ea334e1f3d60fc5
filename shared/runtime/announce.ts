/**
 * Tells people. Two ways in: the table's stream says which incidents changed; a schedule tells what is due, makes the digest, refreshes storms, finds what the stream
 * lost, and makes a channel that fails an incident of its own. Both believe only what the table says now.
 */
import { signalMessage } from '../../events/steward/signal.ts';
import type { Queue } from '../aws/queue.ts';
import { healthName, whatOf } from '../core/channels.ts';
import { Conflict } from '../core/errors.ts';
import { type ChannelBook, newNotice, noticeId, withoutStorm } from '../core/outbox.ts';
import type { Parameters } from '../core/ports.ts';
import { partitionOf, type Target, targetOf } from '../core/target.ts';
import { minutes, type Time } from '../core/time.ts';
import { latestRun } from '../core/windows.ts';
import { createOutbox, type Outbox, type OutboxDeps } from './outbox.ts';

export interface AnnounceDeps extends OutboxDeps {
  readonly account: string;
  readonly queue: Queue;
  /** Of the channels' health. */
  readonly parameters: () => Promise<Pick<Parameters, 'put'>>;
}
export interface Changed {
  readonly target: string;
  readonly id: string;
}
export interface Announced {
  readonly sent: number;
  readonly failures: readonly string[];
  /** Age of the oldest thing that a channel was not told, in ms. */
  readonly behind: Time;
}

/** A channel that fails for so long is an incident. */
const FAILING_LIMIT = minutes(10);
/** How often open incidents are compared with what was told. */
const COMPARE_EVERY = minutes(15);

const outboxes = (deps: AnnounceDeps, until: Time): Outbox[] =>
  Object.entries(deps.policy.channels).map(([name, config]) => createOutbox(name, config, deps, until));

const summed = (all: readonly Outbox[], behind: Time = 0): Announced => ({
  sent: all.reduce((n, { told }) => n + told.sent, 0),
  failures: all.flatMap(({ told }) => told.failures),
  behind,
});

/** Incidents changed. @param until when to stop: what is left is the schedule's */
export const announce = async (changed: readonly Changed[], deps: AnnounceDeps, until: Time): Promise<Announced> => {
  const all = outboxes(deps, until);
  const refs = [...new Map(changed.map((c) => [c.id, c])).values()];
  const found = await deps.store.read(...refs.map((c) => ({ kind: 'incident' as const, ...c })));
  await Promise.all(
    all.map(async (outbox) => {
      const ids = new Set<string>();
      for (const incident of found) {
        const id = incident && (await outbox.note(incident));
        if (id !== undefined) ids.add(id);
      }
      await outbox.deliver(ids);
    }),
  );
  return summed(all);
};

const caughtUp = async (outbox: Outbox): Promise<string[]> => {
  const ids: string[] = [];
  for (const incident of await outbox.missed()) ids.push(...[await outbox.note(incident)].flatMap((id) => id ?? []));
  return ids;
};

const digest = async ({ name, config, changeBook, bookNow }: Outbox, deps: AnnounceDeps): Promise<void> => {
  if (whatOf(config) === 'pages') return;
  const book = await bookNow();
  // The first digest is of what comes after this.
  if (book.version === 0) return changeBook((b) => (b.version === 0 ? b : undefined));
  const at = latestRun(deps.policy.digest, deps.now());
  if (at === undefined || at <= book.digested) return;
  const notice = newNotice(name, { is: 'digest', from: book.digested, until: at }, deps.now());
  try {
    await deps.store.write({ put: notice }, { put: { ...book, digested: at } });
  } catch (e) {
    // Another run made it, or the book moved: the next minute sees.
    if (!(e instanceof Conflict)) throw e;
  }
};

const healthTarget = (name: string, { home, account }: AnnounceDeps): Target =>
  targetOf(`arn:${partitionOf(home.region)}:ssm:${home.region}:${account}:parameter${healthName(home.stage, name)}`);

/** Tells the health of the channel to where the remediation `channel-silent` looks. Written only when it turns. */
const report = async ({ name, bookNow, changeBook }: Outbox, deps: AnnounceDeps): Promise<void> => {
  const { failing } = await bookNow();
  if (!failing) return;
  const [target, now] = [healthTarget(name, deps), deps.now()];
  const tell = async (value: object, kind: 'channel.failing' | 'target.changed', cause: string) => {
    await (await deps.parameters()).put(healthName(deps.home.stage, name), JSON.stringify(value));
    const signal = { kind, target, at: now, cause, eventId: `${name}@${failing.since}.${kind}` };
    await deps.queue.send([{ body: signalMessage(signal) }]);
  };
  if (failing.failures > 0 && failing.reported === undefined && now - failing.since >= FAILING_LIMIT) {
    await tell(
      { failing: failing.since, because: failing.because },
      'channel.failing',
      `nothing reaches the channel ${name}: ${failing.because}`,
    );
    await changeBook((b) => (b.failing ? { ...b, failing: { ...b.failing, reported: now } } : undefined));
  }
  if (failing.failures === 0 && failing.reported !== undefined) {
    await tell({ fine: now }, 'target.changed', `the channel ${name} takes messages again`);
    await changeBook(({ failing: f, ...b }) => (f?.failures === 0 ? b : undefined));
  }
};

/** Storms' messages, each minute; those whose last word was told are forgotten. */
const storms = async ({ refOf, bookNow, changeBook }: Outbox, deps: AnnounceDeps): Promise<string[]> => {
  const known = Object.entries((await bookNow()).storms).map(
    ([remediation, { since, until }]) =>
      ({ remediation, until, id: noticeId({ is: 'storm', remediation, since }) }) as const,
  );
  const notices = await deps.store.read(...known.map(({ id }) => refOf(id)));
  const ids: string[] = [];
  for (const [k, { remediation, until, id }] of known.entries()) {
    // Settled for good, and nothing more comes in.
    const over = notices[k]?.told !== undefined && notices[k]?.dueAt === undefined && deps.now() > until;
    if (over) await changeBook((b: ChannelBook) => (b.storms[remediation] ? withoutStorm(b, remediation) : undefined));
    else ids.push(id);
  }
  return ids;
};

/** Each minute. */
export const announceDue = async (deps: AnnounceDeps, until: Time): Promise<Announced> => {
  const all = outboxes(deps, until);
  const now = deps.now();
  const oldest = await Promise.all(
    all.map(async (outbox) => {
      await digest(outbox, deps);
      const compare = now % COMPARE_EVERY < minutes(1);
      const ids = [...(compare ? await caughtUp(outbox) : []), ...(await storms(outbox, deps))];
      await outbox.deliver(ids);
      await report(outbox, deps);
      const [first] = await deps.store.untold(outbox.name, deps.now(), 1);
      return first?.dueAt ?? now;
    }),
  );
  return summed(all, Math.max(0, now - Math.min(now, ...oldest)));
};
