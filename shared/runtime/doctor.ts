/** Is it deployed right? Each check says what is fine, what is wrong and what to do; the drill runs a harmless incident through the whole path. */
import { signalMessage } from '../../events/steward/signal.ts';
import { copyState } from '../activity/copies.ts';
import { archiveBehind } from '../activity/retention.ts';
import type { Machine } from '../aws/estate.ts';
import { inForce } from '../core/answers.ts';
import { messageOf } from '../core/errors.ts';
import type { Remediation } from '../core/remediation.ts';
import { partitionOf, type Target, targetOf } from '../core/target.ts';
import { days, minutes, span, type Time } from '../core/time.ts';
import { drill } from '../remediations/drill.ts';
import { fullDisk } from '../remediations/fullDisk.ts';
import { remediations } from '../remediations/index.ts';
import type { AnswerDeps } from './answer.ts';
import { channels } from './channelHealth.ts';

export interface Check {
  /** 'table', 'queue', 'heal', 'sweep', 'due', 'policy', 'switches', 'role full-disk', 'agents', 'alarms' … */
  readonly what: string;
  /** `note` is not a fault: something that one ought to know. */
  readonly is: 'fine' | 'note' | 'wrong';
  readonly say: string;
  readonly remedy?: string;
}
export interface Checks {
  readonly stage: string;
  readonly account: string;
  readonly region: string;
  readonly at: Time;
  readonly checks: readonly Check[];
}

const wrong = (what: string, say: string, remedy: string): Check => ({ what, is: 'wrong', say, remedy });
const fine = (what: string, say: string): Check => ({ what, is: 'fine', say });

/** A check that cannot be made is not fine: its error says why, IAM's names the action that is missing. */
const checked = async (what: string, remedy: string, check: () => Promise<Check[]>): Promise<Check[]> => {
  try {
    return await check();
  } catch (e) {
    return [wrong(what, messageOf(e), remedy)];
  }
};

const GRANT = 'grant what the message names, or deploy again: npx serverless deploy --stage';

/** Due times so long past mean that no sweep runs, or that passes fail. */
const OVERDUE = minutes(5);

const table = (deps: AnswerDeps) =>
  checked('table', `deploy this version: npx serverless deploy --stage ${deps.stage}`, async () => {
    await Promise.all([
      deps.store.read({ kind: 'switches' }),
      deps.store.open(1),
      deps.store.ill('doctor', deps.now(), 1),
    ]);
    return [fine('table', 'the state table and its indexes answer')];
  });

const punctual = (deps: AnswerDeps) =>
  checked('due', `${GRANT} ${deps.stage}`, async () => {
    const late = await deps.store.due(deps.now() - OVERDUE, 1000);
    if (late.length === 0) return [fine('due', 'nothing that is due waits')];
    const oldest = Math.min(...late.map((d) => d.dueAt));
    return [
      wrong(
        'due',
        `${late.length} incidents are overdue, the oldest by ${span(deps.now() - oldest)}: the sweep does not run, or heal fails`,
        `see the logs of steward-${deps.stage}-sweep and steward-${deps.stage}-heal`,
      ),
    ];
  });

const queue = (deps: AnswerDeps) =>
  checked('queue', `${GRANT} ${deps.stage}`, async () => {
    const { waiting, dead } = await (await deps.estate()).backlog();
    return dead === 0
      ? [fine('queue', `${waiting} signals wait, no dead letters`)]
      : [
          wrong(
            'queue',
            `${dead} messages failed for good and lie in the dead-letter queue`,
            `see the log of steward-${deps.stage}-heal for why, then redrive the queue`,
          ),
        ];
  });

const works = (name: 'heal' | 'sweep', deps: AnswerDeps) => {
  const full = `steward-${deps.stage}-${name}`;
  const remedy = `deploy again: npx serverless deploy --stage ${deps.stage}`;
  return checked(name, remedy, async () => {
    const fault = await (await deps.estate()).functionFault(full);
    return [fault === undefined ? fine(name, `${full} can run`) : wrong(name, `${full} cannot run: ${fault}`, remedy)];
  });
};

