/** Steward's own entries: they follow from what was written down, whatever the table's stream repeats, reorders within a batch, or brings again. */
import { marshall } from '@aws-sdk/util-dynamodb';
import type { Context } from 'aws-lambda';
import { makeHandler } from '../../functions/record/handler.ts';
import { createWriter } from '../../shared/activity/append.ts';
import { type Changed, commandEntry, entriesOf, entryOf, notePolicy } from '../../shared/activity/entries.ts';
import { createHearing } from '../../shared/activity/marks.ts';
import { packed } from '../../shared/aws/packing.ts';
import type { Incident } from '../../shared/core/incident.ts';
import type { Pause, StoreRecord } from '../../shared/core/store.ts';
import { minutes } from '../../shared/core/time.ts';
import { telemetry } from '../../shared/runtime/lambda.ts';
import { breakDisk } from '../../world/fleet.ts';
import { memoryLog } from '../../world/memoryLog.ts';
import { createRandom } from '../../world/random.ts';
import { createAccount } from '../stories/account.ts';
import { ACCOUNT, aLog, allRows, NOW } from './setting.ts';

const HOME = { account: ACCOUNT, region: 'eu-central-1' };

/** A disk that fills and is healed, and all that was written of it. */
const healed = async () => {
  const changes: Changed[] = [];
  const account = createAccount({ onWrite: (change) => void changes.push(change) });
  await account.run(minutes(4));
  const id = account.fleet.web[0]?.id ?? '';
  breakDisk(account.world, id, { path: '/srv', usedPercent: 93, cleanableBytes: 1 << 30 });
  await account.run(minutes(30), () => account.incidentOf(id)?.state === 'closed');
  const incident = account.incidentOf(id);
  if (!incident) throw new Error('there is no incident');
  return { changes, incident, account };
};
const story = healed();

/** As the table's stream has an image, in Lambda's JSON. */
const imageOf = (record: StoreRecord) => {
  const item = marshall(
    {
      pk: 'p',
      sk: 's',
      schema: 1,
      version: record.version + 1,
      ...(record.kind === 'incident' ? packed(record) : record),
    },
    { removeUndefinedValues: true },
  );
  return JSON.parse(
    JSON.stringify(item, (_, value) =>
      // JSON.stringify has made an object of a buffer's bytes by then, or not yet.
      value?.B ? { B: Buffer.from(value.B).toString('base64') } : value,
    ),
  );
};
const streamOf = (changes: readonly Changed[]) => ({
  Records: changes.map(({ before, after, at }) => ({
    eventSource: 'aws:dynamodb',
    dynamodb: {
      ApproximateCreationDateTime: Math.floor(at / 1_000),
      ...(before ? { OldImage: imageOf(before) } : {}),
      ...(after ? { NewImage: imageOf(after) } : {}),
    },
  })),
});

test('each line of the record is an entry, once, however the stream comes; search finds them by incident, target and kind', async () => {
  const { changes, incident } = await story;
  const memory = memoryLog();
  const writer = createWriter({ ...memory, now: () => NOW, shards: 2 });
  const hear = createHearing(memory.table);
  const handler = makeHandler(
    { writer, hear, now: () => NOW, home: HOME, stage: 'test', queue: async () => {} },
    telemetry('test'),
  );
  const told = changes.filter((c) => c.after?.kind === 'incident' || c.after?.kind === 'switches');
  const random = createRandom(4);
  // Metrics are lines of the log.
  const quiet = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  for (let at = 0; at < told.length; at += 3) {
    const batch = told.slice(at, at + 3);
    await handler(streamOf(batch), {} as Context);
    // A batch whose answer was lost comes again, and with it some of the one before.
    if (random.chance(0.5)) await handler(streamOf(told.slice(Math.max(0, at - 2), at + 3)), {} as Context);
  }
  quiet.mockRestore();
  const rows = await allRows(memory, { actor: 'steward', resource: incident.id });
  const said = rows.map((r) => JSON.parse(Buffer.from(r.raw).toString('utf8')));
  expect(said.map((e) => [e.eventTime, e.requestParameters.say]).sort()).toEqual(
    incident.log.map((l) => [new Date(l.at).toISOString(), l.say]).sort(),
  );
  const short = incident.target.split('/').at(-1) ?? '';
  expect((await allRows(memory, { resource: short })).length).toBe(rows.length);
  const reserved = said.filter((e) => e.eventName === 'Reserve');
  expect(
    reserved.map((e) => [e.requestParameters.rung, e.requestParameters.step, e.requestParameters.token]).reverse(),
  ).toEqual(incident.attempts.map((a) => [a.rung, a.step, a.token]));
  expect(new Set(said.map((e) => e.eventName))).toEqual(
    new Set(['Signal', 'Look', 'Reserve', 'PassGuards', 'Outcome', 'Judge', 'Close']),
  );
});

