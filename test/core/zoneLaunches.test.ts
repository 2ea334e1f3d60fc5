/** Starts of all workloads of an account as one sign of a zone. */
import { minutes } from '../../shared/core/time.ts';
import { type AnyStart, launchSignOfAll } from '../../shared/core/zoneSigns.ts';
import { NOW } from './zoneStack.ts';

const start = (workload: string, zone: string, failed = false, min = 1): AnyStart => ({
  workload,
  zone,
  at: NOW - minutes(min),
  ...(failed ? { failed: 'no capacity' } : {}),
});

test.each<[string, 'bad' | 'good', readonly AnyStart[]]>([
  ['two workloads fail there', 'bad', [start('a', 'z1', true), start('b', 'z1', true)]],
  ['one alone fails there', 'good', [start('a', 'z1', true, 2), start('a', 'z1', true)]],
  [
    'one fails there and starts elsewhere',
    'bad',
    [start('a', 'z2'), start('a', 'z1', true, 2), start('a', 'z1', true)],
  ],
  [
    'they fail everywhere',
    'good',
    [start('a', 'z1', true), start('b', 'z1', true), start('a', 'z2', true), start('b', 'z2', true)],
  ],
  ['one has started there since', 'good', [start('a', 'z1', true, 3), start('b', 'z1', true, 2), start('c', 'z1')]],
  ['it was long ago', 'good', [start('a', 'z1', true, 20), start('b', 'z1', true, 16)]],
])('%s: %s', (_, sign, starts) => expect(launchSignOfAll('z1', starts, NOW)).toBe(sign));
