/** The picture of the zones, as text. */
import { paintOf } from '../../cli/paint.ts';
import { showZones } from '../../cli/zones.ts';
import { planZones } from '../../shared/core/zones.ts';
import { type Cell, replicasOf, stackOf } from '../core/zoneStack.ts';

test('before and after, with states, hosts that come first and the reason', () => {
  const cells: Cell[] = [{ count: 4, stay: 1 }, { count: 2 }, { count: 0, free: 0 }];
  const stack = stackOf(cells, { desired: 6 });
  const [web] = stack.workloads;
  if (!web) throw new Error('no workload');
  const api = { ...web, id: 'api', replicas: replicasOf([{ count: 2 }, { count: 2 }, { count: 2 }], 'api') };
  const plans = planZones({
    ...stack,
    workloads: [web, api],
    pools: stack.pools.map((pool) => ({ ...pool, more: 2 })),
  });
  expect(showZones(plans, paintOf(false), { 'euc1-az2': 'SUSPECT' }).join('\n')).toMatchSnapshot();
});

test('many are drawn smaller, none is drawn as none, and nothing is a picture of nothing', () => {
  const plans = planZones(stackOf([{ count: 900 }, { count: 1 }, { count: 0 }], { desired: 901 }));
  const text = showZones(plans, paintOf(false));
  expect(text.join('\n')).toMatchSnapshot();
  expect(showZones([], paintOf(true))).toEqual([]);
});