const policy = (deps: AnswerDeps): Check[] => {
  const missing = remediations.filter((r) => !deps.policy.remediations[r.name]).map((r) => r.name);
  if (missing.length > 0)
    return [
      wrong(
        'policy',
        `the deployed policy does not know ${missing.join(', ')}`,
        `deploy again: npx serverless deploy --stage ${deps.stage}`,
      ),
    ];
  const modes = remediations.map((r) => `${r.name} ${deps.policy.remediations[r.name]?.mode}`);
  return [
    fine(
      'policy',
      `${modes.join(', ')}; covers what is ${deps.policy.scope === 'all' ? 'not excluded' : `tagged ${deps.policy.tags.managed}=true`}`,
    ),
  ];
};

const switches = (deps: AnswerDeps) =>
  checked('switches', `${GRANT} ${deps.stage}`, async () => {
    const [found] = await deps.store.read({ kind: 'switches' });
    const pauses = found ? inForce(found, deps.now()) : [];
    return pauses.length === 0
      ? [fine('switches', 'nothing is paused')]
      : pauses.map((p) => ({
          what: 'switches',
          is: 'note' as const,
          say: `${p.by} paused ${p.scope}: ${p.why}`,
          remedy: `steward resume ${p.scope}`,
        }));
  });

const told = (deps: AnswerDeps) =>
  checked('channels', `${GRANT} ${deps.stage}`, async () => {
    const all = await channels(deps);
    if (all.length === 0)
      return [
        {
          what: 'channels',
          is: 'note',
          say: 'nobody is told: steward.yml names no channel',
          remedy: 'name one under `channels`, or look at `steward status` yourself',
        },
      ];
    return all.map(({ name, what, waiting, failing }) =>
      failing
        ? wrong(
            `channel ${name}`,
            `nothing reaches it for ${span(deps.now() - failing.since)}, ${waiting} wait: ${failing.because}`,
            `mend it, then: steward channels test ${name}`,
          )
        : fine(`channel ${name}`, `it is told ${what}; ${waiting} wait. To try it: steward channels test ${name}`),
    );
  });

/** A day waits for a week if its hours do not settle. */
const UNARCHIVED = days(10);

const archived = (deps: AnswerDeps) =>
  checked('archive', `${GRANT} ${deps.stage}`, async () => {
    const { log } = await deps.activity();
    const behind = await archiveBehind(log.table, deps.now());
    return [
      behind > UNARCHIVED
        ? wrong(
            'archive',
            `a day of the activity log waits for ${span(behind)} to be archived; nothing is lost, it only costs more`,
            `see the log of steward-${deps.stage}-archive`,
          )
        : fine('archive', 'what is over of the activity log is archived, or will be within days'),
    ];
  });

const secondAccount = (deps: AnswerDeps) =>
  checked('copy', `${GRANT} ${deps.stage}`, async () => {
    const { copy } = deps.policy.activity;
    if (!copy) return [];
    const { log } = await deps.activity();
    const state = await copyState(log.table);
    const where = `${copy.bucket} of account ${copy.account}`;
    const remedy = `let the role steward-${deps.stage}-audit put objects into checkpoints/ of it; README, "Who did what", has the policy`;
    if (!state) return [wrong('copy', `no checkpoint has been copied to ${where} yet`, remedy)];
    return state.because === undefined
      ? [fine('copy', `checkpoints are copied to ${where}`)]
      : [
          wrong(
            'copy',
            `no checkpoint reaches ${where} for ${span(deps.now() - state.since)}: ${state.because}`,
            remedy,
          ),
        ];
  });

const everythingOf = (deps: AnswerDeps, account: string): Target =>
  targetOf(`arn:${partitionOf(deps.region)}:steward:${deps.region}:${account}:survey/all`);

