/** Answers by link: from the question to the healthy end, and every way in that is shut. */
import fc from 'fast-check';
import type { Incident } from '../../shared/core/incident.ts';
import { hours, minutes } from '../../shared/core/time.ts';
import { linksFor, mayAnswer } from '../../shared/runtime/links/mint.ts';
import { askedNow, opened, sealed, type Ticket } from '../../shared/runtime/links/ticket.ts';
import { memoryStore } from '../../world/memoryStore.ts';
import { asked, createDoor, drilled, LINKS, SNOOZE_BY_LINK, tokenOf } from './door.ts';

describe('a link', () => {
  test('asked → link → opened → confirmed → healed; and it is written down who held it', async () => {
    const s = await asked();
    const { Approve } = await s.link('carol', s.id, 'bob');
    const [page, shown] = await s.open(Approve ?? '');
    expect(page.statusCode).toBe(200);
    expect(page.body).toMatch(/Approve\?.*What Steward wants to do.*clean \/: .*Impact.*interrupts nothing.*Because/s);
    expect(page.body).toMatch(/Made for bob, by arn:aws:iam::\d+:user\/carol; good once/);
    expect(shown).toMatchObject({ what: 'shown', by: 'link:bob', incident: s.id });
    const [done, told] = await s.post(tokenOf(Approve));
    expect([done.statusCode, told.what]).toEqual([200, 'answered']);
    expect(done.body).toMatch(/approved: clean .*looks again within a minute/);
    await s.account.run(minutes(1));
    await s.until('closed');
    expect(s.incident()).toMatchObject({ end: 'healthy', attempts: [{ rung: 'clean /' }] });
    const said = s.incident()?.log.flatMap((l) => (l.what === 'answer' ? [l.say] : []));
    expect(said).toEqual([
      expect.stringMatching(/user\/carol made links for bob: approve, deny, snooze/),
      expect.stringMatching(
        /^a link for bob, made by .*user\/carol, was used to approve; whoever had it could use it$/,
      ),
      expect.stringMatching(/^link:bob approved at .*: clean /),
    ]);
  });

  test('opened a hundred times, by scanners and previews, it changes nothing', async () => {
    const s = await asked();
    const { Approve = '' } = await s.link('carol', s.id, 'bob');
    const before = structuredClone(s.incident());
    for (let n = 0; n < 50; n++) {
      await s.open(Approve);
      await s.open(Approve, 'HEAD');
    }
    expect(s.incident()).toEqual(before);
  });

  test('denies, with the reason that was typed', async () => {
    const s = await asked();
    const { Deny } = await s.link('carol', s.id, 'bob');
    await s.post(tokenOf(Deny), 'we look <ourselves>');
    expect(s.incident()).toMatchObject({
      state: 'refused',
      because: expect.stringMatching(/^link:bob said no.*<ourselves>/),
    });
  });

  test('snoozes for two hours, once', async () => {
    const s = await asked();
    const links = await s.link('carol', s.id, 'bob');
    const snooze = tokenOf(links['Snooze for 2 h']);
    await s.post(snooze);
    expect(s.incident()).toMatchObject({
      state: 'snoozed',
      snooze: { by: 'link:bob', until: s.now() + SNOOZE_BY_LINK },
    });
    await s.account.run(hours(1));
    expect((await s.post(snooze))[0].body).toMatch(/good once/);
    await s.account.run(hours(1) + minutes(5), () => s.incident()?.state === 'asking');
    expect(s.incident()?.state).toBe('asking');
    // It is asked anew: what was made for the question before answers it no more.
    expect((await s.post(tokenOf(links['Approve'])))[0].body).toMatch(/the world has changed/);
  });

  test('puts back what is over, through a new incident, once', async () => {
    const s = createDoor();
    const { json } = await s.steward('alice')('doctor', '--json');
    const links = await s.link('carol', json.incident, 'bob');
    expect(Object.keys(links)).toEqual(['Put it back']);
    const undo = tokenOf(links['Put it back']);
    expect((await s.open(links['Put it back'] ?? ''))[0].body).toMatch(/What would be put back.*write .*mended/s);
    const [one, two] = await Promise.all([s.post(undo), s.post(undo)]);
    expect([one[1].what, two[1].what].sort()).toEqual(['answered', 'refused']);
    await s.account.run(minutes(5));
    expect(s.account.world.ssm.parameters.get('/steward/test/drill')?.value).toBe('broken');
    expect(s.account.incidents().at(-1)).toMatchObject({ end: 'undone', undoWanted: { by: 'link:bob' } });
    expect((await s.post(undo))[0].body).toMatch(/good once/);
  });
});

