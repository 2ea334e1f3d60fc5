/** Zones before and after as a picture: what stays ●, what goes ○, what comes +. */
import { iso } from '../shared/core/time.ts';
import type { Zone } from '../shared/core/zoneBounds.ts';
import type { Plan } from '../shared/core/zones.ts';
import type { Zones } from '../shared/runtime/zones.ts';
import type { Paint } from './paint.ts';

/** Columns of signs for one zone. More replicas than that: a sign stands for several. */
const COLUMNS = 40;

const signs = (count: number, scale: number): number => (count === 0 ? 0 : Math.max(1, Math.round(count / scale)));

type Row = Plan['zones'][number];
const bar = ({ before, after }: Row, scale: number, p: Paint): string =>
  '●'.repeat(signs(Math.min(before, after), scale)) +
  p.red('○'.repeat(signs(before - Math.min(before, after), scale))) +
  p.green('+'.repeat(signs(after - Math.min(before, after), scale)));
const width = ({ before, after }: Row, scale: number): number =>
  signs(Math.min(before, after), scale) + signs(Math.abs(after - before), scale);

const HEADS: Readonly<Record<Plan['do'], (text: string, p: Paint) => string>> = {
  nothing: (text, p) => p.green(text),
  wait: (text, p) => p.yellow(text),
  hosts: (text, p) => p.yellow(text),
  move: (text, p) => p.yellow(text),
  stop: (text, p) => p.red(text),
};

const headOf = ({ workload, desired, survivors: { before, after } }: Plan): string =>
  `${workload}  ${desired} wanted · losing any zone leaves ${before}${after === before ? '' : ` → ${after}`}`;

/**
 * @param states of the zones, by id: what is not OK is said
 */
export const showZones = (
  plans: readonly Plan[],
  p: Paint,
  states: Readonly<Record<string, string>> = {},
): string[] => {
  const rows = plans.flatMap((plan) => plan.zones);
  const scale = Math.max(1, Math.ceil(Math.max(0, ...rows.map((r) => Math.max(r.before, r.after))) / COLUMNS));
  const name = Math.max(0, ...rows.map((r) => r.zone.length));
  const bars = Math.max(0, ...rows.map((r) => width(r, scale)));
  const digits = Math.max(1, ...rows.map((r) => String(Math.max(r.before, r.after)).length));
  const line = (row: Row, hosts: Plan['hosts']): string => {
    const { zone, before, after, stay } = row;
    const number = (n: number) => String(n).padStart(digits);
    const asked = hosts.filter((h) => h.zone === zone).map((h) => `${h.count} of ${h.pool} first`);
    const state = states[zone] && states[zone] !== 'OK' ? [states[zone]] : [];
    const notes = [...state, ...(stay > 0 ? [`${stay} must stay`] : []), ...asked].join(', ');
    const numbers = after === before ? number(before) : `${number(before)} → ${number(after)}`;
    return `  ${zone.padEnd(name)}  ${bar(row, scale, p)}${' '.repeat(bars - width(row, scale))}  ${numbers.padEnd(2 * digits + 3)}  ${p.dim(notes)}`.trimEnd();
  };
  const legend = `● stays  ${p.red('○')} goes  ${p.green('+')} comes${scale > 1 ? `  (each stands for ${scale})` : ''}`;
  return [
    ...plans.flatMap((plan) => [
      HEADS[plan.do](headOf(plan), p),
      ...plan.zones.map((row) => line(row, plan.hosts)),
      `  ${plan.because}`,
      '',
    ]),
    ...(plans.length > 0 ? [legend] : []),
  ];
};

const stateLine = ({ id, state, since, because, evacuated }: Zone, p: Paint): string => {
  const is = state === 'OK' ? p.green(state) : state === 'IMPAIRED' ? p.red(state) : p.yellow(state);
  const led = evacuated === undefined ? '' : `, evacuated since ${iso(evacuated)}`;
  return `${id}  ${is}${since === undefined ? '' : ` since ${iso(since)}`}${led}${because === undefined ? '' : `: ${because}`}`;
};

/** What the function answers. */
export const showPicture = ({ plans, states, more }: Zones, p: Paint): string[] => [
  ...(plans.length === 0
    ? ['Nothing that the policy covers runs in zones.']
    : showZones(plans, p, Object.fromEntries(states.map((x) => [x.id, x.state])))),
  ...(states.length > 0 ? ['', ...states.map((x) => stateLine(x, p))] : []),
  ...(more ? [p.yellow('There are more than are shown: name one.')] : []),
];
