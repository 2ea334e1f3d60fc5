/** AWS's error codes → ours, by what the caller can do. The cause is always kept. */
import { Forbidden, NotFound, Refused, StewardError, Throttled, Unavailable } from '../core/errors.ts';

/** Nothing was done, and the same may go later. Sources: the SDK's own list, and each service's "Common Errors". */
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
  // CloudWatch Logs: someone else changes the same group at this moment.
  'OperationAbortedException',
  'SlowDown',
  'KmsThrottlingException',
  'KmsThrottled',
  'EC2ThrottledException',
  // A session or a signature that is too old, by AWS's clock or ours: another one may do. EC2 says RequestExpired for both.
  'ExpiredToken',
  'ExpiredTokenException',
  'RequestExpired',
  'RequestTimeTooSkewed',
  'RequestInTheFuture',
]);
/** Somebody else saved it first, or what it refers to is not everywhere yet. Nothing was done; what is so now is seen by the next look. */
const CHANGED = new Set(['WAFOptimisticLockException', 'WAFUnavailableEntityException']);
const FORBIDDEN = new Set([
  'UnauthorizedOperation',
  'AccessDenied',
  'AccessDeniedException',
  'AuthFailure',
  'OptInRequired',
  'InvalidClientTokenId',
  'UnrecognizedClientException',
  'SignatureDoesNotMatch',
  'InvalidSignatureException',
  'KmsAccessDenied',
  'CredentialsProviderError',
]);
const NOT_FOUND = new Set([
  'InvalidInstanceID.NotFound',
  'InvalidInstanceID.Malformed',
  'InvalidVolume.NotFound',
  'InvalidVpcID.NotFound',
  'InvalidFlowLogId.NotFound',
  'ParameterNotFound',
  'ResourceNotFoundException',
  'ResourceNotFound',
  'TrailNotFoundException',
  // KMS: a key.
  'NotFoundException',
  'NoSuchBucket',
  'ClusterNotFoundException',
  'ServiceNotFoundException',
  'ServiceNotActiveException',
  'ServiceDeploymentNotFoundException',
  // Application Auto Scaling: a scalable target.
  'ObjectNotFoundException',
  'TargetGroupNotFound',
  'RepositoryNotFoundException',
  'TargetGroupNotFoundException',
  'WAFNonexistentItemException',
  'LoadBalancerNotFound',
  'LoadBalancerNotFoundException',
]);

/** EC2 says 500 and means that there is no room: nothing was started. Source: EC2 API error codes, "server error codes". */
const DECLINED = new Set([
  'InsufficientInstanceCapacity',
  'InsufficientHostCapacity',
  'InsufficientCapacity',
  'InsufficientReservedInstanceCapacity',
]);

interface SdkError {
  readonly name?: string;
  readonly Code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** The SDK puts `$metadata` on everything that a call ends with, a broken connection too. An error of the language without it is our bug. */
const isBug = ({ name = '', $metadata }: SdkError): boolean =>
  $metadata === undefined && ['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'].includes(name);

/**
 * An SDK error as one of ours; what is ours already passes through, and so does a bug of ours.
 * @param what the sentence's beginning: 'cannot grow vol-1'
 */
export const asOurs = (e: unknown, what: string): Error => {
  const error = (e ?? {}) as SdkError;
  if (e instanceof StewardError || (e instanceof Error && isBug(error))) return e;
  const { name = 'Error', Code, message = '', $metadata } = error;
  // Services that once spoke query have both: the old code, and the name of the error's shape.
  const code = Code ?? name;
  const is = (codes: ReadonlySet<string>): boolean => codes.has(code) || codes.has(name);
  const status = $metadata?.httpStatusCode;
  const words = `${what}: ${message || code}`;
  const options = { cause: e };
  if (is(THROTTLED) || status === 429) return new Throttled(words, options);
  if (is(FORBIDDEN)) return new Forbidden(words, options);
  if (is(NOT_FOUND)) return new NotFound(words, options);
  if (is(CHANGED)) return new Throttled(words, options);
  if (is(DECLINED)) return new Refused(code, words, options);
  // No status: no answer came. 2xx: one that cannot be read. 5xx: one that does not prove that nothing happened.
  if (status === undefined || status < 400 || status >= 500) return new Unavailable(words, options);
  return new Refused(code, words, options);
};

/** Runs one AWS call; whatever it throws is one of our errors, or a bug. */
export const calling = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
  try {
    return await call();
  } catch (e) {
    throw asOurs(e, what);
  }
};