describe('what is too late, twice or no longer so', () => {
  test('twice: the second is told, and nothing more is done', async () => {
    const s = await asked();
    const token = tokenOf((await s.link('carol', s.id, 'bob'))['Approve']);
    await s.post(token);
    const [page, told] = await s.post(token);
    expect([page.statusCode, told.what]).toEqual([409, 'refused']);
    expect(page.body).toMatch(/a link is good once/);
    await s.until('closed');
    expect(s.incident()?.attempts).toHaveLength(1);
    expect((await s.post(token))[0].body).toMatch(/good once/);
  });
  test('late: its time is over', async () => {
    const s = await asked();
    const { Approve } = await s.link('carol', s.id, 'bob');
    await s.account.run(hours(4) + minutes(1));
    for (const answer of [await s.open(Approve ?? ''), await s.post(tokenOf(Approve))])
      expect(answer[0].body).toMatch(/this link ended at/);
    expect(s.incident()).toMatchObject({ state: 'asking', attempts: [] });
  });
  test('another step by now: refused, and neither step runs', async () => {
    const s = await asked({}, 0);
    const before = s.incident()?.ask?.step;
    const { Approve } = await s.link('carol', s.id, 'bob');
    const since = s.incident()?.ask?.since;
    s.fill(90, 3);
    await s.account.run(minutes(40), () => (s.incident()?.ask?.since ?? since) !== since);
    expect(s.incident()?.ask?.step).not.toEqual(before);
    expect((await s.open(Approve ?? ''))[0].body).toMatch(/the world has changed/);
    expect((await s.post(tokenOf(Approve)))[1].what).toBe('refused');
    await s.account.run(minutes(20));
    expect(s.incident()).toMatchObject({ state: 'asking', attempts: [] });
  });
  test('approved for one step, and the world changes before it is begun: the other step is asked about', async () => {
    const s = await asked({}, 0);
    const { Approve } = await s.link('carol', s.id, 'bob');
    const before = s.incident()?.ask?.step;
    s.fill(90, 3);
    expect((await s.post(tokenOf(Approve)))[1].what).toBe('answered');
    await s.account.run(minutes(10));
    expect(s.incident()).toMatchObject({ state: 'asking', attempts: [] });
    expect(s.incident()?.ask?.step).not.toEqual(before);
    expect(s.incident()?.approval).toBeUndefined();
  });
  test('over', async () => {
    const s = await asked();
    const { Approve } = await s.link('carol', s.id, 'bob');
    s.fill(20, 0);
    await s.until('closed');
    expect((await s.post(tokenOf(Approve)))[0].body).toMatch(/it is over \(healthy/);
  });
  test('somebody else was faster: whoever comes second is told who', async () => {
    const s = await asked();
    const { Approve, Deny } = await s.link('carol', s.id, 'bob');
    await s.steward('alice')('approve', s.id);
    expect((await s.post(tokenOf(Approve)))[0].body).toMatch(/user\/alice approved it at/);
    expect((await s.post(tokenOf(Deny)))[0].body).toMatch(/user\/alice approved it at/);
  });
});

describe('the one who asks', () => {
  test('gets no link that approves, nor may he make one; another does', async () => {
    const s = await drilled();
    expect(Object.keys(await s.link('carol', s.id, 'alice'))).toEqual(['Deny', 'Snooze for 2 h']);
    const own = await s.steward('alice')('link', s.id, '--for', 'bob');
    expect(own.code).toBe(3);
    expect(own.err).toMatch(/user\/alice may be who asked for it .* whoever makes a link has it in hand/);
    const { Approve } = await s.link('carol', s.id, 'bob');
    expect((await s.post(tokenOf(Approve)))[1].what).toBe('answered');
    await s.account.run(minutes(5));
    expect(s.incident()).toMatchObject({ end: 'healthy' });
  });
  test('of whom nobody knows whether he is it: no', async () => {
    const s = await drilled();
    expect(Object.keys(await s.link('carol', s.id, 'on-call'))).not.toContain('Approve');
  });
  /** As if such a link had been made all the same. */
  test.each([
    ['to him', { to: 'alice' }],
    ['to a list', { to: 'on-call' }],
    ['made by him', { to: 'bob', by: 'arn:aws:iam::123456789012:user/alice' }],
  ])('a good link %s does not approve', async (_name, who) => {
    const s = await drilled();
    const incident = s.incident();
    const by = 'by' in who ? { by: incident?.ask?.askedBy ?? '' } : {};
    const question = askedNow('approve', incident as never, s.now()) as { until: number };
    const ticket: Ticket = {
      ...(question as object as Ticket),
      v: 1,
      stage: 'test',
      incident: s.id,
      target: incident?.target ?? '',
      answer: 'approve',
      via: 'link',
      ...who,
      ...by,
    };
    const [page, told] = await s.post(await sealed(ticket, s.maker));
    expect(told.what).toBe('refused');
    expect(page.body).toMatch(/the one who asks cannot approve/);
    expect(s.incident()?.approval).toBeUndefined();
  });
});

describe('the policy', () => {
  test('a recipient approves up to a risk, and gives only the answers that it names', async () => {
    const s = await asked();
    const incident = s.incident() as never;
    const bob = s.door.policy.links?.recipients.find((r) => r.name === 'bob');
    const risky = { ...(incident as object), remediation: 'instance-impaired' } as never;
    const may = (upTo: string, answers: readonly string[], about: never) =>
      !('no' in mayAnswer({ ...bob, upTo, may: answers } as never, 'approve', about));
    expect(may('harmless', ['approve'], incident)).toBe(true);
    expect(may('harmless', ['approve'], risky)).toBe(false);
    expect(may('interrupts', ['approve'], risky)).toBe(true);
    expect(may('destroys', ['deny'], incident)).toBe(false);
    // Of a remediation that this version does not know, nobody can say what it does.
    expect(may('interrupts', ['approve'], { ...(incident as object), remediation: 'other' } as never)).toBe(false);
  });
  test('who is named no longer, answers no longer', async () => {
    const s = await asked();
    const { Approve } = await s.link('carol', s.id, 'bob');
    const recipients = LINKS.recipients.filter((r) => r.name !== 'bob');
    Object.assign(s.door, { policy: { links: { ...s.door.policy.links, recipients } } });
    expect((await s.post(tokenOf(Approve)))[1].what).toBe('invalid');
  });
  test('without links nobody makes one, and it says what it would take', async () => {
    const s = await asked({ links: undefined });
    const no = await s.steward('carol')('link', s.id, '--for', 'bob');
    expect(no.code).toBe(2);
    expect(no.err).toMatch(/there is no public endpoint. `links` in steward.yml/);
  });
  test('nobody who is not named, nothing that is not asked', async () => {
    const s = await asked();
    const who = await s.steward('carol')('link', s.id, '--for', 'mallory');
    expect([who.code, who.err]).toEqual([2, expect.stringMatching(/'mallory' is none of .*: alice, bob, carol/)]);
    await s.steward('alice')('approve', s.id);
    const what = await s.steward('carol')('link', s.id, '--for', 'bob');
    expect([what.code, what.err]).toEqual([3, expect.stringMatching(/nothing that bob could answer/)]);
  });
});

describe('forged', () => {
  const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=%~';
  test('any letter changed, added, left out or moved: the same page for all, and nothing is done', async () => {
    const s = await asked();
    const token = tokenOf((await s.link('carol', s.id, 'bob'))['Approve']);
    const before = structuredClone(s.incident());
    const nothing = (await s.post('nonsense'))[0].body;
    const refused = async (forged: string) => {
      if (forged === token) return;
      const [page, told] = await s.post(forged);
      expect([page.statusCode, page.body, told.what]).toEqual([404, nothing, 'invalid']);
    };
    // Every place, among them the last letter of each part, some of whose bits mean nothing to base64.
    for (let at = 0; at < token.length; at++)
      for (const letter of [token[at] === 'A' ? 'B' : 'A', String.fromCharCode(token.charCodeAt(at) ^ 1 || 65)])
        await refused(token.slice(0, at) + letter + token.slice(at + 1));
    for (const letter of ALPHABET) await refused(token.slice(0, -1) + letter);
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length), fc.nat(5), fc.string({ maxLength: 6 }), (at, cut, put) =>
        refused(token.slice(0, at) + put + token.slice(at + cut)),
      ),
      { numRuns: 500 },
    );
    expect(s.incident()).toEqual(before);
    expect((await s.post(token))[1].what).toBe('answered');
  });
  test('any other ticket under the seal of one that is good', async () => {
    const s = await asked();
    const token = tokenOf((await s.link('carol', s.id, 'bob'))['Deny']);
    const [words = '', seal = ''] = token.split('.');
    const good = JSON.parse(Buffer.from(words, 'base64url').toString('utf8')) as Ticket;
    await fc.assert(
      fc.asyncProperty(
        fc.record(
          {
            answer: fc.constantFrom('approve', 'undo'),
            to: fc.string(),
            until: fc.nat(),
            step: fc.string(),
            by: fc.string(),
          },
          { requiredKeys: ['answer'] },
        ),
        async (other) => {
          const forged = Buffer.from(JSON.stringify({ ...good, ...other })).toString('base64url');
          expect(await opened(`${forged}.${seal}`, 'test', s.judge)).toBeUndefined();
        },
      ),
    );
  });
  test('by one who may only judge links: KMS makes none for him', async () => {
    const s = await asked();
    await expect(linksFor(s.incident() as never, 'bob', { ...s.mint, mac: s.judge })).rejects.toThrow(
      /kms:GenerateMac/,
    );
    Object.assign(s.door, { mac: s.maker });
    const [page, told] = await s.post(tokenOf((await s.link('carol', s.id, 'bob'))['Approve']));
    expect([page.statusCode, told.what]).toEqual([503, 'failed']);
    expect(s.incident()?.approval).toBeUndefined();
  });
  test('of another stage, though by the same key', async () => {
    const s = await asked();
    const token = tokenOf((await s.link('carol', s.id, 'bob'))['Approve']);
    expect(await opened(token, 'prod', s.judge)).toBeUndefined();
    expect(await opened(token, 'test', s.judge)).toMatchObject({ answer: 'approve', to: 'bob' });
  });
});