const role = (remediation: Remediation, account: string, deps: AnswerDeps) => {
  const what = `role ${remediation.name}${account === deps.home ? '' : ` in ${account}`}`;
  return checked(what, `${GRANT} ${deps.stage}`, async () => {
    await deps.reach(remediation, everythingOf(deps, account), { phase: 'look', touched: [] });
    return [fine(what, 'can be assumed')];
  });
};

const isManaged = ({ tags }: Machine, { policy: { scope, tags: names } }: AnswerDeps): boolean => {
  const ignored = tags[names.ignore];
  if (ignored !== undefined && ignored.toLowerCase() !== 'false') return false;
  return scope === 'all' || tags[names.managed]?.toLowerCase() === 'true';
};

/** So many ids are named; the rest is counted. */
const NAMED = 10;
const listed = (machines: readonly Machine[]): string => {
  const names = machines.slice(0, NAMED).map(({ id, tags }) => (tags['Name'] ? `${id} (${tags['Name']})` : id));
  return machines.length > NAMED ? `${names.join(', ')} and ${machines.length - NAMED} more` : names.join(', ');
};

const hosts = (deps: AnswerDeps) =>
  checked('hosts', `${GRANT} ${deps.stage}`, async () => {
    if (deps.policy.remediations[fullDisk.name]?.mode === 'off') return [];
    const estate = await deps.estate();
    const machines = (await estate.machines()).filter((m) => isManaged(m, deps));
    if (machines.length === 0)
      return [
        {
          what: 'hosts',
          is: 'note',
          say: 'no running instance is managed',
          remedy: `tag one ${deps.policy.tags.managed}=true`,
        },
      ];
    const [agents, watched] = await Promise.all([estate.agents(), estate.watchedDisks()]);
    const deaf = machines.filter((m) => !agents.has(m.id));
    const unwatched = machines.filter((m) => !watched.has(m.id));
    return [
      fine('hosts', `${machines.length} running instances are managed`),
      deaf.length === 0
        ? fine('agents', 'the SSM agent of each is online')
        : wrong(
            'agents',
            `no SSM agent is online on ${listed(deaf)}`,
            'install or start the agent, and give the instance a profile with AmazonSSMManagedInstanceCore',
          ),
      unwatched.length === 0
        ? fine('alarms', 'each has an alarm on its disks')
        : wrong(
            'alarms',
            `no alarm watches the disks of ${listed(unwatched)}`,
            'install the CloudWatch agent and put an alarm on disk_used_percent',
          ),
    ];
  });

export const check = async (deps: AnswerDeps): Promise<Checks> => {
  const accounts = [deps.home, ...deps.policy.accounts.filter((a) => a !== deps.home)];
  const checks = await Promise.all([
    table(deps),
    queue(deps),
    works('heal', deps),
    works('sweep', deps),
    punctual(deps),
    policy(deps),
    switches(deps),
    told(deps),
    archived(deps),
    secondAccount(deps),
    ...accounts.flatMap((account) => remediations.map((r) => role(r, account, deps))),
    hosts(deps),
  ]);
  return { stage: deps.stage, account: deps.home, region: deps.region, at: deps.now(), checks: checks.flat() };
};

const drillTarget = ({ region, home, stage }: AnswerDeps): Target =>
  targetOf(`arn:${partitionOf(region)}:ssm:${region}:${home}:parameter/steward/${stage}/drill`);

/** Breaks the drill parameter and signals it: what follows is an incident like any other. */
export const startDrill = async (by: string, deps: AnswerDeps): Promise<{ target: string; at: number }> => {
  const target = drillTarget(deps);
  const at = deps.now();
  await (await deps.parameters()).put(`/steward/${deps.stage}/drill`, 'broken');
  const cause = `steward doctor, by ${by}`;
  const [kind] = drill.answers;
  if (kind)
    await deps.queue.send([{ body: signalMessage({ kind, target, at, cause, eventId: `drill@${at}`, askedBy: by }) }]);
  return { target: target.arn, at };
};
