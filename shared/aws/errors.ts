/** AWS's error codes → ours, by what the caller can do. The cause is always kept. */
import { Forbidden, NotFound, Refused, StewardError, Throttled, Unavailable } from '../core/errors.ts';

const THROTTLED = new Set([
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'RequestLimitExceeded',
  'RequestThrottled',
  'RequestThrottledException',
  'TooManyRequestsException',
  'ProvisionedThroughputExceededException',
  'TransactionInProgressException',
  'PriorRequestNotComplete',
  'SlowDown',
  'KmsThrottlingException',
]);
const FORBIDDEN = new Set([
  'UnauthorizedOperation',
  'AccessDenied',
  'AccessDeniedException',
  'AuthFailure',
  'OptInRequired',
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'SignatureDoesNotMatch',
  'CredentialsProviderError',
]);
const NOT_FOUND = new Set([
  'InvalidInstanceID.NotFound',
  'InvalidInstanceID.Malformed',
  'InvalidVolume.NotFound',
  'ParameterNotFound',
  'ResourceNotFoundException',
  'ResourceNotFound',
]);

interface SdkError {
  readonly name?: string;
  readonly Code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/**
 * An SDK error as one of ours; what is ours already passes through.
 * @param what the sentence's beginning: 'cannot grow vol-1'
 */
export const asOurs = (e: unknown, what: string): StewardError => {
  if (e instanceof StewardError) return e;
  const { name = 'Error', Code, message = '', $metadata } = (e ?? {}) as SdkError;
  const code = Code ?? name;
  const status = $metadata?.httpStatusCode;
  const words = `${what}: ${message || code}`;
  const options = { cause: e };
  if (THROTTLED.has(code) || status === 429) return new Throttled(words, options);
  if (FORBIDDEN.has(code)) return new Forbidden(words, options);
  if (NOT_FOUND.has(code)) return new NotFound(words, options);
  // No status: no answer came. 5xx: an answer that does not prove that nothing happened.
  if (status === undefined || status >= 500) return new Unavailable(words, options);
  return new Refused(code, words, options);
};

/** Runs one AWS call; whatever it throws is one of our errors. */
export const calling = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
  try {
    return await call();
  } catch (e) {
    throw asOurs(e, what);
  }
};