test('however many come at once, of whatever links: an answer is taken once, and one step is approved', async () => {
  const s = await asked();
  const all = await Promise.all(['alice', 'bob', 'on-call'].map((to) => linksFor(s.incident() as never, to, s.mint)));
  const tokens = all.flat().map(({ url }) => tokenOf(url));
  const start = s.incident() as Incident;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(...tokens), { minLength: 2, maxLength: 12 }),
      fc.scheduler(),
      async (posts, scheduler) => {
        const fresh = memoryStore();
        await fresh.write({ put: { ...start, version: 0 } });
        // Between reading and writing, anybody may come.
        const read = scheduler.scheduleFunction(fresh.read as never);
        const write = scheduler.scheduleFunction(fresh.write as never);
        Object.assign(s.door, { store: { ...fresh, read, write } });
        const answers = Promise.all(posts.map(async (token) => [token, (await s.post(token))[1].what] as const));
        await scheduler.waitFor(answers);
        const taken = (await answers).flatMap(([token, what]) => (what === 'answered' ? [token] : []));
        expect(new Set(taken).size).toBe(taken.length);
        expect(taken.length).toBeGreaterThan(0);
        const [end] = [...fresh.records.values()] as Incident[];
        expect(Object.keys(end?.usedLinks ?? {})).toHaveLength(taken.length);
        Object.assign(s.door, { store: fresh });
        for (const token of taken) expect((await s.post(token))[1].what).toBe('refused');
      },
    ),
    { numRuns: 60 },
  );
});

