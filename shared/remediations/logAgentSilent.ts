import * as z from 'zod/mini';
import type { AgentSeen, MendReport } from '../core/agents.ts';
import { aloneGroup } from '../core/group.ts';
import { commandIdOf, inspected, livingInstance } from '../core/hosts.ts';
import type { Attempt } from '../core/incident.ts';
import { onHosts } from '../core/permissions.ts';
import { option } from '../core/policy.ts';
import type { HostRun, Instance, Ports } from '../core/ports.ts';
import { defineRemediation, type Effect, type Look } from '../core/remediation.ts';
import { idOf, type Target } from '../core/target.ts';
import { minutes, seconds, span, type Time } from '../core/time.ts';
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
});
type Options = z.output<typeof options>;

type Step = { readonly do: 'restart' | 'configure' | 'install'; readonly instance: string };

interface Seen {
  readonly target: Target;
  readonly instance: Instance;
  readonly uncovered: string | undefined;
  /** When its last datapoint came. Undefined: none within the last three hours. */
  readonly lastAt: Time | undefined;
  readonly command: HostRun<MendReport> | undefined;
  /** Undefined: the host could not be asked, `blind` says why. */
  readonly agent: AgentSeen | undefined;
  readonly blind: string | undefined;
}

const observe = async (target: Target, ports: Ports, look: Look<Options>): Promise<Seen> => {
  const id = idOf(target);
  const instance = await livingInstance(id, ports);
  const uncovered = look.uncovered(instance.tags);
  const nothing = { lastAt: undefined, command: undefined, agent: undefined, blind: undefined };
  if (uncovered !== undefined || instance.state !== 'running') return { target, instance, uncovered, ...nothing };
  const range = { from: look.now - minutes(180), to: look.now, period: minutes(1) };
  const [points, ssm] = await Promise.all([
    ports.metrics.series({ namespace: 'CWAgent', name: 'mem_used_percent', dimensions: { InstanceId: id } }, range),
    ports.hosts.agent(id),
  ]);
  const known = { target, instance, uncovered, lastAt: points.at(-1)?.at };
  // It publishes: there is nothing to ask the host.
  if (known.lastAt !== undefined && look.now - known.lastAt < FRESH) return { ...nothing, ...known };
  if (ssm.state !== 'online') return { ...nothing, ...known, blind: `its SSM agent is ${ssm.state}` };
  const sent = commandIdOf(look.attempts.at(-1));
  const command = sent ? await ports.hosts.result(id, 'mend-agent', sent) : undefined;
  if (command?.state === 'running') return { ...nothing, ...known, command };
  const { report, blind } = inspected(await ports.hosts.inspect(id, 'inspect-agents', {}));
  return { ...known, command, agent: report?.agents.find((a) => a.name === 'cloudwatch'), blind };
};

/** An image that brings its own agent has so long to show it. */
const STARTS = minutes(8);
/** Three of the agent's minutes. */
const FRESH = minutes(4);
const isHealthy = ({ instance, lastAt }: Seen, { now }: Look<Options>): boolean =>
  instance.state === 'running' && lastAt !== undefined && now - lastAt < FRESH;

const describe = (seen: Seen, look: Look<Options>): string => {
  const { uncovered, instance, lastAt, agent, blind, command } = seen;
  if (uncovered !== undefined) return `not looked into: ${uncovered}`;
  if (instance.state !== 'running') return `it is ${instance.state}`;
  const metrics =
    lastAt === undefined ? 'no datapoint came for hours' : `the last datapoint came ${span(look.now - lastAt)} ago`;
  if (isHealthy(seen, look)) return `its CloudWatch agent publishes: ${metrics}`;
  if (command?.state === 'running') return `${metrics}; the host is at work on it`;
  if (!agent) return `${metrics}${blind ? `; ${blind}` : ''}`;
  const state = !agent.installed ? 'is not installed' : agent.running ? 'runs' : 'does not run';
  const errors = agent.errors.length > 0 ? `; it says: ${agent.errors.at(-1)}` : '';
  return `${metrics}; the CloudWatch agent ${state}${errors}`;
};

