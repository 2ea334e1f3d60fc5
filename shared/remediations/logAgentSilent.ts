import * as z from 'zod/mini';
import {
  type AgentSeen,
  type Arrived,
  BEAT_MINUTES,
  type MendReport,
  type ProofLine,
  proofGroup,
  proofLineOf,
} from '../core/agents.ts';
import { aloneGroup } from '../core/group.ts';
import { commandIdOf, inspected, livingInstance } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import { onHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { HostRun, Instance, Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look, type Scan } from '../core/remediation.ts';
import type { Signal } from '../core/signal.ts';
import { idOf, instanceTarget, type Target } from '../core/target.ts';
import { hours, iso, minutes, seconds, span, type Time } from '../core/time.ts';
import type { Json, Verdict } from '../core/verdict.ts';
import { AGENT_CONFIG } from '../core/watch.ts';

const options = z.strictObject({
  install: option(
    z.boolean(),
    true,
    'May it install the CloudWatch agent where it is missing (Amazon Linux, Red Hat)?',
  ),
  configure: option(
    z.boolean(),
    true,
    'May it give the agent a configuration: memory, disks and inodes, once a minute?',
  ),
  proveLogs: option(
    z.enum(['ours', 'all', 'off']),
    'ours',
    'Which agents must prove their logs by lines of a file of Steward’s own: `ours` that Steward configures, `all` that others configured too, or `off`: none',
  ),
});
type Options = z.output<typeof options>;

type Step = {
  readonly do: 'restart' | 'configure' | 'install' | 'prove';
  readonly instance: string;
  /** The agent is given our part, by which it ships our file. */
  readonly proof: boolean;
};

/** Whether the agent's logs arrive, as far as one can know. */
type Logs =
  /** It ships no file of ours: nothing is known of its logs. */
  | { readonly is: 'unproven'; readonly because: string }
  | { readonly is: 'arrive'; readonly because: string }
  /** A line was written, and may still come. */
  | { readonly is: 'awaited'; readonly because: string }
  | { readonly is: 'lost'; readonly because: string }
  /** The policy wants the proof of all, and this one was never given it. */
  | { readonly is: 'ungiven' }
  /** The host would have to be asked. */
  | undefined;

interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly uncovered: string | undefined;
  /** When its last datapoint came. Undefined: none within the last three hours. */
  readonly lastAt: Time | undefined;
  readonly command: HostRun<MendReport> | undefined;
  /** Undefined: the host was not asked, or could not be: then `blind` says why. */
  readonly agent: AgentSeen | undefined;
  readonly blind: string | undefined;
  readonly logs: Logs;
}

/** An image that brings its own agent has so long to show it. */
const STARTS = minutes(8);
/** Three of the agent's minutes. */
const FRESH = minutes(4);
/** Three lines, and some. */
const FRESH_LINES = minutes(3 * BEAT_MINUTES + 10);
/** What arrives shows within so long: the agent publishes once a minute, and ships lines within seconds. */
const SHOWS = minutes(6);
/** Lines are kept for a day: of one that is about as old nobody can say whether it came. */
const KNOWN = hours(20);

/** Nothing was known to ail it before this look. */
const isNew = ({ now, openedAt }: Look<Options>): boolean => openedAt === now;
/** It is not known that it is ill: a datapoint must do where no line is to come. */
const isWell = (logs: Logs): boolean => logs?.is === 'arrive' || logs?.is === 'unproven';

