/** The rules' patterns as MiniStack understands them: what our own matcher says of every sample, it must say too. (moto has no TestEventPattern.) */
import { EventBridgeClient, TestEventPatternCommand } from '@aws-sdk/client-eventbridge';
import { matchesPattern } from '../events/pattern.ts';
import { patterns, sample, sampleNames } from '../events/samples.ts';
import { startEmulator } from './emulators.ts';
import { credentials, REGION } from './table.ts';
import { transportTo } from './transport.ts';

const ministack = await startEmulator('ministack');
const check = 'url' in ministack ? test : test.skip;
afterAll(async () => {
  if ('stop' in ministack) await ministack.stop();
});

check(
  'both matchers say the same of every sample and every rule',
  async () => {
    const requestHandler = transportTo('url' in ministack ? ministack.url : '');
    const client = new EventBridgeClient({ region: REGION, credentials, requestHandler });
    const events = sampleNames.map((name) => [name, sample(name)]).filter(([, event]) => event['detail-type']);
    const pairs = events.flatMap(([name, event]) => Object.keys(patterns).map((rule) => ({ name, event, rule })));
    expect(pairs.length).toBeGreaterThan(100);
    let matched = 0;
    for (const { name, event, rule } of pairs) {
      const [EventPattern, Event] = [JSON.stringify(patterns[rule]), JSON.stringify(event)];
      const { Result } = await client.send(new TestEventPatternCommand({ EventPattern, Event }));
      expect([name, rule, matchesPattern(patterns[rule], event)]).toEqual([name, rule, Result]);
      if (Result) matched++;
    }
    expect(matched).toBeGreaterThan(15);
  },
  20_000,
);