const decide = (seen: Seen, look: Look<Options>): Verdict<Step> => {
  const { uncovered, instance, agent, blind, command } = seen;
  const { now, openedAt } = look;
  if (uncovered !== undefined) return { do: 'nothing', because: uncovered };
  if (instance.state !== 'running')
    return { do: 'nothing', because: `it is ${instance.state}: its agent may be silent` };
  if (now - instance.launchedAt < STARTS && look.attempts.length === 0)
    return { do: 'nothing', because: 'it has just started: it is looked over again in ten minutes' };
  const is = describe(seen, look);
  const last = look.attempts.at(-1) as Attempt<Step> | undefined;
  if (command?.state === 'running' || (last?.outcome?.kind === 'done' && last.effect === undefined))
    return { do: 'wait', until: now + seconds(20), because: is };
  if (!agent)
    return now - openedAt < minutes(15)
      ? { do: 'wait', until: now + minutes(1), because: is }
      : {
          do: 'escalate',
          because: `${is}${blind ? ', so its agent cannot be seen' : ''}`,
          remedy: 'look at the SSM agent, and at the host',
        };
  return mending(seen, agent, look) ?? telling(seen, agent, is);
};

const mending = ({ instance, ...seen }: Seen, agent: AgentSeen, look: Look<Options>): Verdict<Step> | undefined => {
  const { options: o } = look;
  const done = (what: Step['do']) =>
    look.attempts.some((a) => (a.step as Step).do === what && a.outcome?.kind !== 'transient');
  const step = (what: Step['do'], plan: string): Verdict<Step> => ({
    do: 'act',
    rung: what,
    step: { do: what, instance: instance.id },
    plan,
    because: describe({ instance, ...seen }, look),
  });
  if (!agent.installed)
    return o.install && !done('install') ? step('install', 'install and configure the CloudWatch agent') : undefined;
  if (!done('restart')) return step('restart', 'restart the CloudWatch agent');
  return o.configure && !done('configure')
    ? step('configure', 'give the CloudWatch agent its configuration again')
    : undefined;
};

const telling = ({ command }: Seen, agent: AgentSeen, is: string): Verdict<Step> => {
  const failed = command?.state === 'failed' ? command : undefined;
  const otherwise = agent.installed
    ? 'look at its log, and whether the role of the instance has CloudWatchAgentServerPolicy'
    : 'install the CloudWatch agent';
  return {
    do: 'escalate',
    because: `${is}${failed ? `; ${failed.message}` : ''}`,
    remedy: failed?.remedy ?? otherwise,
  };
};

const act = async (step: Step, { hosts }: Ports, token: string): Promise<Json> =>
  hosts.start(
    step.instance,
    'mend-agent',
    { Agent: 'cloudwatch', Action: step.do, Config: step.do === 'restart' ? '' : AGENT_CONFIG },
    token,
  );

/** A datapoint that arrives is the proof: the agent publishes once a minute, CloudWatch shows it a minute or two later. */
const SHOWS = minutes(6);
const effect = ({ reservedAt }: Attempt<Step>, seen: Seen, { now }: Look<Options>): Effect => {
  if (seen.command?.state === 'failed' || seen.command?.state === 'lost') return 'ineffective';
  if (seen.lastAt !== undefined && seen.lastAt > reservedAt) return 'effective';
  return now - reservedAt < SHOWS ? 'pending' : 'ineffective';
};

export const logAgentSilent = defineRemediation<Seen, Step, Options>({
  name: 'log-agent-silent',
  title: 'lets the CloudWatch agent of an EC2 instance (Linux) publish again',
  about: `The agent's metrics stopped coming, or never came. It is restarted; if that does not help it gets its configuration again (memory, disks, inodes; what others configured
stays); where it is missing it is installed, on distributions that have it. It is over when a datapoint that is newer than the repair has arrived: that is the only proof. What the agent itself says
goes to a person with it.`,
  // Whoever is looked over for its alarms must publish what they watch.
  answers: ['log-agent.silent', 'instance.unwatched'],
  risk: 'harmless',
  targets: 'arn:*:ec2:*:*:instance/*',
  ladder: {
    install: 'install and configure it, where it is missing',
    restart: 'restart the agent',
    configure: 'its configuration again',
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
    ...onHosts('inspect-agents', ['mend-agent']),
  ],
  options,
  survey: async (_, { firing }) => (await firing()).filter((s) => s.kind === 'log-agent.silent'),
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
