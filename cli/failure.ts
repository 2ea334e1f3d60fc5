/** What goes wrong, as one sentence and an exit code. */
import type { Reply } from '../shared/runtime/answer.ts';

export const EXIT = { fine: 0, failed: 1, usage: 2, refused: 3, missing: 4 } as const;
export type Kind = Extract<Reply, { ok: false }>['kind'] | 'not-deployed';

const CODES: Readonly<Record<Kind, number>> = {
  failed: EXIT.failed,
  invalid: EXIT.usage,
  refused: EXIT.refused,
  'not-found': EXIT.missing,
  'not-deployed': EXIT.missing,
};

export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: Kind;
  readonly remedy: string | undefined;
  constructor(kind: Kind, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.remedy = remedy;
  }
  get code(): number {
    return CODES[this.kind];
  }
}