const UNASKED = { command: undefined, agent: undefined, blind: undefined, logs: undefined };

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await livingInstance(id, ports);
  const uncovered = look.uncovered(instance.tags);
  if (uncovered !== undefined || instance.state !== 'running')
    return { target, instance, uncovered, lastAt: undefined, ...UNASKED };
  const last = look.attempts.at(-1) as Attempt<Step> | undefined;
  const sent = commandIdOf(last);
  const range = { from: look.now - minutes(180), to: look.now, period: minutes(1) };
  const [points, lines, command] = await Promise.all([
    ports.metrics.series({ namespace: 'CWAgent', name: 'mem_used_percent', dimensions: { InstanceId: id } }, range),
    look.options.proveLogs === 'off' ? undefined : ports.agentProofs.arrived(id, look.now - hours(24)),
    sent ? ports.hosts.result(id, 'mend-agent', sent) : undefined,
  ]);
  const known = { target, instance, uncovered, lastAt: points.at(-1)?.at, command };
  const logs = byLines(lines, known, look);
  const isFresh = publishes(known, look);
  const isSettling = command?.state === 'done' && last !== undefined && look.now - last.reservedAt < SHOWS;
  // All is well, or the host is at work, or what it did has still to show: there is nothing to ask it.
  if (command?.state === 'running' || (isFresh && isWell(logs)) || (isSettling && logs !== undefined))
    return { ...UNASKED, ...known, logs };
  const host = await askHost(id, ports);
  if (host.agent) return { ...known, ...host, logs: logs ?? byHost(lines, host.agent, look) };
  // SSM is the way by which lines are written: that none came says nothing then, and opens nothing. What is open is not closed by it.
  const because = `${host.blind}, so that no line is written`;
  return {
    ...known,
    ...host,
    logs: logs ?? (isFresh && host.unheard && isNew(look) ? { is: 'unproven', because } : undefined),
  };
};

const askHost = async (id: string, { hosts }: Ports): Promise<Pick<Seen, 'agent' | 'blind'> & { unheard: boolean }> => {
  const { state } = await hosts.agent(id);
  if (state !== 'online') return { agent: undefined, blind: `its SSM agent is ${state}`, unheard: true };
  const { report, blind } = inspected(await hosts.inspect(id, 'inspect-agents', {}));
  return { agent: report?.agents.find((a) => a.name === 'cloudwatch'), blind, unheard: false };
};

/** What the lines that came say, without a question to the host. Undefined: not enough. */
const byLines = (
  lines: readonly Arrived[] | undefined,
  { command }: Pick<Seen, 'command'>,
  { now, attempts, options: o }: Look<Options>,
): Logs => {
  if (lines === undefined) {
    if (o.proveLogs === 'off') return { is: 'unproven', because: 'the policy wants no proof of its logs' };
    if (o.proveLogs === 'ours') return { is: 'unproven', because: 'it was never given a file of Steward’s to ship' };
    return undefined;
  }
  const last = attempts.at(-1);
  const nonce = last && lines.find((l) => l.word === last.token);
  if (nonce) return { is: 'arrive', because: `the line that the repair wrote came ${span(now - nonce.arrivedAt)} ago` };
  // Of before the repair it says nothing about what is now.
  const since = last?.reservedAt ?? now - FRESH_LINES;
  const beat = lines.findLast((l) => l.word === 'beat' && l.arrivedAt > since && l.writtenAt > since);
  if (beat) return { is: 'arrive', because: `a line of its own came ${span(now - beat.arrivedAt)} ago` };
  if (last && command?.state === 'done' && command.report.proves) {
    const is = now - last.reservedAt < SHOWS ? 'awaited' : 'lost';
    return { is, because: `the line that the repair wrote ${span(now - last.reservedAt)} ago has not come` };
  }
  return undefined;
};

/** What the host wrote has come, or it has not. */
const byHost = (
  lines: readonly Arrived[] | undefined,
  { installed, running, proof }: AgentSeen,
  { now, options: o }: Look<Options>,
): Logs => {
  if (!proof)
    return o.proveLogs === 'all' && installed && running
      ? { is: 'ungiven' }
      : { is: 'unproven', because: 'its configuration does not have Steward’s part' };
  const written = proof.lines.flatMap((text) => proofLineOf(text) ?? []).filter((l) => now - l.writtenAt < KNOWN);
  // The latest that must have come by now; or the very latest, if that has come already or is all there is.
  const due = written.findLast((l) => now - l.writtenAt >= SHOWS);
  const latest = written.at(-1);
  if (!latest) return { is: 'unproven', because: 'no line was written lately' };
  const came = (line: ProofLine) => lines?.some((l) => l.word === line.word && l.writtenAt === line.writtenAt) === true;
  const ago = (line: ProofLine) => span(now - line.writtenAt);
  const [found] = [latest, due].flatMap((l) => (l && came(l) ? [l] : []));
  if (found) return { is: 'arrive', because: `a line that was written ${ago(found)} ago has come` };
  return {
    is: due ? 'lost' : 'awaited',
    because: `a line that was written ${ago(due ?? latest)} ago has not come`,
  };
};

