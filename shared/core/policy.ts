/**
 * The user's policy, `steward.yml`: every option has a default that is safe. It is read and checked when the stack is packaged; what is
 * deployed is the checked object, so a policy that does not parse deploys nothing.
 */
import * as z from 'zod/mini';
import { type ChannelConfig, channelSchema } from './channels.ts';
import { option, said } from './option.ts';
import { type Reader, readerSchema } from './readers.ts';
import type { Risk } from './remediation.ts';
import { type DeclaredTrail, declaredTrail } from './trails.ts';

export { option } from './option.ts';

export const MODES = ['off', 'watch', 'ask', 'act'] as const;
export type Mode = (typeof MODES)[number];

/** A zod object that is strict about names and whose every field has a default. */
const section = <T extends z.core.$ZodLooseShape>(shape: T) => z.prefault(z.strictObject(shape), {} as never);
const int = (min: number, max: number) => z.int().check(z.gte(min), z.lte(max));
const name = z.string().check(z.minLength(1), z.maxLength(128));

const window = z.strictObject({
  cron: said(z.string().check(z.minLength(9)), 'When it begins: five cron fields, minute to day of week'),
  minutes: said(int(1, 7 * 24 * 60), 'How long it lasts'),
  timezone: option(z.string(), 'UTC', 'IANA time zone of the cron fields'),
  why: option(z.string(), '', 'Said in every refusal'),
});
export type Window = z.output<typeof window>;

export const ANSWERS = ['approve', 'deny', 'snooze', 'undo'] as const;
const recipient = z.strictObject({
  name: said(
    z.string().check(z.regex(/^[\w.@+ -]{1,64}$/)),
    'Whom a link is made for; recorded as link:<name>. Whoever holds the link can use it',
  ),
  is: option(
    z.array(z.string().check(z.regex(/^arn:[\w*-]+:(iam|sts):[\w*-]*:[\d*]*:\S+$/))),
    [],
    'Who that is in IAM, as ARN patterns with *. Without it, what somebody asked for cannot be approved by this recipient: it may be the same person',
  ),
  may: option(z.array(z.enum(ANSWERS)), ['approve', 'deny', 'snooze'], 'Which answers'),
  upTo: option(
    z.enum(['harmless', 'interrupts', 'destroys']),
    'interrupts',
    'The gravest step that may be approved by link or button',
  ),
});
const links = z.strictObject({
  recipients: said(z.array(recipient).check(z.minLength(1)), 'Who may answer by link or button, and what'),
  validMinutes: option(
    int(5, 24 * 60),
    240,
    'How long a link is good for; never longer than the question that it answers',
  ),
  slack: said(
    z.optional(
      z.strictObject({
        signingSecret: said(
          z.string().check(z.regex(/^\/[\w./-]{1,1000}$/)),
          'Name of the SSM parameter (SecureString) with the signing secret of the Slack app',
        ),
        team: said(z.string().check(z.regex(/^[A-Z0-9]{2,20}$/)), "The workspace's id: T…"),
        people: said(
          z.record(z.string().check(z.regex(/^[A-Z0-9]{2,20}$/)), z.string()),
          'Recipient of each Slack user id: { U012AB3CD: alice }. Others are refused',
        ),
      }),
    ),
    'Slack buttons. The request URL of the app is the endpoint with /slack',
  ),
});
export type Links = z.output<typeof links>;
export type Recipient = Links['recipients'][number];

/** What every remediation can be told. Its own options stand beside these. */
export const commonSettings = {
  mode: said(
    z.optional(z.enum(MODES)),
    'off: never look · watch: look and say what would be done · ask: a person approves each step · act. Default: by risk and preset',
  ),
  coolDownMinutes: option(
    int(0, 24 * 60),
    10,
    'Pause before the same rung is tried again on a target; doubles with each attempt of the day',
  ),
  budget: said(
    section({
      max: option(int(1, 1000), 10, 'At most so many members of a group under repair at once'),
      percent: option(int(1, 100), 20, 'and at most this part of it (at least one)'),
    }),
    'How many of a group may be under repair at once; the stricter of both holds',
  ),
  costCapUsdPerMonth: option(
    z.number().check(z.gte(0), z.lte(1_000_000)),
    100,
    'What its steps may add to the monthly bill, summed over a calendar month and all targets',
  ),
  askForHours: option(int(1, 24 * 14), 24, 'How long a question to a person stays open'),
};

export interface Settings {
  /** For steps of the remediation's own risk. */
  readonly mode: Mode;
  /** A mode that the policy names holds for every risk; else each risk has the preset's. */
  readonly modes: Readonly<Record<Risk, Mode>>;
  readonly attemptsPerDay: number;
  readonly coolDownMinutes: number;
  readonly budget: { readonly max: number; readonly percent: number };
  readonly costCapUsdPerMonth: number;
  readonly askForHours: number;
  readonly options: Readonly<Record<string, unknown>>;
}

