/** Who is told, of what, and by which way: the `channels` of steward.yml. */
import * as z from 'zod/mini';
import type { Incident } from './incident.ts';
import { said } from './option.ts';
import type { Time } from './time.ts';

const SECRET =
  /^(\/[\w./-]{1,1000}|arn:aws[a-z-]*:(ssm:[a-z0-9-]+:\d{12}:parameter\/|secretsmanager:[a-z0-9-]+:\d{12}:secret:)[\w/+=.@-]+)$/;
const secret = (what: string) =>
  said(
    z.string().check(z.regex(SECRET)),
    `${what}: name of an SSM parameter (SecureString, beginning with /), or ARN of one or of a Secrets Manager secret. Never the secret itself`,
  );

const WHAT = ['all', 'asks', 'pages'] as const;
type What = (typeof WHAT)[number];

/** The schema of one channel. @param names of the remediations */
export const channelSchema = (names: readonly string[]) => {
  const common = {
    what: said(
      z.optional(z.enum(WHAT)),
      'all: each incident in which something is done or held back · asks: what needs a person, to its end, and the digest · pages: only what needs a person, no digest. Default: pages for pagerduty, else asks',
    ),
    groups: said(z.optional(z.array(z.string().check(z.minLength(1)))), 'Only incidents of these groups: asg/web'),
    remediations: said(z.optional(z.array(z.enum(names as [string, ...string[]]))), 'Only incidents of these'),
    key: said(
      z.optional(z.string().check(z.regex(/^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[\w-]+$/))),
      'ARN of the customer managed KMS key that encrypts the secret or the topic, if one does',
    ),
  };
  return z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('slack'),
      channel: said(z.string().check(z.regex(/^[CGD][A-Z0-9]{6,20}$/)), 'Id of the Slack channel: C0123456789'),
      secret: secret('The bot token, xoxb-…'),
      ...common,
    }),
    z.strictObject({
      type: z.literal('webhook'),
      url: said(
        z.string().check(z.regex(/^(https:\/\/[^\s/@]+|http:\/\/(127\.0\.0\.1|localhost)(:\d+)?)(\/\S*)?$/)),
        'Where to post: https only (http to loopback in the sandbox)',
      ),
      secret: secret('The key of the signature, at least 16 characters'),
      ...common,
    }),
    z.strictObject({
      type: z.literal('pagerduty'),
      secret: secret('The integration key of an Events API v2 integration'),
      region: said(z._default(z.enum(['us', 'eu']), 'us'), 'Service region of the PagerDuty account'),
      ...common,
    }),
    z.strictObject({
      type: z.literal('sns'),
      topic: said(
        z.string().check(z.regex(/^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/)),
        'ARN of the topic (no FIFO); e-mail, SMS and the rest are its subscriptions',
      ),
      ...common,
    }),
  ]);
};
export type ChannelConfig = z.output<ReturnType<typeof channelSchema>>;

/** What a kind of channel can do. */
export interface Traits {
  /** A message can be replaced: it is told each change. Others are told only what a person must know: it asks, it is over. */
  readonly edits: boolean;
  /** Lines can hang below a message. */
  readonly threads: boolean;
  /** Milliseconds between two messages. Slack: "one message per second per channel" (Web API rate limits). */
  readonly spacing: number;
}
export const TRAITS: Readonly<Record<ChannelConfig['type'], Traits>> = {
  slack: { edits: true, threads: true, spacing: 1_100 },
  webhook: { edits: true, threads: false, spacing: 0 },
  pagerduty: { edits: false, threads: false, spacing: 0 },
  sns: { edits: false, threads: false, spacing: 0 },
};

export const whatOf = ({ what, type }: ChannelConfig): What => what ?? (type === 'pagerduty' ? 'pages' : 'asks');

/** A person must do something now. */
export const needsPerson = ({ state, approval }: Incident): boolean =>
  state === 'escalated' || (state === 'asking' && approval === undefined);

/** Since when, for those that do. */
export const needSince = ({ state, ask, escalatedAt, openedAt }: Incident): Time =>
  (state === 'asking' ? ask?.since : escalatedAt) ?? openedAt;

/** The health of a channel is a parameter of Steward's own: `/steward/<stage>/channel/<name>`. */
export const healthName = (stage: string, channel: string): string => `/steward/${stage}/channel/${channel}`;

/** A channel is not told that it fails itself. */
const isOwn = (target: string, name: string): boolean =>
  target.includes(':parameter/steward/') && target.endsWith(`/channel/${name}`);

/** Is this incident any business of the channel? */
export const concerns = (name: string, { groups, remediations }: ChannelConfig, i: Incident): boolean =>
  !isOwn(i.target, name) &&
  (groups === undefined || (i.group !== undefined && groups.includes(i.group))) &&
  (remediations === undefined || remediations.includes(i.remediation));

/** Does it begin a message now? One that is begun is kept up to date whatever becomes of the incident. */
export const opensMessage = (name: string, config: ChannelConfig, i: Incident): boolean => {
  if (i.state === 'closed' || !concerns(name, config, i)) return false;
  if (needsPerson(i)) return true;
  return whatOf(config) === 'all' && (i.attempts.length > 0 || i.state === 'refused' || i.state === 'asking');
};
