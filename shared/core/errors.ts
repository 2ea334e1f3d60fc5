/**
 * Errors by what the caller can do about them. Messages are sentences: subject, action, and the remedy where there is one.
 * Whatever is not one of these is a bug of ours: it is rethrown, alarmed, and its message goes to the dead-letter queue.
 */
export abstract class StewardError extends Error {
  /** Is it worth trying the same again? */
  abstract readonly retry: 'never' | 'later';
}

/** An event, message, policy or host answer that we cannot read. Parked with the reason; never retried. */
export class InvalidInput extends StewardError {
  override readonly name = 'InvalidInput';
  readonly retry = 'never';
}

/** The resource is gone, or never was. */
export class NotFound extends StewardError {
  override readonly name = 'NotFound';
  readonly retry = 'never';
}

/** Someone else wrote first. The next pass sees the truth. */
export class Conflict extends StewardError {
  override readonly name = 'Conflict';
  readonly retry = 'later';
  /** The records (`kind id`) whose version had moved. */
  readonly moved: readonly string[];
  constructor(moved: readonly string[], options?: ErrorOptions) {
    super(`${moved.join(', ') || 'a record'} changed in the meantime`, options);
    this.moved = moved;
  }
}

/** AWS says later, and proves that it did nothing. */
export class Throttled extends StewardError {
  override readonly name = 'Throttled';
  readonly retry = 'later';
}

/** It says when: not before so many milliseconds. */
export class RateLimited extends Throttled {
  readonly afterMs: number;
  constructor(message: string, afterMs: number, options?: ErrorOptions) {
    super(message, options);
    this.afterMs = afterMs;
  }
}

/** No answer, or an answer that leaves open what happened. For a call that changes something: ambiguous. */
export class Unavailable extends StewardError {
  override readonly name = 'Unavailable';
  readonly retry = 'later';
}

/** IAM said no. The message names action and resource. */
export class Forbidden extends StewardError {
  override readonly name = 'Forbidden';
  readonly retry = 'never';
}

/** AWS or the host understood and declined: a limit, a state, a quota. Nothing was changed. */
export class Refused extends StewardError {
  override readonly name = 'Refused';
  readonly retry = 'never';
  /** AWS's or the host's code: `VolumeModificationRateExceeded`, `not-last` … */
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The state table cannot be used as it is: missing, or of another schema. Nothing runs until a person has acted. */
export class StateUnusable extends StewardError {
  override readonly name = 'StateUnusable';
  readonly retry = 'never';
}

export const messageOf = (e: unknown): string => (e instanceof Error ? e.message : String(e));

/** For `catch`: of what is gone there is none. */
export const noneIfGone = (e: unknown): readonly never[] => {
  if (e instanceof NotFound) return [];
  throw e;
};
/** For `catch`. */
export const undefinedIfGone = (e: unknown): undefined => {
  if (e instanceof NotFound) return undefined;
  throw e;
};
/** For `catch`: what may be described no more, too. */
export const undefinedIfRefused = (e: unknown): undefined => {
  if (e instanceof NotFound || e instanceof Refused) return undefined;
  throw e;
};

/** For `catch`: losing a race to write something that is only of help is no harm. */
export const onlyConflict = (e: unknown): void => {
  if (!(e instanceof Conflict)) throw e;
};

/** Someone else wrote first: decide anew on what is so now, at most so often. */
export const again = async <T>(change: () => Promise<T>, most = 5): Promise<T> => {
  for (let tries = 1; ; tries++) {
    try {
      return await change();
    } catch (e) {
      if (!(e instanceof Conflict) || tries >= most) throw e;
    }
  }
};
