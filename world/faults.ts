/** What goes wrong on purpose: by exact count for a test's one case, by chance for the simulation. */
import type { Clock } from './clock.ts';
import type { Random } from './random.ts';
import { AwsError, ReplyLost, type Service } from './service.ts';

/** A kind is said in each service's own words; any other code is used as it stands. */
export type FaultKind = 'throttle' | 'internal' | 'denied' | 'drop' | 'delay';

export type Fault = {
  /** Default: `internal`. `drop`: the connection breaks and no answer comes. `delay`: the answer is only late. */
  kind?: FaultKind;
  code?: string;
  message?: string;
  status?: number;
  /** The operation runs first; then its answer is replaced by the fault. */
  afterEffect?: boolean;
  /** By the world's clock: with a fake clock somebody has to let it pass. */
  delayMs?: number;
};

export type ChanceOfFault = Fault & { probability: number; service?: string; operation?: string };

export type Bucket = { size: number; perSecond: number };

export interface Faults {
  /** The next `times` (1) calls of the operation fail so. `*` stands for every operation of the service. */
  failNext(service: string, operation: string, fault?: Fault & { times?: number }): void;
  /** Each call fails so with the given probability, until `clear`. */
  sometimes(fault: ChanceOfFault): void;
  /** Real throttling: a token bucket for one operation, or `*` for the service's operations together. */
  limit(service: string, operation: string, bucket: Bucket): void;
  clear(): void;
  /** The fault that hits this call, if any. */
  next(service: Service, operation: string): Fault | undefined;
}

/** "DescribeInstances 50 + 10/s": EC2 API Reference, "Request token bucket sizes and refill rates". */
export const EC2_DESCRIBE_BUCKET: Bucket = { size: 50, perSecond: 10 };

export const createFaults = (clock: Clock, random: Random): Faults => {
  let exact: { key: string; fault: Fault; left: number }[] = [];
  let chances: ChanceOfFault[] = [];
  const buckets = new Map<string, Bucket & { tokens: number; at: number }>();

  const takeToken = (key: string): boolean => {
    const bucket = buckets.get(key);
    if (!bucket) return true;
    bucket.tokens = Math.min(bucket.size, bucket.tokens + ((clock.now() - bucket.at) / 1000) * bucket.perSecond);
    bucket.at = clock.now();
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  };

  return {
    failNext: (service, operation, { times = 1, ...fault } = {}) => {
      exact.push({ key: `${service}.${operation}`, fault, left: times });
    },
    sometimes: (fault) => {
      chances.push(fault);
    },
    limit: (service, operation, bucket) => {
      buckets.set(`${service}.${operation}`, { ...bucket, tokens: bucket.size, at: clock.now() });
    },
    clear: () => {
      exact = [];
      chances = [];
      buckets.clear();
    },
    next: ({ name }, operation) => {
      const keys = [`${name}.${operation}`, `${name}.*`];
      const hit = exact.find(({ key }) => keys.includes(key));
      if (hit) {
        hit.left -= 1;
        if (hit.left <= 0) exact = exact.filter((entry) => entry !== hit);
        return hit.fault;
      }
      if (!keys.every(takeToken)) return { kind: 'throttle' };
      return chances.find(
        (fault) =>
          (fault.service ?? name) === name &&
          (fault.operation ?? operation) === operation &&
          random.chance(fault.probability),
      );
    },
  };
};

const messages: Record<Exclude<FaultKind, 'drop' | 'delay'>, string> = {
  throttle: 'Rate exceeded',
  internal: 'An internal error has occurred',
  denied: 'You are not authorized to perform this operation.',
};

/** The fault as the error this service would answer with; undefined for one that only delays. */
export const faultError = (fault: Fault, { words }: Service): Error | undefined => {
  const kind = fault.kind ?? 'internal';
  if (kind === 'delay') return undefined;
  if (kind === 'drop') return new ReplyLost('socket hang up');
  const [code, status] = words[kind === 'throttle' ? 'throttled' : kind];
  return new AwsError(
    fault.code ?? code,
    fault.message ?? messages[kind],
    fault.status ?? (fault.code ? undefined : status),
  );
};