export interface ActivityOptions {
  /** What hosts ship. */
  readonly hosts: 'off' | 'sessions' | 'commands';
  readonly backfillDays: number;
  readonly floodAbove: number;
  readonly reads: boolean;
  readonly readers: readonly Reader[];
  readonly hotDays: number;
  readonly keepYears: number;
  readonly lock: { readonly mode: 'governance' | 'compliance'; readonly days: number };
  /** Absent: checkpoints are in this account alone. */
  readonly copy?: { readonly bucket: string; readonly account: string } | undefined;
}

export interface Policy {
  readonly scope: 'tagged' | 'all';
  readonly tags: { readonly managed: string; readonly ignore: string; readonly group: string };
  readonly accounts: readonly string[];
  readonly trusted: readonly string[];
  readonly trails: Readonly<Record<string, DeclaredTrail>>;
  readonly activity: ActivityOptions;
  readonly freeze: readonly Window[];
  readonly maintenance: readonly Window[];
  readonly breaker: {
    readonly percent: number;
    readonly atLeast: number;
    readonly withinMinutes: number;
    readonly clearMinutes: number;
    readonly zonePercent: number;
  };
  readonly signalMaxAgeMinutes: number;
  /** Absent: nobody answers by link, and nothing is public. */
  readonly links?: Links | undefined;
  readonly retentionDays: number;
  /** Who is told, by name. */
  readonly channels: Readonly<Record<string, ChannelConfig>>;
  readonly digest: { readonly cron: string; readonly timezone: string };
  readonly remediations: Readonly<Record<string, Settings>>;
}

/** What the policy needs to know of a remediation. */
export interface Configurable {
  readonly name: string;
  readonly risk: Risk;
  readonly options: z.ZodMiniType<unknown>;
  readonly attemptsPerDay?: number;
}

const shapeOf = (options: z.ZodMiniType<unknown>): z.core.$ZodLooseShape =>
  (
    options as unknown as {
      def: { innerType?: { def: { shape: z.core.$ZodLooseShape } }; shape?: z.core.$ZodLooseShape };
    }
  ).def.shape ?? {};

