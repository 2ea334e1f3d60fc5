/**
 * What the log has of Session Manager's sessions: CloudTrail's calls say who began one and from where; how it is recorded, and that it ended, no event says, so `audit` asks the API and
 * writes both down as entries of Steward's own.
 */
import type { Time } from '../core/time.ts';
import { entryOf, type Said, STEWARD } from './entries.ts';
import { readActivity } from './record.ts';
import type { ApiFact, Content } from './sessions.ts';
import type { Place } from './trailLayout.ts';

/** A session as the API lists it. */
export interface SeenSession {
  readonly id: string;
  readonly host: string;
  /** ARN of who began it. */
  readonly owner: string;
  readonly document: string;
  readonly from: Time;
  readonly end?: Time;
  readonly status: string;
}
type Recording = { readonly is: Content; readonly because: string };

const about = ({ id, host, document }: SeenSession) => ({ sessionId: id, targetId: host, documentName: document });
const started = (s: SeenSession, { is, because }: Recording): Said => ({
  name: 'SessionStart',
  id: `session/${s.id}/start`,
  at: s.from,
  by: s.owner,
  about: { ...about(s), content: is, because },
});
const ended = (s: SeenSession, at: Time): Said => ({
  name: 'SessionEnd',
  id: `session/${s.id}/end`,
  at,
  by: s.owner,
  about: { ...about(s), say: `Session Manager says: ${s.status}` },
});
export const startEntry = (s: SeenSession, recording: Recording, home: Place): Buffer =>
  entryOf(started(s, recording), home);
export const endEntry = (s: SeenSession, at: Time, home: Place): Buffer => entryOf(ended(s, at), home);

/** By which they are found. */
export const FACT_ACTIONS = [
  'ssm:StartSession',
  'ssm:ResumeSession',
  'ssm:TerminateSession',
  `${STEWARD}:SessionStart`,
  `${STEWARD}:SessionEnd`,
];

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (v: unknown): Fields =>
  typeof v === 'object' && v !== null && !Array.isArray(v) ? (v as Fields) : {};
const given = <K extends string>(key: K, value: unknown): { readonly [k in K]?: string } =>
  (typeof value === 'string' && value !== '' ? { [key]: value } : {}) as { [k in K]?: string };

const SAYS: Readonly<Record<string, ApiFact['says']>> = {
  StartSession: 'start',
  ResumeSession: 'resume',
  TerminateSession: 'end',
  SessionStart: 'start',
  SessionEnd: 'end',
};
const CONTENTS = new Set<unknown>(['recorded', 'tunnel', 'not recorded', 'unknown'] satisfies Content[]);

/** Undefined: it says nothing of a session, or the call was refused. */
export const factOf = (raw: Uint8Array): ApiFact | undefined => {
  const activity = readActivity(raw);
  if (!FACT_ACTIONS.includes(activity.what) || activity.error !== undefined) return undefined;
  const outer = fieldsOf(JSON.parse(Buffer.from(raw).toString('utf8')));
  const record = typeof outer['detail-type'] === 'string' ? fieldsOf(outer['detail']) : outer;
  const [asked, answered] = [fieldsOf(record['requestParameters']), fieldsOf(record['responseElements'])];
  const says = SAYS[String(record['eventName'])];
  const id = asked['sessionId'] ?? answered['sessionId'];
  if (!says || typeof id !== 'string') return undefined;
  const [who] = activity.who;
  return {
    id,
    at: activity.time,
    says,
    ...given('host', asked['target'] ?? asked['targetId']),
    // Who ends a session need not be who began it.
    ...given('who', says === 'start' ? who : undefined),
    ...given('ip', says === 'start' ? activity.ip : undefined),
    ...given('document', asked['documentName']),
    ...(CONTENTS.has(asked['content'])
      ? { content: { is: asked['content'] as Content, because: String(asked['because'] ?? '') } }
      : {}),
    ...given('because', says === 'end' ? (asked['say'] ?? `${who} ended it`) : undefined),
  };
};
