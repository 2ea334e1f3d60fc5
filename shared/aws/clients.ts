/** How our SDK clients are made. Credentials and region are always given, never found in the environment by an adapter. */
import { Throttled } from '../core/errors.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** What the SDK takes as a request handler: its options, or a handler of one's own (the tests' world without sockets). */
export type Transport = object;

export interface ClientOptions {
  readonly region: string;
  readonly credentials?: Credentials;
  /** Of a person's machine; a function has none. */
  readonly profile?: string;
  readonly transport?: Transport;
  /** Of a session for an act: so much time has passed that what it was decided on is too old. */
  readonly isLate?: () => boolean;
}

/** Before a change that a read or another call precedes: that may have taken long. @throws Throttled this change was not made; it is decided anew */
export const inTime = ({ isLate }: ClientOptions): void => {
  if (isLate?.()) throw new Throttled('what went before took too long, so this was not done');
};

/** No call takes longer than this; a pass has many. Milliseconds. */
const TIMEOUTS = { connectionTimeout: 2_000, requestTimeout: 8_000 };

/**
 * @param attempts for reads the SDK's own retries are welcome; for calls that change something and have no token, a repetition after a lost
 * reply would be blind: 1
 */
export const clientConfig = ({ region, credentials, profile, transport }: ClientOptions, attempts: number) => ({
  region,
  maxAttempts: attempts,
  requestHandler: transport ?? TIMEOUTS,
  ...(credentials ? { credentials } : {}),
  ...(profile ? { profile } : {}),
});

/** EC2 takes so many values of a filter. */
export const MOST_VALUES = 200;
