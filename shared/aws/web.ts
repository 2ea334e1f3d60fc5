/** Requests to what is public, by Node's own fetch. */
import { messageOf } from '../core/errors.ts';
import type { Web } from '../core/ports.ts';

/** Milliseconds. */
const TIMEOUT = 10_000;

const codeOf = (e: unknown): string => {
  const { code, cause } = (e ?? {}) as { code?: unknown; cause?: unknown };
  return typeof code === 'string' ? code : cause === undefined ? messageOf(e) : codeOf(cause);
};

export const publicWeb: Web = {
  get: async (url) => {
    const began = performance.now();
    const ms = () => Math.round(performance.now() - began);
    try {
      const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT) });
      // What it says is nobody's business here, and may be long.
      await response.body?.cancel();
      return { status: response.status, ms: ms() };
    } catch (e) {
      return { failed: codeOf(e), ms: ms() };
    }
  },
};
