/** Why did it do that, or why did it not? For an incident or a target: what is known, what it would do now, and who stops it. */
import { lookMessage } from '../../events/steward/signal.ts';
import type { Query } from '../activity/search.ts';
import { pausesOf } from '../core/answers.ts';
import { InvalidInput, NotFound, StewardError } from '../core/errors.ts';
import type { Incident } from '../core/incident.ts';
import type { Answer } from '../core/pass.ts';
import type { Pause } from '../core/store.ts';
import { instanceTarget, matchesArn, serviceTarget, type Target, targetOf, volumeTarget } from '../core/target.ts';
import type { Time } from '../core/time.ts';
import { remediations } from '../remediations/index.ts';
import { type ActivityRow, activityAround } from './activityQuestions.ts';
import type { AnswerDeps } from './answer.ts';
import { answerEvent, plan } from './heal.ts';

export interface Explained {
  /** The whole record. */
  readonly incident: Incident;
  /** What would happen at a look now; for one that is open. */
  readonly now?: Answer;
  readonly pauses: readonly Pause[];
  readonly canUndo: boolean;
  /** Calls that changed something about it, by anyone, from a little before to a little after; oldest first. */
  readonly calls?: readonly ActivityRow[];
  /** Why the activity log could not be asked. */
  readonly noCalls?: string;
}
export interface Why {
  readonly about: string;
  readonly at: Time;
  /** What is open, else the latest. */
  readonly incidents: readonly Explained[];
  /** There is none: what a look would come to, by remediation. */
  readonly nothing?: readonly Answer[];
}

const ULID = /^[0-9A-HJKMNP-TV-Z]{26}$/i;
export const isIncidentId = (text: string): boolean => ULID.test(text);

/** @throws NotFound */
export const findIncident = async (id: string, deps: AnswerDeps): Promise<Incident> => {
  const found = isIncidentId(id) ? await deps.store.find(id.toUpperCase()) : undefined;
  if (!found)
    throw new NotFound(
      `there is no incident ${id} in stage ${deps.stage}; \`steward incidents --recent\` lists those there are`,
    );
  return found;
};

/** An ARN, or in Steward's own account and region the id of an instance, or service/<cluster>/<name>. @throws InvalidInput for what no remediation looks at */
export const namedTarget = (text: string, deps: AnswerDeps): Target => {
  const where = { account: deps.home, region: deps.region };
  const target = text.startsWith('arn:')
    ? targetOf(text)
    : text.startsWith('vol-')
      ? volumeTarget(where, text)
      : text.startsWith('i-')
        ? instanceTarget(where, text)
        : serviceNamed(text, where);
  if (!target)
    throw new InvalidInput(`'${text}' is no target: give an instance id (i-…), service/…, an ARN or an incident's id`);
  if (!remediations.some((r) => matchesArn(r.targets, target.arn)))
    throw new InvalidInput(
      `no remediation looks at ${target.arn}: there are ${remediations.map((r) => `${r.name} (${r.targets})`).join(', ')}`,
    );
  return target;
};

/** 'service/shop/web', as it is shown. */
const serviceNamed = (text: string, where: { account: string; region: string }): Target | undefined => {
  const [, cluster, name] = /^service\/([^/]+)\/([^/]+)$/.exec(text) ?? [];
  return cluster && name ? serviceTarget(where, cluster, name) : undefined;
};

/** With what the asker may see of the activity log. */
export interface Asking extends AnswerDeps {
  readonly reading: () => Promise<Query['mayRead']>;
}

/** How many of a target's incidents are told in full. */
const TOLD = 3;

/** @param quick from the record alone: no look, so nothing about what would happen now */
export const why = async (about: string, deps: Asking, quick: boolean): Promise<Why> => {
  const at = deps.now();
  const explained = (incident: Incident) => explain(incident, deps, quick);
  if (isIncidentId(about)) return { about, at, incidents: [await explained(await findIncident(about, deps))] };
  const target = namedTarget(about, deps);
  const known = await deps.store.ofTarget(target.arn, 20);
  const open = known.filter((i) => i.state !== 'closed');
  if (known.length > 0) {
    const told = open.length > 0 ? open.slice(0, TOLD) : known.slice(0, 1);
    return { about, at, incidents: await Promise.all(told.map(explained)) };
  }
  if (quick) return { about, at, incidents: [] };
  return { about, at, incidents: [], nothing: (await plan(target.arn, undefined, deps)).answers };
};

const MOST_CALLS = 200;
const isChange = ({ what, event }: ActivityRow): boolean =>
  !what.startsWith('steward:') && !/"readOnly"\s*:\s*true/.test(event);

/** A log that cannot be read explains less; it does not keep the rest from being told. */
const callsAround = async (incident: Incident, deps: Asking): Promise<Pick<Explained, 'calls' | 'noCalls'>> => {
  try {
    const [{ log }, mayRead] = await Promise.all([deps.activity(), deps.reading()]);
    const around = await activityAround(incident, log, {
      now: deps.now(),
      stage: deps.stage,
      limit: MOST_CALLS,
      mayRead,
    });
    return { calls: around.filter(isChange).reverse() };
  } catch (e) {
    if (!(e instanceof StewardError)) throw e;
    return { noCalls: e.message };
  }
};

const explain = async (incident: Incident, deps: Asking, quick: boolean): Promise<Explained> => {
  const [switches] = await deps.store.read({ kind: 'switches' });
  const pauses = switches ? pausesOf(switches, incident, deps.now()) : [];
  const canUndo = remediations.find((r) => r.name === incident.remediation)?.undo !== undefined;
  if (quick) return { incident, pauses: incident.state === 'closed' ? [] : pauses, canUndo };
  const calls = await callsAround(incident, deps);
  if (incident.state === 'closed') return { incident, pauses: [], canUndo, ...calls };
  const { target, remediation, id } = incident;
  const look = JSON.parse(lookMessage({ target, remediation, incident: id })) as unknown;
  const [now] = (await answerEvent(look, deps, true)).answers;
  return { incident, pauses, canUndo, ...calls, ...(now ? { now } : {}) };
};
