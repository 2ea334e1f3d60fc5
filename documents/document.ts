/** SSM Command documents from the scripts beside them. SSM puts parameters into the text of the script: each has a pattern that admits nothing but its own form. */
import { readFileSync } from 'node:fs';

export interface Parameter {
  readonly description: string;
  readonly allowedPattern: string;
  /** The environment variable in which the script finds it. */
  readonly variable: string;
}

export interface DocumentContent {
  readonly schemaVersion: '2.2';
  readonly description: string;
  readonly parameters: Readonly<Record<string, { type: 'String'; description: string; allowedPattern: string }>>;
  readonly mainSteps: readonly {
    action: 'aws:runShellScript';
    name: string;
    precondition: { StringEquals: ['platformType', 'Linux'] };
    inputs: { timeoutSeconds: string; runCommand: readonly string[] };
  }[];
}

export const parameters = {
  Mount: {
    description: 'Mount point of the file system, base64',
    allowedPattern: '^[A-Za-z0-9+/]{1,5464}={0,2}$',
    variable: 'STEWARD_MOUNT',
  },
  Unit: {
    description: 'Name of the systemd unit or of the container, base64',
    allowedPattern: '^[A-Za-z0-9+/]{1,340}={0,2}$',
    variable: 'STEWARD_UNIT',
  },
  Kind: {
    description: 'What it is',
    allowedPattern: '^(unit|container)$',
    variable: 'STEWARD_KIND',
  },
  Agent: {
    description: 'Which agent',
    allowedPattern: '^(cloudwatch|ecs)$',
    variable: 'STEWARD_AGENT',
  },
  Action: {
    description: 'What to do with it',
    allowedPattern: '^(install|configure|prove|restart)$',
    variable: 'STEWARD_ACTION',
  },
  Config: {
    description: 'Its configuration, base64; empty for a restart. SSM takes at most 4 KiB',
    allowedPattern: '^[A-Za-z0-9+/]{0,4000}={0,2}$',
    variable: 'STEWARD_CONFIG',
  },
  Group: {
    description: 'The log group that the agent ships our file to; empty: it is not given it',
    allowedPattern: '^[A-Za-z0-9/_.-]{0,200}$',
    variable: 'STEWARD_GROUP',
  },
  Watch: {
    description:
      'sessions: who comes in and goes, and what is run by sudo; commands: every program started in a login, too',
    allowedPattern: '^(sessions|commands)$',
    variable: 'STEWARD_WATCH',
  },
  Token: {
    description: 'The same token does its work once',
    allowedPattern: '^[A-Za-z0-9-]{1,64}$',
    variable: 'STEWARD_TOKEN',
  },
  Detail: {
    description: 'full: with what fills the file systems',
    allowedPattern: '^(usage|full)$',
    variable: 'STEWARD_DETAIL',
  },
  MinAgeHours: {
    description: 'What changed within so many hours is left alone',
    allowedPattern: '^[0-9]{1,5}$',
    variable: 'STEWARD_MIN_AGE_HOURS',
  },
  JournalMiB: {
    description: 'The journal is cut to this size',
    allowedPattern: '^[0-9]{1,6}$',
    variable: 'STEWARD_JOURNAL_MIB',
  },
} as const satisfies Record<string, Parameter>;

const text = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8');

/** @param timeoutSeconds after which the agent ends it; a growth may take long on a large file system */
export const command = (
  name: string,
  description: string,
  names: readonly (keyof typeof parameters)[],
  scripts: readonly string[],
  timeoutSeconds: number,
): DocumentContent => ({
  schemaVersion: '2.2',
  description,
  parameters: Object.fromEntries(
    names.map((n) => {
      const { description: about, allowedPattern } = parameters[n];
      return [n, { type: 'String' as const, description: about, allowedPattern }];
    }),
  ),
  mainSteps: [
    {
      action: 'aws:runShellScript',
      name: name.replaceAll('-', ''),
      precondition: { StringEquals: ['platformType', 'Linux'] },
      inputs: {
        timeoutSeconds: `${timeoutSeconds}`,
        runCommand: [
          ...names.map((n) => `${parameters[n].variable}='{{ ${n} }}'`),
          ...scripts.flatMap((file) => text(file).trimEnd().split('\n')),
        ],
      },
    },
  ],
});