/** Now, and since the last repair. */
const publishes = ({ lastAt }: Pick<Seen, 'lastAt'>, { now, attempts }: Look<Options>): boolean =>
  lastAt !== undefined && now - lastAt < FRESH && lastAt > (attempts.at(-1)?.reservedAt ?? 0);
const isHealthy = (seen: Seen, look: Look<Options>): boolean =>
  seen.instance.state === 'running' && publishes(seen, look) && isWell(seen.logs);

const wordsOf = (logs: Logs): string => {
  switch (logs?.is) {
    case 'arrive':
      return `its logs arrive: ${logs.because}`;
    case 'unproven':
      return `of its logs nothing is known: ${logs.because}`;
    case 'awaited':
    case 'lost':
      return `its logs do not arrive: ${logs.because}`;
    case 'ungiven':
      return 'its logs are not proven, and the policy wants that of all';
    default:
      return '';
  }
};

const describe = (seen: Seen, look: Look<Options>): string => {
  const { uncovered, instance, lastAt, agent, blind, command, logs } = seen;
  if (uncovered !== undefined) return `not looked into: ${uncovered}`;
  if (instance.state !== 'running') return `it is ${instance.state}`;
  const metrics =
    lastAt === undefined ? 'no datapoint came for hours' : `the last datapoint came ${span(look.now - lastAt)} ago`;
  const words = wordsOf(logs);
  const said = (...more: readonly string[]) => [metrics, words, ...more].filter(Boolean).join('; ');
  if (isHealthy(seen, look)) return `its CloudWatch agent publishes: ${said()}`;
  if (command?.state === 'running') return said('the host is at work on it');
  if (!agent) return said(blind ?? '');
  const state = !agent.installed ? 'is not installed' : agent.running ? 'runs' : 'does not run';
  const errors = agent.errors.length > 0 ? `it says: ${agent.errors.at(-1)}` : '';
  return said(`the CloudWatch agent ${state}`, errors);
};

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { uncovered, instance, agent, blind, command, logs } = seen;
  const { now, openedAt } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  if (instance.state !== 'running')
    return { do: 'nothing', because: `it is ${instance.state}: its agent may be silent` };
  if (now - instance.launchedAt < STARTS && look.attempts.length === 0)
    return { do: 'nothing', because: 'it has just started: it is looked over again in ten minutes' };
  const is = describe(seen, look);
  const last = look.attempts.at(-1) as Attempt<Step> | undefined;
  const isPending = command?.state === 'running' || (last?.outcome?.kind === 'done' && last.effect === undefined);
  if (isPending || logs?.is === 'awaited') return { do: 'wait', until: now + seconds(20), because: is };
  if (!agent)
    return now - openedAt < minutes(15)
      ? { do: 'wait', until: now + minutes(1), because: is }
      : {
          do: 'escalate',
          because: `${is}${blind ? ', so its agent cannot be seen' : ''}`,
          remedy: 'look at the SSM agent, and at the host',
        };
  return mending(seen, agent, look) ?? telling(seen, agent, look);
};

