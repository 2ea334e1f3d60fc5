/** What every command of the CLI has in common: the function that it asks, and how what comes is shown. */
import type { TrailSource } from '../shared/activity/audit.ts';
import type { ActivityWhere } from '../shared/runtime/activityQuestions.ts';
import type { Done, Question, Reply, Command as Wish } from '../shared/runtime/answer.ts';
import type { OpenLog } from './activity.ts';
import { Failure } from './failure.ts';
import type { Steward, Where } from './lambda.ts';
import { type Paint, paintOf } from './paint.ts';

/** The outside, so that tests can be it. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly colors: boolean;
  /** Characters in a line of the terminal; undefined: a pipe, nothing is wrapped. */
  readonly width?: number | undefined;
  /** A person sits there who can be asked. */
  readonly asks: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly sleep: (ms: number) => Promise<void>;
  readonly confirm: (question: string) => Promise<boolean>;
  readonly connect: (where: Where) => Promise<Steward>;
  /** The activity log itself, with the caller's own credentials. */
  readonly openLog: (log: ActivityWhere, where: Where) => Promise<OpenLog>;
  /** A checkpoint of the second account's: the object, or the newest below it. */
  readonly readCopy: (address: string, where: Where) => Promise<string>;
  /** CloudTrail and the trail's bucket, likewise. */
  readonly openTrail: (log: ActivityWhere, where: Where) => Promise<TrailSource>;
}

/** Rendering is loaded with the first answer, not for `--help`. */
export const view = () => import('./show.ts');

export interface Common extends Where {
  readonly json?: boolean;
  readonly color: boolean;
}

/** One run: what the commands share. */
export interface Run {
  readonly io: Io;
  exit: number;
}

const unwrap = <T>(reply: Reply): T => {
  if (reply.ok) return reply.result as T;
  throw new Failure(reply.kind, reply.message, reply.remedy);
};

/** The function and the printer for one command. */
export const session = async (run: Run, options: Common) => {
  const { io } = run;
  const steward = await io.connect({
    stage: options.stage,
    ...(options.region ? { region: options.region } : {}),
    ...(options.profile ? { profile: options.profile } : {}),
  });
  const show = async <T>(result: T, lines: (result: T, p: Paint) => string[]): Promise<void> => {
    if (options.json) io.out(JSON.stringify(result, null, 2));
    else io.out(lines(result, paintOf(io.colors && options.color, io.width)).join('\n'));
  };
  return {
    ask: async <T>(question: Question): Promise<T> => unwrap<T>(await steward.ask(question)),
    /** Asks, and shows what comes. */
    answer: async <T>(question: Question, lines: (result: T, p: Paint) => string[]): Promise<void> =>
      show(unwrap<T>(await steward.ask(question)), lines),
    /** Commands, and shows what came of it. */
    obey: async (wish: Wish): Promise<void> => show(unwrap<Done>(await steward.command(wish)), (await view()).showDone),
    command: async (wish: Wish): Promise<Done> => unwrap<Done>(await steward.command(wish)),
    show,
    print: (lines: readonly string[]): void => io.out(lines.join('\n')),
    paint: paintOf(io.colors && options.color, io.width),
    openLog: (log: ActivityWhere) => io.openLog(log, options),
    readCopy: (address: string) => io.readCopy(address, options),
    openTrail: (log: ActivityWhere) => io.openTrail(log, options),
    /** Asks where someone can be asked; what is not a terminal has said yes by giving the command. */
    isMeant: async (question: string, yes: boolean | undefined): Promise<boolean> =>
      yes || options.json || !io.asks || (await io.confirm(question)),
  };
};
export type Session = Awaited<ReturnType<typeof session>>;
