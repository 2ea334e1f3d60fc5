/**
 * A storm over a fleet: thousands of instances fail at once, and each has an alarm. Steward's own code runs as it is deployed: a queue with SQS's
 * semantics, function environments that share nothing but the table, AWS's calls throttled at AWS's rates, each taking its time. What the
 * design promises is checked at every step of the clock.
 */

import { read } from '../../events/read.ts';
import { proofGroup } from '../../shared/core/agents.ts';
import { reports } from '../../shared/core/documents.ts';
import { InvalidInput } from '../../shared/core/errors.ts';
import { rolePolicy } from '../../shared/core/permissions.ts';
import { defaultPolicy, type Policy } from '../../shared/core/policy.ts';
import { minutes, seconds } from '../../shared/core/time.ts';
import { remediations } from '../../shared/remediations/index.ts';
import { answerMessage, type Outcome } from '../../shared/runtime/heal.ts';
import { type Swept, sweep } from '../../shared/runtime/sweep.ts';
import { reachAws, surveyed, type Wired } from '../../shared/runtime/wire.ts';
import { createClock } from '../../world/clock.ts';
import { type Asked, type Direct, directly } from '../../world/direct.ts';
import { addDocument } from '../../world/documents.ts';
import { addRole, addUser } from '../../world/iam.ts';
import { makeLogGroup } from '../../world/logs.ts';
import type { AwsError } from '../../world/service.ts';
import { createWorld, type World } from '../../world/world.ts';
import { createQueue } from './queue.ts';
import { RATES } from './rates.ts';
import { stormTable } from './table.ts';

export const STAGE = 'storm';

export interface StormOptions {
  readonly seed?: number;
  readonly policy?: object;
  /** As deployed: `functions/heal/function.yml`. */
  readonly environments?: number;
  /** AWS throttles at its real rates. */
  readonly throttled?: boolean;
  /** No host publishes a metric, so that the storm is the only thing that happens. */
  readonly metrics?: boolean;
}

/** What one call takes, of AWS and of the table. The clock's grid: calls end together, and 10,000 instances stay cheap. */
const CALL = 60;
const TABLE_CALL = 10;