test('the entry of an act is written down before the act: whoever dies in between has said what was meant', async () => {
  const { changes, incident, account } = await story;
  const calls = account.world.calls.filter((c) => ['ModifyVolume', 'SendCommand'].includes(c.operation));
  const acts = incident.attempts.map((a) => a.reservedAt);
  const reservations = changes.flatMap((c) => entriesOf(c)).filter((e) => e.name === 'Reserve');
  expect(reservations.filter((e) => e.about['incidentId'] === incident.id).map((e) => e.at)).toEqual(acts);
  // Each change to AWS that was made for it comes at or after its reservation.
  for (const { at, operation } of calls.filter((c) => c.operation === 'ModifyVolume'))
    expect([operation, acts.some((reserved) => reserved <= at && at < reserved + minutes(3))]).toEqual([
      operation,
      true,
    ]);
});

test('who answered is who did it: by IAM, by link; Steward itself where nobody did', () => {
  const line = (say: string, what = 'answer') => {
    const log = [{ at: NOW, what, say }];
    const after = {
      kind: 'incident',
      id: 'I',
      target: 't',
      remediation: 'full-disk',
      attempts: [],
      log,
    } as unknown as Incident;
    const [entry] = entriesOf({ after, at: NOW });
    return [entry?.name, entry?.by];
  };
  const alice = 'arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_1/alice@example.com';
  expect(line(`${alice} approved at 2026-01-15T08:00:00.000Z: clean /`)).toEqual(['Approve', alice]);
  expect(line(`${alice} said no to: clean / (not now); it is not asked again`)).toEqual(['Deny', alice]);
  expect(line('link:on call approved at 2026-01-15T08:00:00.000Z: clean /')).toEqual(['Approve', 'link:on call']);
  expect(line(`a link for on call, made by ${alice}, was used to approve; whoever had it could use it`)).toEqual([
    'UseLink',
    'link:on call',
  ]);
  expect(line(`${alice} asked at 2026-01-15T08:00:00.000Z to put back what attempt 1 did (x)`)).toEqual([
    'Undo',
    alice,
  ]);
  expect(line('the snooze of alice is over')).toEqual(['Answer', undefined]);
  expect(line('window: it is frozen', 'refused')).toEqual(['Refuse', undefined]);
});

test('a pause, its end, a command, a refused one, a policy: who, what and when', async () => {
  const { writer, ...log } = aLog();
  const pause: Pause = { scope: 'all', by: 'arn:aws:iam::111122223333:user/anna', why: 'a test', at: NOW };
  const paused = { kind: 'switches', version: 1, pauses: [pause] } as const;
  const none = { kind: 'switches', version: 2, pauses: [] } as const;
  const changes: Changed[] = [
    { after: paused, at: NOW },
    { before: paused, after: none, at: NOW + 5_000 },
  ];
  const command = { do: 'test-channel', channel: 'ops' } as const;
  const said = [
    ...changes.flatMap(entriesOf),
    commandEntry(command, { by: pause.by, at: NOW, id: '1' }),
    commandEntry({ do: 'approve', incident: 'I1' }, { at: NOW, id: '2', refused: 'the proof is of another command' }),
  ];
  await writer.append(
    'steward',
    said.map((s) => entryOf(s, HOME)),
  );
  const home = { writer, table: log.table, home: HOME };
  for (const [at, percent] of [
    [1, 20],
    [2, 20],
    [3, 50],
    [4, 50],
    [5, 20],
  ] as const)
    await notePolicy({ ...home, now: NOW + at }, { budget: { percent } });
  const rows = await allRows(log, { actor: 'steward' });
  expect(rows.map(({ activity: a }) => [a.what, a.who[0], a.error ?? '']).sort()).toEqual(
    [
      ['steward:Pause', pause.by, ''],
      ['steward:EndPause', 'steward', ''],
      ['steward:CommandTestChannel', pause.by, ''],
      ['steward:DeployPolicy', 'steward', ''],
      ['steward:DeployPolicy', 'steward', ''],
      ['steward:DeployPolicy', 'steward', ''],
      ['steward:CommandApprove', 'unproven', 'Refused'],
    ].sort(),
  );
});
