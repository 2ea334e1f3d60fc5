/** `steward`: reads the words, asks the function, shows the answer. It decides nothing. */
import { CommanderError } from 'commander';
import { InvalidInput } from '../shared/core/errors.ts';
import { EXIT, Failure } from './failure.ts';
import { paintOf } from './paint.ts';
import { program } from './program.ts';
import type { Io, Run } from './session.ts';

const tell = (e: Failure, argv: readonly string[], { io }: Run): number => {
  if (argv.includes('--json'))
    io.out(
      JSON.stringify(
        { error: { kind: e.kind, message: e.message, ...(e.remedy ? { remedy: e.remedy } : {}) } },
        null,
        2,
      ),
    );
  else {
    const p = paintOf(io.colors && !argv.includes('--no-color'));
    io.err(`${p.red('✗')} ${e.message}${e.remedy ? `\n  ${p.cyan(`→ ${e.remedy}`)}` : ''}`);
  }
  return e.code;
};

/** @returns the exit code */
export const main = async (argv: readonly string[], io: Io): Promise<number> => {
  const run: Run = { io, exit: EXIT.fine };
  try {
    await program(run).parseAsync(argv, { from: 'user' });
    return run.exit;
  } catch (e) {
    if (e instanceof CommanderError) return e.exitCode === 0 ? EXIT.fine : EXIT.usage;
    return tell(
      e instanceof Failure
        ? e
        : new Failure(e instanceof InvalidInput ? 'invalid' : 'failed', e instanceof Error ? e.message : String(e)),
      argv,
      run,
    );
  }
};