/** The schema of steward.yml, for these remediations. `z.toJSONSchema` of it is published for editors. */
export const policySchema = (remediations: readonly Configurable[]) =>
  z.strictObject({
    version: option(z.literal(1), 1, 'Version of this format'),
    preset: option(
      z.enum(['cautious', 'automatic']),
      'cautious',
      'cautious: acts where it is harmless, asks where it interrupts or destroys · automatic: acts where it interrupts, too. What destroys acts only if its remediation says mode: act',
    ),
    scope: option(
      z.enum(['tagged', 'all']),
      'tagged',
      'tagged: only what carries the managed tag with the value true · all: everything but what carries the ignore tag',
    ),
    tags: said(
      section({
        managed: option(name, 'steward:managed', 'Tag that opts in (value: true)'),
        ignore: option(name, 'steward:ignore', 'Tag that opts out, whatever its value but false; wins over everything'),
        group: option(name, 'steward:group', 'Tag that names the group of what is in no Auto Scaling group'),
      }),
      'Names of the tags that Steward reads',
    ),
    accounts: option(
      z.array(z.string().check(z.regex(/^\d{12}$/))),
      [],
      'Other accounts that Steward may act in, beside its own; each needs its roles',
    ),
    trusted: option(
      z.array(z.string().check(z.regex(/^arn:[\w*-]+:[\w*-]*:[\w*-]*:[\d*]*:\S+$/))),
      [],
      'Principals whose changes are intended, as ARN patterns with *: the role of Terraform or CloudFormation. What they change is not put back',
    ),
    trails: option(
      z.record(z.string(), declaredTrail),
      {},
      'What CloudTrail trails must be, by name: { audit: { bucket: my-logs } }. A trail named here is Steward’s to restore, tagged or not. What is not declared is taken from the trail’s own history of 90 days',
    ),
    activity: said(
      section({
        backfillDays: option(
          int(0, 90),
          1,
          'So far back the activity log begins: by the trail’s files, or by LookupEvents where there is no trail',
        ),
        floodAbove: option(
          int(0, 1_000_000),
          0,
          'So many calls alike that only read, by one actor in one file of the trail, are kept whole; of more, the last, and one entry that counts those between. 0: all are kept whole',
        ),
        reads: option(
          z.boolean(),
          false,
          'Calls that only read come within seconds as well, by EventBridge; else with the trail’s files. There are many of them: each costs as much as one that changes something',
        ),
        readers: option(
          z.array(readerSchema),
          [],
          'Who may search the log, and what of it. None: whoever may invoke the function steward-<stage>-answer, all of it',
        ),
        hotDays: option(
          int(7, 3650),
          90,
          'So long events stay in the table, if the archive has them by then; of days that are archived after the change',
        ),
        keepYears: option(int(1, 100), 7, 'So long events stay in the archive'),
        lock: said(
          section({
            mode: option(
              z.enum(['governance', 'compliance']),
              'governance',
              'compliance: nobody can delete what is younger than that, neither root nor AWS; the bucket, and what it costs, stay until then',
            ),
            days: option(int(1, 36_500), 90, 'So long nothing that was written into the bucket can be deleted'),
          }),
          'Object Lock of the log’s bucket: checkpoints and archive',
        ),
        hosts: option(
          z.enum(['off', 'sessions', 'commands']),
          'off',
          'What hosts ship into it, by a shipper that State Manager installs and the CloudWatch agent: off · sessions: who comes in and goes, sudo and su · commands: every program that is started in a login as well, where auditd is installed',
        ),
        copy: said(
          z.optional(
            z.strictObject({
              bucket: said(
                z.string().check(z.regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)),
                'Its name; its policy has to let steward-<stage>-audit put objects below checkpoints/',
              ),
              account: said(
                z.string().check(z.regex(/^\d{12}$/)),
                'The account that owns it: nothing is put into another’s',
              ),
            }),
          ),
          'A bucket of another account, to which each signed checkpoint is put as well',
        ),
      }),
      'The log of who did what in the account',
    ),
    freeze: option(z.array(window), [], 'Times in which nothing is done'),
    maintenance: option(
      z.array(window),
      [],
      'If there are any: the only times in which something that interrupts or destroys is done',
    ),
    breaker: said(
      section({
        percent: option(int(1, 100), 50, 'More than this part of a group newly in trouble'),
        atLeast: option(int(2, 1000), 3, 'but at least so many'),
        withinMinutes: option(int(1, 60), 5, 'within so many minutes: one cause, not many patients'),
        clearMinutes: option(int(1, 24 * 60), 10, 'It ends when that has been over for so long'),
        zonePercent: option(
          int(1, 100),
          25,
          'The same of a zone: more than this part of the instances that run there, and at least ten, whatever their groups',
        ),
      }),
      'When many fail at once, nothing new is done to them until a person has looked or it is over',
    ),
    signalMaxAgeMinutes: option(int(1, 24 * 60), 15, 'An older signal opens no act by itself: two looks must agree'),
    links: said(
      z.optional(links),
      'Answers by signed links and Slack buttons. It makes a public HTTPS endpoint (a Lambda function URL). Without it there is none',
    ),
    retentionDays: option(int(30, 3650), 400, 'Closed incidents are kept so long'),
    channels: said(
      z._default(
        z.record(
          z.string().check(z.regex(/^[a-z0-9][a-z0-9-]{0,39}$/)),
          channelSchema(remediations.map((r) => r.name)),
        ),
        {},
      ),
      'Who is told what, by a name of your own: { ops: { type: slack, channel: C0123456789, secret: /steward/slack-token } }',
    ),
    digest: said(
      section({
        cron: option(z.string().check(z.minLength(9)), '0 9 * * *', 'When it is told: five cron fields'),
        timezone: option(z.string(), 'UTC', 'IANA time zone of the cron fields'),
      }),
      'When channels are told, in one message, of what healed without a person. Nothing healed: no message',
    ),
    remediations: said(
      z.prefault(
        z.strictObject(
          Object.fromEntries(
            remediations.map((r) => [
              r.name,
              section({
                ...commonSettings,
                attemptsPerDay: option(
                  int(1, 50),
                  r.attemptsPerDay ?? 3,
                  'Attempts on one target in 24 hours; then a person',
                ),
                ...shapeOf(r.options),
              }),
            ]),
          ),
        ),
        {} as never,
      ),
      'Settings of each remediation',
    ),
  });

const modeOf = (risk: Risk, preset: 'cautious' | 'automatic', named: Mode | undefined): Mode =>
  named ?? (risk === 'harmless' || (risk === 'interrupts' && preset === 'automatic') ? 'act' : 'ask');

/** From the parsed file to what the gate uses. `parsed` must come from `policySchema(remediations)`. */
export const resolvePolicy = (
  parsed: z.output<ReturnType<typeof policySchema>>,
  remediations: readonly Configurable[],
): Policy => {
  const { version: _, preset, remediations: given, ...rest } = parsed;
  const settings = (r: Configurable): Settings => {
    const { mode, attemptsPerDay, coolDownMinutes, budget, costCapUsdPerMonth, askForHours, ...options } = (
      given as Record<string, Omit<Settings, 'mode' | 'modes' | 'options'> & { mode?: Mode }>
    )[r.name] as Omit<Settings, 'mode' | 'modes' | 'options'> & { mode?: Mode };
    return {
      mode: modeOf(r.risk, preset, mode),
      modes: {
        harmless: modeOf('harmless', preset, mode),
        interrupts: modeOf('interrupts', preset, mode),
        destroys: modeOf('destroys', preset, mode),
      },
      attemptsPerDay,
      coolDownMinutes,
      budget,
      costCapUsdPerMonth,
      askForHours,
      options,
    };
  };
  return { ...rest, remediations: Object.fromEntries(remediations.map((r) => [r.name, settings(r)])) };
};

/** All defaults, for tests and for a first deploy without a file. */
export const defaultPolicy = (remediations: readonly Configurable[], given: unknown = {}): Policy =>
  resolvePolicy(policySchema(remediations).parse(given), remediations);
