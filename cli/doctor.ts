/** `steward doctor`: the checks, then a harmless incident through the whole path, watched to its end. */
import type { Incident } from '../shared/core/incident.ts';
import { span } from '../shared/core/time.ts';
import type { Done } from '../shared/runtime/answer.ts';
import type { Check, Checks } from '../shared/runtime/doctor.ts';
import type { Why } from '../shared/runtime/why.ts';
import { type Cell, type Paint, table, tidy } from './paint.ts';

export interface Asking {
  readonly result: <T>(ask: 'check' | { why: string } | { drill: true }) => Promise<T>;
  readonly sleep: (ms: number) => Promise<void>;
}
export interface Diagnosis extends Checks {
  readonly fine: boolean;
  /** The drill's incident, where one was begun. */
  readonly incident?: string;
}

/** Looks of the drill, and how often. A fresh stack starts two functions cold and waits 5 s between act and look. */
const TIMES = 60;
const PAUSE = 2_000;

const wrong = (say: string, remedy: string): Check => ({ what: 'drill', is: 'wrong', say, remedy });

const verdict = (incident: Incident, at: number): Check | undefined => {
  const { id, state, end, because, remedy = `steward why ${id}` } = incident;
  if (state === 'closed')
    return end === 'healthy' && incident.attempts.length > 0
      ? {
          what: 'drill',
          is: 'fine',
          say: `incident ${id} was opened, mended in ${incident.attempts.length} step and closed healthy, ${span((incident.closedAt ?? at) - at)} after its signal`,
        }
      : wrong(`incident ${id} ended without a repair (${end}): ${because}`, `steward why ${id}`);
  const stuck = state === 'asking' || state === 'escalated' || (state === 'refused' && /^(switch|mode):/.test(because));
  return stuck ? wrong(`incident ${id} does not go on: ${because}`, remedy) : undefined;
};

const watch = async (
  { result, sleep }: Asking,
  { target = '', at }: Done,
  stage: string,
): Promise<[Check, string?]> => {
  let last: Incident | undefined;
  for (let n = 0; n < TIMES; n++) {
    await sleep(PAUSE);
    const { incidents } = await result<Why>({ why: target });
    last = incidents.map((e) => e.incident).find((i) => i.state !== 'closed' || i.openedAt >= at);
    const end = last && verdict(last, at);
    if (last && end) return [end, last.id];
  }
  const waited = span(TIMES * PAUSE);
  return last
    ? [wrong(`incident ${last.id} is not over after ${waited}: ${last.because}`, `steward why ${last.id}`), last.id]
    : [
        wrong(
          `nothing answered the drill's signal within ${waited}: the queue does not reach heal, or heal fails`,
          `see the log group /aws/lambda/steward-${stage}-heal`,
        ),
      ];
};

export const diagnose = async (asking: Asking, withDrill: boolean): Promise<Diagnosis> => {
  const found = await asking.result<Checks>('check');
  const finish = (checks: readonly Check[], incident?: string): Diagnosis => ({
    ...found,
    fine: checks.every((c) => c.is !== 'wrong'),
    checks,
    ...(incident === undefined ? {} : { incident }),
  });
  if (!withDrill) return finish(found.checks);
  const begun = await asking.result<Done>({ drill: true });
  const [check, incident] = await watch(asking, begun, found.stage);
  return finish([...found.checks, check], incident);
};

const MARKS = { fine: '✓', note: '·', wrong: '✗' } as const;

export const showDiagnosis = ({ stage, account, region, at, checks, fine }: Diagnosis, p: Paint): string[] => {
  const paint = { fine: p.green, note: p.yellow, wrong: p.red };
  const count = checks.filter((c) => c.is === 'wrong').length;
  return [
    `${p.bold(`Steward ${stage}`)} · account ${account} · ${region}`,
    ...table(
      checks.flatMap((c): Cell[][] => [
        [[MARKS[c.is], paint[c.is]], c.what, tidy(c.say, at)],
        ...(c.remedy === undefined ? [] : [['', '', [`→ ${c.remedy}`, p.cyan] as const]]),
      ]),
      p,
    ),
    '',
    fine ? p.green('All is well.') : p.red(`${count} thing${count === 1 ? ' is' : 's are'} wrong.`),
  ];
};
