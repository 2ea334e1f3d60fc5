/** Posts to what is not AWS. No redirects, a time limit, a bounded answer; errors say whether anything can have arrived. */
import {
  Forbidden,
  messageOf,
  RateLimited,
  Refused,
  type StewardError,
  Throttled,
  Unavailable,
} from '../core/errors.ts';
import { seconds } from '../core/time.ts';

export interface Request {
  readonly url: string;
  readonly method?: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}
export interface Reply {
  readonly status: number;
  readonly text: string;
  /** What `Retry-After` asks for, in ms. */
  readonly afterMs: number | undefined;
}
/** What every adapter needs of the outside. */
export interface Web {
  readonly timeoutMs?: number;
}

const TIMEOUT = seconds(8);
const LONGEST_ANSWER = 256 * 1024;
/** The connection never stood: nothing arrived. Codes of Node's `net` and `tls`. */
const NEVER =
  /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_\w+|ERR_TLS_\w+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE)$/;

const codeOf = (e: unknown): string => {
  const { code, cause } = (e ?? {}) as { code?: unknown; cause?: unknown };
  return typeof code === 'string' ? code : cause === undefined ? '' : codeOf(cause);
};

/** Seconds or a date. */
const retryAfter = (header: string | null): number | undefined => {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header) ? seconds(Number(header)) : Date.parse(header) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, seconds(1)), seconds(3_600)) : undefined;
};

const bounded = async (response: Response): Promise<string> => {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > LONGEST_ANSWER) break;
  }
  return Buffer.concat(chunks).toString('utf8');
};

/** @param what the sentence's beginning: 'cannot post to ops'. @throws Throttled (nothing arrived), Unavailable (nobody knows) */
export const call = async (
  what: string,
  { url, method = 'POST', headers, body }: Request,
  web: Web,
): Promise<Reply> => {
  try {
    const response = await fetch(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(web.timeoutMs ?? TIMEOUT),
      ...(body === undefined ? {} : { body }),
    });
    const text = await bounded(response);
    return { status: response.status, text, afterMs: retryAfter(response.headers.get('retry-after')) };
  } catch (e) {
    const code = codeOf(e);
    const words = `${what}: ${code || messageOf(e)}`;
    throw NEVER.test(code) ? new Throttled(words, { cause: e }) : new Unavailable(words, { cause: e });
  }
};

const REFUSES_ALL = new Set([401, 403, 404, 405, 407, 410]);

/** What a status that is no success means; undefined: it is one. The answer's text is not repeated: it may hold anything. */
export const errorOf = (what: string, { status, afterMs }: Reply): StewardError | undefined => {
  if (status >= 200 && status < 300) return undefined;
  const words = `${what}: it answers ${status}`;
  if (status === 429) return new RateLimited(words, afterMs ?? seconds(30));
  if (status >= 300 && status < 400)
    return new Forbidden(`${words}, a redirect, which is not followed: give the final URL`);
  if (REFUSES_ALL.has(status)) return new Forbidden(words);
  return status >= 500 || status === 408 ? new Unavailable(words) : new Refused(`${status}`, words);
};
