import { randomUUID } from 'node:crypto';
import * as cloudwatch from '@aws-sdk/client-cloudwatch';
import {
  DescribeInstancesCommand,
  DescribeKeyPairsCommand,
  DescribeVolumesCommand,
  EC2Client,
} from '@aws-sdk/client-ec2';
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { CborCodec } from '@smithy/core/cbor';
import fc from 'fast-check';
import { seedFleet } from '../../world/fleet.ts';
import { rootCredentials } from '../../world/iam.ts';
import { normalized, parseForm, readQuery, writeXml } from '../../world/query.ts';
import { services } from '../../world/services.ts';
import { handle, type Listening, listen, requestHandler } from '../../world/wire.ts';
import { createWorld } from '../../world/world.ts';
import { clientsOf, failure } from './clients.ts';

const start = () => {
  const world = createWorld({ metrics: false });
  return { world, fleet: seedFleet(world), ...clientsOf(world) };
};

/** A signed request as a client makes it, of which the world reads only the scope. */
const signed = (service: string, headers: Record<string, string>, body: string | Uint8Array, path = '/') => ({
  method: 'POST',
  path,
  headers: {
    authorization: `AWS4-HMAC-SHA256 Credential=test/20260115/eu-central-1/${service}/aws4_request, SignedHeaders=host, Signature=0`,
    ...headers,
  },
  body: Buffer.from(body),
});
const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** XML 1.0 has no way to write the others. */
const isXmlCharacter = (c: string): boolean =>
  c === '\t' || c === '\n' || (c >= ' ' && c !== '\ufffe' && c !== '\uffff');

describe('the wire', () => {
  test.each(services.map(({ name }) => name))(
    '%s: each behaviour belongs to an operation that the SDK knows',
    (name) => {
      const { api, operations, resources, context = {} } = services.find((one) => one.name === name)!;
      for (const operation of Object.keys(operations)) expect(api[`${operation}$`]).toBeDefined();
      for (const operation of [...Object.keys(resources), ...Object.keys(context)])
        expect(operations[operation]).toBeDefined();
    },
  );

  test('says what the world lacks', async () => {
    const { world, ec2 } = start();
    await expect(ec2.send(new DescribeKeyPairsCommand({}))).rejects.toThrow(
      'The world lacks ec2:DescribeKeyPairs. Its ec2 has: DescribeInstances',
    );
    const answer = await handle(world, signed('braket', {}, ''));
    expect(answer.status).toBe(501);
    expect(Buffer.from(answer.body).toString()).toMatch(/^The world lacks the service braket. It has: ec2, .*sts/);
  });

  test('carries any text through XML and JSON unharmed', async () => {
    const { fleet, ec2, ssm } = start();
    const { database } = fleet;
    await fc.assert(
      fc.asyncProperty(
        fc
          .string({ unit: 'binary', minLength: 1 })
          .filter((text) => [...text].every(isXmlCharacter) && text.trim() !== ''),
        async (text) => {
          database.tags = { Name: text };
          const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [database.id] }));
          expect(Reservations?.[0]?.Instances?.[0]?.Tags?.[0]?.Value?.trim()).toBe(text.trim());
          await ssm.send(new PutParameterCommand({ Name: 'p', Value: text, Type: 'String', Overwrite: true }));
          expect((await ssm.send(new GetParameterCommand({ Name: 'p' }))).Parameter?.Value).toBe(text);
        },
      ),
      { numRuns: 50 },
    );
  });

  test('has a request id in each answer, also in an error s', async () => {
    const { ec2, ssm } = start();
    expect((await ec2.send(new DescribeVolumesCommand({}))).$metadata.requestId).toMatch(/^[0-9a-f-]{36}$/);
    await expect(ec2.send(new DescribeVolumesCommand({ VolumeIds: ['vol-00000000'] }))).rejects.toMatchObject({
      $metadata: { requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    });
    await expect(ssm.send(new GetParameterCommand({ Name: 'none' }))).rejects.toMatchObject({
      name: 'ParameterNotFound',
      $metadata: { httpStatusCode: 400, requestId: expect.any(String) },
    });
  });

  test('speaks query and CBOR to CloudWatch as well', async () => {
    const { world } = start();
    const names = ['disk web-1 /', 'disk web-2 /'];
    const query = await handle(
      world,
      signed(
        'monitoring',
        FORM,
        new URLSearchParams({
          Action: 'DescribeAlarms',
          'AlarmNames.member.1': names[0]!,
          'AlarmNames.member.2': names[1]!,
        }).toString(),
      ),
    );
    const xml = Buffer.from(query.body).toString();
    expect(xml).toContain('<DescribeAlarmsResult><CompositeAlarms></CompositeAlarms><MetricAlarms><member>');
    expect([...xml.matchAll(/<AlarmName>([^<]*)</g)].map(([, name]) => name)).toEqual(names);

    const codec = new CborCodec();
    const serializer = codec.createSerializer();
    serializer.write(normalized(cloudwatch.DescribeAlarmsInput$), { AlarmNames: names });
    const headers = { 'smithy-protocol': 'rpc-v2-cbor', 'content-type': 'application/cbor' };
    const cbor = await handle(
      world,
      signed(
        'monitoring',
        headers,
        serializer.flush(),
        '/service/GraniteServiceVersion20100801/operation/DescribeAlarms',
      ),
    );
    const read = (await codec
      .createDeserializer()
      .read(normalized(cloudwatch.DescribeAlarmsOutput$), cbor.body)) as cloudwatch.DescribeAlarmsOutput;
    expect(read.MetricAlarms?.map(({ AlarmName }) => AlarmName)).toEqual(names);
    expect(read.MetricAlarms?.[0]?.StateUpdatedTimestamp).toEqual(new Date(world.clock.now()));

    const unknown = await handle(world, signed('monitoring', FORM, 'Action=DeleteAlarms&AlarmNames.member.1=x'));
    expect([unknown.status, Buffer.from(unknown.body).toString()]).toEqual([
      404,
      expect.stringContaining('<Type>Sender</Type><Code>ResourceNotFound</Code><Message>Unknown alarm: x</Message>'),
    ]);
  });

  test('accepts a presigned GetCallerIdentity, with its extra headers and not without', async () => {
    const { world } = start();
    const query = new URLSearchParams({
      Action: 'GetCallerIdentity',
      Version: '2011-06-15',
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': 'test/20260115/eu-central-1/sts/aws4_request',
      'X-Amz-SignedHeaders': 'host;x-steward-stage',
      'X-Amz-Signature': '0',
    });
    const get = (headers: Record<string, string>) =>
      handle(world, { method: 'GET', path: `/?${query}`, headers, body: new Uint8Array() });
    const answer = await get({ 'x-steward-stage': 'dev' });
    expect([answer.status, Buffer.from(answer.body).toString()]).toEqual([
      200,
      expect.stringContaining('<Arn>arn:aws:iam::111122223333:root</Arn>'),
    ]);
    expect((await get({})).status).toBe(403);
  });

  test('reads any EC2 filter as it was written', () => {
    const request = normalized(services[0]!.api['DescribeInstancesRequest$']);
    const filter = fc.record({ Name: fc.string({ minLength: 1 }), Values: fc.array(fc.string(), { minLength: 1 }) });
    fc.assert(
      fc.property(
        fc.array(filter, { minLength: 1 }),
        fc.array(fc.string(), { minLength: 1 }),
        (Filters, InstanceIds) => {
          const form = new URLSearchParams();
          InstanceIds.forEach((id, i) => {
            form.append(`InstanceId.${i + 1}`, id);
          });
          Filters.forEach(({ Name, Values }, i) => {
            form.append(`Filter.${i + 1}.Name`, Name);
            Values.forEach((value, k) => {
              form.append(`Filter.${i + 1}.Value.${k + 1}`, value);
            });
          });
          expect(readQuery(request, parseForm(form), true)).toEqual({ Filters, InstanceIds });
        },
      ),
    );
    expect(writeXml(request, { InstanceIds: ['a<b'], Filters: [] })).toBe(
      '<InstanceId><InstanceId>a&lt;b</InstanceId></InstanceId><Filter></Filter>',
    );
  });
});

