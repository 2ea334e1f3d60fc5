/** One channel's outbox at work: begins notices, says what each of them says now, and tells it. */
import { createHash } from 'node:crypto';
import {
  type ChannelConfig,
  concerns,
  needSince,
  needsPerson,
  opensMessage,
  TRAITS,
  whatOf,
} from '../core/channels.ts';
import { again, Conflict, Forbidden, messageOf, StewardError, Throttled, Unavailable } from '../core/errors.ts';
import type { Incident } from '../core/incident.ts';
import type { Channel, Links } from '../core/letter.ts';
import {
  digestNotice,
  type Home,
  incidentNotice,
  newLines,
  type Rendered,
  stormNotice,
  testNotice,
  threadOf,
} from '../core/notice.ts';
import {
  type About,
  arrived,
  bookAfterFailure,
  bookAfterSuccess,
  type ChannelBook,
  type Content,
  failed,
  type Next,
  type Notice,
  newBook,
  newNotice,
  next,
  type Part,
  placeOf,
} from '../core/outbox.ts';
import type { Policy } from '../core/policy.ts';
import type { Store } from '../core/store.ts';
import { days, iso, type Time } from '../core/time.ts';

export interface OutboxDeps {
  readonly now: () => Time;
  readonly sleep: (ms: number) => Promise<void>;
  readonly store: Store;
  readonly policy: Pick<Policy, 'channels' | 'digest'>;
  readonly home: Home;
  readonly open: (name: string, config: ChannelConfig) => Promise<Channel>;
  readonly links?: Links;
}

/** What became of it, for the log and the metrics. */
export interface Told {
  sent: number;
  /** Sentences. */
  readonly failures: string[];
}

/** So many incidents are read for a storm or a digest's day. */
const MANY = 10_000;
const hash = (text: string): string => createHash('sha256').update(text).digest('base64url').slice(0, 22);
const same = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Its secret cannot be had: nothing was sent, and it is none of the message's fault. */
const unopened = (e: unknown): never => {
  if (!(e instanceof StewardError)) throw e;
  throw e.retry === 'later' ? new Throttled(e.message, { cause: e }) : new Forbidden(e.message, { cause: e });
};
const incidentOf = (i: Incident): About => ({ is: 'incident', target: i.target, id: i.id });
/** Since when it should be told of. */
const sinceOf = (i: Incident): Time => (needsPerson(i) ? needSince(i) : i.openedAt);

interface Found {
  readonly content: Content;
  readonly incident: Incident | undefined;
  readonly book: ChannelBook;
}