describe('the page', () => {
  test('loads nothing, runs nothing, is kept nowhere and tells nobody; what a host says is text', async () => {
    const s = await asked();
    const { Approve } = await s.link('carol', s.id, 'bob');
    const incident = s.incident() as NonNullable<ReturnType<typeof s.incident>>;
    const evil = "\"><script>alert(1)</script><img src=x onerror='y'>&";
    await s.account.store.write({ put: { ...incident, seen: evil, ask: { ...incident.ask, because: evil } } as never });
    const pages = [await s.open(Approve ?? ''), await s.open('https://door.example/?t=x'), await s.post('x')];
    for (const [{ headers, body }] of pages) {
      expect(body).not.toMatch(/<script|<img|onerror='|http:|https:|javascript:/);
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
      );
      expect(headers).toMatchObject({
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
      });
    }
    expect(pages[0]?.[0].body).toContain('&lt;script&gt;');
  });
  test.each([
    ['GET', '/other'],
    ['PUT', '/'],
    ['POST', '/'],
    ['GET', '/slack'],
    ['POST', '/../'],
  ])('%s %s is no page', async (method, path) => {
    const s = createDoor();
    const [page, told] = await s.ask(method, path, '', 't=x', { 'content-type': 'application/json' });
    expect([page.statusCode, told.what]).toEqual([404, 'invalid']);
  });
});
