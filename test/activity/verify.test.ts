/** Nothing in a log can be changed unnoticed. The whole matrix, each byte of each item, is in bench/activity.ts. */
import { verify } from '../../shared/activity/verify.ts';
import { createRandom } from '../../world/random.ts';
import { KEYS, NOW, signerWith } from './setting.ts';
import { outcomeOf, type Tamper, tampersOf, type Victim, victim } from './tampers.ts';

const missed = async (of: Victim, tampers: readonly Tamper[]) => {
  const outcomes = [];
  for (const tamper of tampers) outcomes.push(await outcomeOf(of, tamper));
  return outcomes.filter((o) => !o.found);
};

describe('a log of eleven links', () => {
  const shape = { links: 11, every: 4 };
  test('as it is, is whole', async () => {
    const { memory, kept } = await victim(shape.links, shape.every);
    const report = await verify({ ...memory, keys: KEYS, kept });
    expect(report).toMatchObject({ findings: [], links: 11, events: 21, unsigned: 0, expired: 0 });
    expect(report.signedAt).toBeGreaterThanOrEqual(NOW);
  });
  test('every tamper is found, by its place', async () => {
    const of = await victim(shape.links, shape.every);
    const tampers = tampersOf(of, { ...shape, step: 97 });
    expect(tampers.length).toBeGreaterThan(200);
    expect(await missed(of, tampers)).toEqual([]);
  }, 60_000);
  test('another key has signed nothing here', async () => {
    const { memory } = await victim(shape.links, shape.every);
    const { findings } = await verify({ ...memory, keys: [signerWith().publicKey] });
    expect(findings.map((f) => f.place)).toEqual(
      expect.arrayContaining(['checkpoint 0', 'checkpoint 1', 'checkpoint 2']),
    );
  });
});

test('a log with tiles: a sample of all tampers, all of those to tiles', async () => {
  const shape = { links: 530, every: 90 };
  const of = await victim(shape.links, shape.every);
  const { memory, kept } = of;
  expect((await verify({ ...memory, keys: KEYS, kept })).findings).toEqual([]);
  const isTile = (p: string) => ['tile', 'index', 'node', 'checkpoint', 'shards'].includes(p);
  const all = tampersOf(of, { ...shape, step: 4_999, of: isTile });
  const random = createRandom(1);
  const some = all.filter((t) => random.chance(t.places[0]?.match(/tile|index|node|checkpoint/) ? 0.03 : 0.001));
  expect(await missed(of, some)).toEqual([]);
}, 120_000);