describe('over HTTP', () => {
  let listening: Listening;
  let ec2: EC2Client;
  const { world, fleet } = start();
  beforeAll(async () => {
    listening = await listen(world);
    ec2 = new EC2Client({
      region: world.region,
      endpoint: listening.url,
      credentials: rootCredentials,
      maxAttempts: 1,
    });
  });
  afterAll(async () => {
    ec2.destroy();
    await listening.close();
  });

  test('the SDK s own transport gets the same answer as in process', async () => {
    const input = { InstanceIds: [fleet.database.id] };
    const { $metadata: _, ...remote } = await ec2.send(new DescribeInstancesCommand(input));
    const { $metadata: __, ...local } = await clientsOf(world).ec2.send(new DescribeInstancesCommand(input));
    expect(remote).toEqual(local);
  });

  test('a big body may be compressed', async () => {
    const client = new cloudwatch.CloudWatchClient({
      region: world.region,
      endpoint: listening.url,
      credentials: rootCredentials,
    });
    const MetricData = Array.from({ length: 200 }, () => ({
      MetricName: randomUUID(),
      Value: 1,
      Dimensions: [{ Name: 'InstanceId', Value: randomUUID() }],
    }));
    await client.send(new cloudwatch.PutMetricDataCommand({ Namespace: 'Big', MetricData }));
    client.destroy();
    expect([...world.cloudwatch.metrics.values()].filter(({ namespace }) => namespace === 'Big')).toHaveLength(200);
  });

  test('a lost reply is a broken connection, after the effect', async () => {
    const ssm = new SSMClient({
      region: world.region,
      endpoint: listening.url,
      credentials: rootCredentials,
      maxAttempts: 1,
    });
    world.faults.failNext('ssm', 'PutParameter', { kind: 'drop', afterEffect: true });
    const put = ssm.send(new PutParameterCommand({ Name: 'once', Value: '1', Type: 'String' }));
    expect(await put.catch(String)).toContain('socket hang up');
    expect((await ssm.send(new GetParameterCommand({ Name: 'once' }))).Parameter?.Value).toBe('1');
    ssm.destroy();
  });
});

test('the SDK retries what the world throttles', async () => {
  const { world } = start();
  const client = new EC2Client({
    region: world.region,
    credentials: rootCredentials,
    requestHandler: requestHandler(world),
    maxAttempts: 3,
  });
  world.faults.failNext('ec2', 'DescribeVolumes', { kind: 'throttle', times: 2 });
  expect((await client.send(new DescribeVolumesCommand({}))).$metadata.attempts).toBe(3);
  expect(await failure(client.send(new DescribeVolumesCommand({ MaxResults: 3 })))).toBe('InvalidParameterValue');
});