export const createStorm = ({
  seed = 1,
  policy = {},
  environments = 16,
  throttled = true,
  metrics = false,
}: StormOptions = {}) => {
  const stage = STAGE;
  const clock = createClock();
  const world: World = createWorld({ seed, clock, metrics });
  const random = world.random.fork('storm');
  for (const name of Object.keys(reports)) addDocument(world, `steward-${stage}-${name}`);
  const checked: Policy = defaultPolicy(remediations, policy);
  for (const r of remediations)
    addRole(world, `steward-${stage}-remedy-${r.name}`, [rolePolicy(r.permissions, { stage }) as never]);
  makeLogGroup(world, { name: proofGroup(stage), retention: 1 });
  const credentials = addUser(world, 'heal', [{ Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] }]);
  if (throttled) for (const [service, operation, bucket] of RATES) world.faults.limit(service, operation, bucket);

  let awake = 0;
  const sleep = async (ms: number): Promise<void> => {
    awake--;
    await clock.sleep(ms);
    awake++;
  };
  const table = stormTable(
    () => clock.now(),
    () => sleep(TABLE_CALL),
  );
  const failures: unknown[] = [];
  const background = (work: () => Promise<void>): void => {
    awake++;
    work()
      .catch((e) => void failures.push(e))
      .finally(() => awake--);
  };

  const { handle, command } = directly(world);
  const throttles: Record<string, number> = {};
  const transport: Direct = {
    handle,
    command: async (asked: Asked, attempt: number) => {
      await sleep(CALL);
      try {
        return await command(asked);
      } catch (e) {
        if (/Throttl|RequestLimit|Rate/.test((e as AwsError).code)) {
          const name = `${asked.service.name}:${asked.operation}`;
          throttles[name] = (throttles[name] ?? 0) + 1;
          // The SDK's own backoff: random up to 0.5 s × 2^n. On the grid.
          await sleep(10 * Math.ceil(random.integer(500 * 2 ** (attempt - 1)) / 10 + 1));
        }
        throw e;
      }
    },
  };

  const queue = createQueue(clock);
  let made = 0;
  const outcomes = { passes: 0, ignored: 0, parked: 0, acted: 0, told: [] as string[], toldOf: new Set<string>() };
  const note = (o: Outcome): void => {
    if (o.ignored !== undefined) outcomes.ignored++;
    if (o.parked) outcomes.parked++;
    for (const a of o.answers) {
      outcomes.passes++;
      if (a.attempt) outcomes.acted++;
      if ((a.state === 'escalated' || a.state === 'asking') && a.incident && !outcomes.toldOf.has(a.incident)) {
        outcomes.toldOf.add(a.incident);
        outcomes.told.push(
          `${a.remediation} ${a.target.split('/').at(-1)}: ${a.refused?.because ?? a.verdict.because}`,
        );
      }
    }
  };

  /** One function environment: its own sessions, clients and whatever it keeps between two batches. */
  const environment = (): Wired => ({
    now: () => clock.now(),
    newId: () => `01J${(++made).toString().padStart(23, '0')}`,
    store: table.store,
    policy: checked,
    home: world.account,
    ...reachAws({
      stage,
      region: world.region,
      now: () => clock.now(),
      sleep,
      transport,
      credentials,
      soon: (run) => void setImmediate(run),
    }),
    queue: { send: async (messages) => void messages.map((m) => queue.send(m.body, (m.delaySeconds ?? 0) * 1000)) },
    alarmTags: async () => ({}),
    common: surveyed({ region: world.region, transport, credentials }),
  });
  const workers = Array.from({ length: environments }, () => ({ deps: environment(), busy: false }));
  const work = (): void => {
    for (const worker of workers) {
      if (worker.busy) continue;
      const batch = queue.receive();
      if (batch.length === 0) return;
      worker.busy = true;
      background(async () => {
        await Promise.all(
          batch.map(async (m) => {
            try {
              note(await answerMessage(m.body, worker.deps, m.waited));
              queue.done(m);
            } catch {
              queue.failed(m);
            }
          }),
        );
        worker.busy = false;
        work();
      });
    }
  };
  queue.onMessage(work);
  world.onEvent((event) => {
    if (isForUs(event)) queue.send(JSON.stringify(event));
  });
  const sweeper = environment();

  const checks: (() => string | undefined)[] = [];
  const violations: string[] = [];
  const check = (): void => {
    for (const c of checks) {
      const wrong = c();
      if (wrong !== undefined && violations.length < 20)
        violations.push(`${new Date(clock.now()).toISOString()} ${wrong}`);
    }
  };

  const settle = async (): Promise<void> => {
    do await new Promise(setImmediate);
    while (awake > 0);
  };
  const swept: Swept[] = [];
  let oldest = 0;
  const run = async (ms: number, until: () => boolean = () => false): Promise<void> => {
    const end = clock.now() + ms;
    await settle();
    while (clock.now() < end && !until()) {
      const minute = Math.floor(clock.now() / minutes(1));
      const next = Math.min(clock.next() ?? end, (minute + 1) * minutes(1), end);
      clock.advance(Math.max(0, next - clock.now()));
      if (Math.floor(clock.now() / minutes(1)) !== minute)
        background(async () => void swept.push(await sweep(sweeper, world.region)));
      await settle();
      oldest = Math.max(oldest, queue.oldestAge());
      check();
    }
    if (failures.length > 0) throw failures[0];
  };

  return {
    world,
    clock,
    table,
    queue,
    policy: checked,
    outcomes,
    throttles,
    violations,
    swept,
    checks,
    run,
    send: (body: string) => queue.send(body),
    oldestSeconds: () => Math.round(oldest / seconds(1)),
    awake: () => awake,
  };
};
export type Storm = ReturnType<typeof createStorm>;

/** The rules of the stack let only these through. */
const isForUs = (event: unknown): boolean => {
  try {
    return 'signals' in read(event);
  } catch (e) {
    if (e instanceof InvalidInput) return true;
    throw e;
  }
};