/** @param until nothing is begun after it: what is left stays due */
export const createOutbox = (name: string, config: ChannelConfig, deps: OutboxDeps, until: Time) => {
  const { store, home } = deps;
  const traits = TRAITS[config.type];
  const told: Told = { sent: 0, failures: [] };
  let channel: Promise<Channel> | undefined;
  let lastSend = Number.NEGATIVE_INFINITY;

  const bookRef = { kind: 'channel', name } as const;
  const refOf = (id: string) => ({ kind: 'notice', channel: name, id }) as const;
  const bookNow = async (): Promise<ChannelBook> => (await store.read(bookRef))[0] ?? newBook(name, deps.now());
  /** Changes the book; undefined: it is right as it is. */
  const changeBook = (change: (book: ChannelBook) => ChannelBook | undefined): Promise<void> =>
    again(async () => {
      const changed = change(await bookNow());
      if (changed) await store.write({ put: changed });
    });

  const begin = async (i: Incident, book: ChannelBook): Promise<string | undefined> => {
    const now = deps.now();
    const place = placeOf(book, i.remediation, sinceOf(i), now);
    if (place.in === 'storm' && !place.begins) {
      if (place.book !== book) await store.write({ put: place.book });
      return undefined;
    }
    const about: About =
      place.in === 'own' ? incidentOf(i) : { is: 'storm', remediation: i.remediation, since: place.since };
    const notice = newNotice(name, about, now);
    await store.write({ put: notice }, { put: place.book });
    return notice.id;
  };

  /** The notice that an incident's change is news for, begun if there is none. */
  const note = (i: Incident): Promise<string | undefined> =>
    again(async () => {
      const [known, book] = await store.read(refOf(i.id), bookRef);
      if (known) return known.id;
      return opensMessage(name, config, i) ? begin(i, book ?? newBook(name, deps.now())) : undefined;
    });

  /** Of these, those that have no message of their own. */
  const withoutOwn = async (incidents: readonly Incident[]): Promise<Incident[]> => {
    const own = await store.read(...incidents.map((i) => refOf(i.id)));
    return incidents.filter((_, k) => own[k] === undefined);
  };

  /** Open incidents that should have a message and have none: what the stream lost. */
  const missed = async (): Promise<Incident[]> => {
    const { storms } = await bookNow();
    const wanted = (await store.open(MANY)).filter(
      (i) => opensMessage(name, config, i) && sinceOf(i) > (storms[i.remediation]?.until ?? 0),
    );
    return withoutOwn(wanted);
  };

  const contentOf = (rendered: Rendered, of: number, lines: Content['lines'] = []): Content => {
    const text = traits.edits ? JSON.stringify(rendered) : rendered.gist;
    return { rendered, of, lines, print: text === undefined ? undefined : hash(text) };
  };

  const ofIncident = (n: Notice, incident: Incident | undefined): Content | undefined => {
    if (!incident) return undefined;
    // Nobody was paged for it, and nobody need be.
    const missed = !needsPerson(incident) && !n.told && n.uncertain === undefined && n.sending === undefined;
    const content = contentOf(incidentNotice(incident, home), incident.version, threadOf(incident));
    // While it is open it may need someone again, and the stream may lose that: it is looked at again.
    return missed && whatOf(config) === 'pages' ? { ...content, print: undefined } : content;
  };

  /** Open incidents of a storm that have no message of their own. */
  const members = async (remediation: string, book: ChannelBook): Promise<Incident[]> => {
    const upTo = book.storms[remediation]?.until ?? 0;
    const candidates = (await store.open(MANY)).filter(
      (i) => i.remediation === remediation && opensMessage(name, config, i) && sinceOf(i) <= upTo,
    );
    return withoutOwn(candidates);
  };

  const healed = async (from: Time, to: Time): Promise<Incident[]> => {
    const found: Incident[] = [];
    for (let t = from; iso(t).slice(0, 10) <= iso(to).slice(0, 10); t += days(1))
      found.push(...(await store.closed(iso(t).slice(0, 10), MANY)));
    const quiet = found.filter(
      (i) =>
        i.end === 'healthy' &&
        (i.closedAt ?? 0) > from &&
        (i.closedAt ?? 0) <= to &&
        i.escalatedAt === undefined &&
        concerns(name, config, i),
    );
    return withoutOwn(quiet);
  };

  const saysNow = async (
    n: Notice,
    incident: Incident | undefined,
    book: ChannelBook,
  ): Promise<Content | undefined> => {
    const { about } = n;
    switch (about.is) {
      case 'incident':
        return ofIncident(n, incident);
      case 'storm':
        return contentOf(
          stormNotice(
            { remediation: about.remediation, since: about.since, members: await members(about.remediation, book) },
            home,
          ),
          deps.now(),
        );
      case 'digest': {
        const rendered = digestNotice({ ...about, healed: await healed(about.from, about.until) }, home);
        return rendered && contentOf(rendered, 0);
      }
      case 'test':
        return contentOf(testNotice(about.by, home), 0);
    }
  };

  /** Everything that decides about one notice, as it is now. */
  const load = async (id: string) => {
    const [n, stored] = await store.read(refOf(id), bookRef);
    if (!n) return undefined;
    const { about } = n;
    const [incident] =
      about.is === 'incident'
        ? await store.read({ kind: 'incident', target: about.target, id: about.id })
        : [undefined];
    const book = stored ?? newBook(name, deps.now());
    return { n, incident, book, content: await saysNow(n, incident, book) };
  };

  /** A message without its buttons is better than none. */
  const actionsFor = async (incident: Incident) => {
    try {
      return (await deps.links?.(incident, { channel: name, type: config.type })) ?? [];
    } catch (e) {
      told.failures.push(`${name}: no links for ${incident.id}: ${messageOf(e)}`);
      return [];
    }
  };

  const handOver = async (n: Notice, content: Content, incident: Incident | undefined, part: Part) => {
    const lines = part === 'thread' ? newLines(content.lines, n.heard) : [];
    const what = part === 'thread' ? JSON.stringify(lines) : (content.print ?? '');
    await deps.sleep(Math.max(0, lastSend + traits.spacing - deps.now()));
    lastSend = deps.now();
    channel ??= deps.open(name, config);
    const sent = await (await channel.catch(unopened)).send({
      id: `${home.stage}.${n.id}`,
      token: hash(`${home.stage} ${name} ${n.id} ${n.sent} ${part} ${what}`),
      part,
      rendered: content.rendered,
      lines,
      ...(n.ref === undefined ? {} : { ref: n.ref }),
      ...(n.uncertain?.[part] === undefined ? {} : { uncertain: n.uncertain[part] }),
      actions: incident ? await actionsFor(incident) : [],
      at: deps.now(),
    });
    return { ref: sent.ref, heard: sent.heard ?? lines.at(-1)?.key };
  };

  const send = async (n: Notice, { content, incident, book }: Found, part: Part) => {
    let sent: Awaited<ReturnType<typeof handOver>>;
    try {
      sent = await handOver(n, content, incident, part);
    } catch (e) {
      channel = undefined;
      const ours = e instanceof StewardError ? e : new Unavailable(messageOf(e), { cause: e });
      told.failures.push(`${name}: ${n.id}: ${ours.message}`);
      await store.write({ put: failed(n, ours, deps.now()) });
      await changeBook((b) => bookAfterFailure(b, ours, deps.now()));
      return;
    }
    await store.write({ put: arrived(n, content, { part, ...sent, now: deps.now(), traits }) });
    told.sent++;
    if (book.failing || book.blockedUntil !== undefined) await changeBook(bookAfterSuccess);
  };

  /** One step of one notice. False: nothing is left to do about it now. */
  const step = async (id: string): Promise<boolean> => {
    const found = await load(id);
    if (!found) return false;
    const { n, incident, book, content } = found;
    const now = deps.now();
    const blocked = now >= until || (book.blockedUntil ?? 0) > now;
    const what: Next = next(n, content, { traits, blocked, now });
    if (!same(what.put, n)) await store.write({ put: what.put });
    if (what.do !== 'send' || !content) return false;
    await send({ ...what.put, version: n.version + 1 }, { content, incident, book }, what.part);
    // A storm changes with every incident: its next word is the next minute's.
    return n.about.is !== 'storm';
  };

  /** Until it says what is so: what changes meanwhile is told too. A race that is lost is someone else's send. */
  const tell = async (id: string): Promise<void> => {
    for (let round = 0; round < 6; round++) {
      try {
        if (!(await step(id))) return;
      } catch (e) {
        if (!(e instanceof Conflict)) throw e;
      }
    }
  };

  /** These, and what is due. */
  const deliver = async (ids: Iterable<string>): Promise<void> => {
    const done = new Set<string>();
    // What waits longer goes first.
    const due = (await store.untold(name, deps.now(), 200)).map((d) => d.id);
    for (const id of [...due, ...ids]) {
      if (done.has(id)) continue;
      done.add(id);
      await tell(id);
    }
  };

  return { name, config, told, note, missed, deliver, bookNow, changeBook, refOf };
};
export type Outbox = ReturnType<typeof createOutbox>;