const mending = (seen: Seen, agent: AgentSeen, look: Look<Options>): Verdict<Step> | undefined => {
  const { options: o, attempts } = look;
  const done = (what: Step['do']) =>
    attempts.some((a) => (a.step as Step).do === what && a.outcome?.kind !== 'transient');
  const step = (what: Step['do'], plan: string): Verdict<Step> => ({
    do: 'act',
    rung: what,
    step: { do: what, instance: seen.instance.id, proof: what !== 'restart' && o.proveLogs !== 'off' },
    plan,
    because: describe(seen, look),
  });
  if (!agent.installed)
    return o.install && !done('install') ? step('install', 'install and configure the CloudWatch agent') : undefined;
  if (seen.logs?.is === 'ungiven')
    return done('prove') ? undefined : step('prove', 'let the CloudWatch agent ship a file of Steward’s too');
  if (!done('restart')) return step('restart', 'restart the CloudWatch agent');
  if (publishes(seen, look))
    return seen.logs?.is === 'lost' && !done('prove')
      ? step('prove', 'give the CloudWatch agent Steward’s part of its configuration again')
      : undefined;
  return o.configure && !done('configure')
    ? step('configure', 'give the CloudWatch agent its configuration again')
    : undefined;
};

const telling = (seen: Seen, agent: AgentSeen, look: Look<Options>): Verdict<Step> => {
  const { command, instance, target } = seen;
  const failed = command?.state === 'failed' ? command : undefined;
  const service = publishes(seen, look) ? 'logs' : 'cloudwatch';
  const otherwise = agent.installed
    ? remedyOf(agent.errors, service, target.region)
    : `install the CloudWatch agent on ${instance.id}`;
  return {
    do: 'escalate',
    because: `${describe(seen, look)}${failed ? `; ${failed.message}` : ''}`,
    remedy: failed?.remedy ?? otherwise,
  };
};

/** What a person has to do, by the agent's own last words: the newest that concern what does not arrive, else the newest. */
const remedyOf = (errors: readonly string[], service: 'logs' | 'cloudwatch', region: string): string => {
  const latest = (shape: RegExp): string | undefined =>
    errors.toReversed().flatMap((e) => shape.exec(e)?.[1] ?? shape.exec(e)?.[0] ?? [])[0];
  const denied =
    latest(new RegExp(`not authorized to perform: (${service}:\\w+)`)) ??
    latest(/not authorized to perform: ([a-z0-9]+:\w+)/);
  if (denied)
    return `allow the role of the instance to do ${denied}, as CloudWatchAgentServerPolicy does; look for a policy that denies it`;
  if (latest(/NoCredentialProviders|EC2RoleRequestError|no EC2 instance role/))
    return 'give the instance a role with CloudWatchAgentServerPolicy';
  if (service === 'logs' && latest(/ResourceNotFoundException/))
    return 'deploy Steward again: the log group of its proofs is gone';
  if (latest(/timeout|connection refused|no such host|connection reset|deadline exceeded/i))
    return `let the host reach ${service === 'logs' ? 'logs' : 'monitoring'}.${region}: security group, network ACL, VPC endpoint and its policy`;
  return 'look at its log, and whether the role of the instance has CloudWatchAgentServerPolicy';
};

const act = async (step: Step, { hosts, agentProofs, where }: Ports, token: string): Promise<Json> => {
  // First, so that lines that never come are missed.
  if (step.proof) await agentProofs.expect(step.instance);
  return hosts.start(
    step.instance,
    'mend-agent',
    {
      Agent: 'cloudwatch',
      Action: step.do,
      Config: step.do === 'restart' || step.do === 'prove' ? '' : AGENT_CONFIG,
      Group: step.proof ? proofGroup(where.stage) : '',
    },
    token,
  );
};

/** What arrives is the proof: a datapoint, and the line that the step wrote, where the agent ships lines. */
const effect = ({ reservedAt }: Attempt<Step>, { command, lastAt, logs }: Seen, { now }: Look<Options>): Effect => {
  if (command?.state === 'failed' || command?.state === 'lost') return 'ineffective';
  if (lastAt !== undefined && lastAt > reservedAt && isWell(logs)) return 'effective';
  return now - reservedAt < SHOWS ? 'pending' : 'ineffective';
};

