/** `steward scale`: what it would come to is looked at first; then the wish is written down, and the passes carry it out. */
import { lookMessage } from '../../events/steward/signal.ts';
import { again, InvalidInput, NotFound } from '../core/errors.ts';
import type { Wish } from '../core/incident.ts';
import { type Answer, pass } from '../core/pass.ts';
import type { Signal } from '../core/signal.ts';
import { noChart } from '../core/store.ts';
import { groupTarget, matchesArn, type Target, targetOf } from '../core/target.ts';
import { iso } from '../core/time.ts';
import { openedByWish, withWish } from '../core/wish.ts';
import { overload } from '../remediations/overload.ts';
import type { AnswerDeps, Command } from './answer.ts';
import { Declined, lookNow, type Outcome, queued } from './replies.ts';
import { namedTarget } from './why.ts';

/** 'asg/web', 'service/shop/web', 'shop/web', or an ARN. */
const scalableTarget = async (what: string, deps: AnswerDeps): Promise<Target> => {
  const [, group] = /^asg\/(.+)$/.exec(what) ?? [];
  if (group === undefined) {
    const isShort = !/^(arn:|service\/)/.test(what) && what.includes('/');
    const target = namedTarget(isShort ? `service/${what}` : what, deps);
    if (matchesArn(overload.targets, target.arn)) return target;
    throw new InvalidInput(`${what} cannot be scaled: give asg/<name>, service/<cluster>/<name> or the ARN of one`);
  }
  const where = { account: deps.home, region: deps.region };
  const ports = await deps.reach(overload, groupTarget(where, group), { phase: 'look', touched: [] });
  const found = await ports.groups.describe(group);
  if (!found) throw new NotFound(`there is no Auto Scaling group ${group}`);
  return targetOf(found.arn);
};

/** What it waits for is gone sooner than one would ask again: the lease of another step, a cool-down. */
const SHORT = ['lease', 'attempts'];

/** Said at once, and nothing is written down, where it would not be done now: a wish that comes true hours later is none. */
const declinedFor = ({ verdict, refused }: Answer): { no: string; remedy: string } | undefined => {
  if (verdict.do === 'nothing') return { no: verdict.because, remedy: 'mend what it says, and ask again' };
  if (verdict.do === 'escalate') return { no: verdict.because, remedy: verdict.remedy };
  if (!refused || SHORT.includes(refused.guard)) return undefined;
  return { no: `${refused.guard}: ${refused.because}`, remedy: refused.remedy };
};

export const scale = async (
  { what, to, why, forMs }: Extract<Command, { do: 'scale' }>,
  by: string,
  deps: AnswerDeps,
): Promise<Outcome> => {
  const at = deps.now();
  const target = await scalableTarget(what, deps);
  const wish: Wish = { by, at, to, why, ...(forMs === undefined ? {} : { until: at + forMs }) };
  const cause = `steward scale ${what} --to ${to}, by ${by}: ${why}`.slice(0, 400);
  const signal: Signal = { kind: 'capacity.wanted', target, at, cause, eventId: `scale@${at}`, askedBy: by };
  const foreseen = await pass({ target, remediation: overload, signal, wish, explain: true }, deps);
  if (foreseen.verdict.do === 'nothing' && foreseen.end === 'gone') throw new NotFound(foreseen.verdict.because);
  const no = declinedFor(foreseen);
  if (no) throw new Declined({ no: `cannot scale ${what}: ${no.no}`, remedy: no.remedy });
  if (foreseen.verdict.do === 'close')
    return {
      say: `nothing to do: ${foreseen.verdict.because}`,
      next: 'it is never lowered by this: steward undo <incident> takes back what steward scale has raised',
    };
  const id = await written(wish, signal, deps);
  const next = id.isNew
    ? await queued([{ body: lookMessage({ target: target.arn, remediation: overload.name, incident: id.id }) }], deps)
    : await lookNow([target.arn], `steward scale ${id.id}`, deps);
  const until = wish.until === undefined ? 'for good' : `until ${iso(wish.until)}, then it goes down in steps`;
  const will = foreseen.verdict.do === 'act' ? foreseen.verdict.plan : foreseen.verdict.because;
  return {
    incident: id.id,
    say: `${what} gets at least ${to} ${until}: ${will}`,
    next: `${next}; see it: steward why ${id.id}; to take it back at once: steward undo ${id.id}`,
  };
};

const written = (wish: Wish, signal: Signal, deps: AnswerDeps): Promise<{ id: string; isNew: boolean }> => {
  const newId = deps.newId();
  const target = signal.target.arn;
  return again(async () => {
    const [chart = noChart(target)] = await deps.store.read({ kind: 'chart', target });
    const open = chart.open[overload.name];
    const [incident] = open === undefined ? [] : await deps.store.read({ kind: 'incident', target, id: open });
    if (incident && incident.state !== 'closed') {
      await deps.store.write({ put: withWish(incident, wish) });
      return { id: incident.id, isNew: false };
    }
    await deps.store.write(
      { put: openedByWish(newId, overload.name, signal, wish) },
      { put: { ...chart, open: { ...chart.open, [overload.name]: newId } } },
    );
    return { id: newId, isNew: true };
  });
};