/** Silent for so long by an index that may be an hour behind: once an hour is enough, and each is found at two of them. */
const QUIET = [hours(2), hours(4)] as const;
/** Signals of one survey: what is more, the look of the day finds. */
const AT_ONCE = 100;

const quiet = async (ports: Ports, { now, options: o, running, uncovered }: Scan<Options>): Promise<Signal[]> => {
  if (o.proveLogs === 'off' || now % hours(1) >= minutes(5)) return [];
  const ids = new Set(await ports.agentProofs.quietSince(now - QUIET[1], now - QUIET[0]));
  if (ids.size === 0) return [];
  return (await running())
    .filter((i) => ids.has(i.id) && now - i.launchedAt > FRESH_LINES && uncovered(i.tags) === undefined)
    .slice(0, AT_ONCE)
    .map(({ id }) => ({
      kind: 'log-agent.silent',
      target: instanceTarget(ports.where, id),
      at: now,
      cause: 'survey: no line of its agent came for two hours',
      eventId: `survey:${id}:logs@${iso(now).slice(0, 13)}`,
      routine: true,
    }));
};

export const logAgentSilent = defineRemediation<Seen, Step, Options>({
  name: 'log-agent-silent',
  title: 'lets the CloudWatch agent of an EC2 instance (Linux) publish again, metrics and logs',
  about: `The agent's metrics stopped coming, or never came; or its metrics come, and its logs do not. It is restarted; if that does not help it gets its configuration again (memory, disks, inodes; what others configured
stays); where it is missing it is installed, on distributions that have it. An agent that Steward configures also ships one small file of Steward's own, as a part of its configuration beside all others, into a log group of the stack that keeps a day. Each half hour a line is
written there; that none came is found within some four hours. Each repair writes a line that holds a nonce. It is over when a datapoint that is newer than the repair has arrived, and that line. Of an agent that ships no such file the datapoint is the only proof, and the reason says so.
What the agent itself says goes to a person with it; an IAM action that it lacks is named.`,
  // Whoever is looked over for its alarms must publish what they watch.
  answers: ['log-agent.silent', 'instance.unwatched'],
  risk: 'harmless',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    install: 'install and configure it, where it is missing',
    restart: 'restart the agent',
    configure: 'its configuration again',
    prove: 'the part of its configuration that ships Steward’s own file, where only logs do not arrive',
  },
  permissions: [
    {
      for: 'look',
      actions: [
        'ec2:DescribeInstances',
        'ssm:DescribeInstanceInformation',
        'ssm:GetCommandInvocation',
        'cloudwatch:GetMetricData',
        'cloudwatch:ListMetrics',
      ],
      resources: ['*'],
    },
    {
      for: 'look',
      actions: ['logs:GetLogEvents'],
      resources: ['arn:*:logs:*:*:log-group:/steward/{stage}/agent-proof:log-stream:{id}'],
    },
    {
      for: 'look',
      actions: ['logs:DescribeLogStreams'],
      resources: ['arn:*:logs:*:*:log-group:/steward/{stage}/agent-proof:*'],
    },
    {
      for: 'act',
      actions: ['logs:CreateLogStream'],
      resources: ['arn:*:logs:*:*:log-group:/steward/{stage}/agent-proof:*'],
    },
    ...onHosts('inspect-agents', ['mend-agent']),
  ],
  options,
  survey: async (ports, scan) => [
    ...(await scan.firing()).filter((s) => s.kind === 'log-agent.silent'),
    ...(await quiet(ports, scan)),
  ],
  observe,
  facts: ({ instance }) => ({
    tags: instance.tags,
    group: aloneGroup(instance),
    zone: instance.zoneId,
    serving: 'alone',
  }),
  describe,
  isHealthy,
  decide,
  act,
  touches: () => [],
  before: ({ lastAt, agent }) => ({ lastAt: lastAt ?? null, configHash: agent?.configHash ?? null }),
  effect,
  noUndo:
    'an agent that publishes again is not stopped; its configuration is in /opt/aws/amazon-cloudwatch-agent/etc/steward.json',
});
