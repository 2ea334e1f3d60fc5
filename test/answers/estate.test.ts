/** What the doctor reads of the queue and the functions, in the answers' shapes as SQS and Lambda document them. The rest is read from the world in test/cli. */
import { awsEstate } from '../../shared/aws/estate.ts';

interface Call {
  readonly headers: Readonly<Record<string, string>>;
  readonly path: string;
  readonly body?: Uint8Array;
}

const estate = (answer: (operation: string, input: Record<string, unknown>) => [number, object]) =>
  awsEstate({
    region: 'eu-central-1',
    credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'x' },
    queueUrl: 'https://sqs.eu-central-1.amazonaws.com/111122223333/signals',
    transport: {
      handle: async ({ headers, path, body }: Call) => {
        const operation = headers['x-amz-target']?.split('.')[1] ?? path;
        const [statusCode, output] = answer(operation, JSON.parse(new TextDecoder().decode(body) || '{}'));
        const error = statusCode === 200 ? {} : { 'x-amzn-errortype': 'ResourceNotFoundException' };
        return {
          response: {
            statusCode,
            headers: { 'content-type': 'application/json', ...error },
            body: Buffer.from(JSON.stringify(output)),
          },
        };
      },
    },
  });

const DEAD = 'https://sqs.eu-central-1.amazonaws.com/111122223333/dead';
const queues = (redrive: object) =>
  estate((operation, input) => {
    if (operation === 'GetQueueUrl') return [200, input['QueueName'] === 'dead' ? { QueueUrl: DEAD } : {}];
    if (input['QueueUrl'] === DEAD) return [200, { Attributes: { ApproximateNumberOfMessages: '2' } }];
    return [200, { Attributes: { ApproximateNumberOfMessages: '7', ...redrive } }];
  });

test('the queue and its dead letters', async () => {
  const policy = { deadLetterTargetArn: 'arn:aws:sqs:eu-central-1:111122223333:dead', maxReceiveCount: 5 };
  expect(await queues({ RedrivePolicy: JSON.stringify(policy) }).backlog()).toEqual({ waiting: 7, dead: 2 });
  expect(await queues({}).backlog()).toEqual({ waiting: 7, dead: 0 });
});

test.each<[string, object, string | undefined]>([
  ['runs', { State: 'Active', LastUpdateStatus: 'Successful' }, undefined],
  ['sleeps, and wakes when it is called', { State: 'Inactive', StateReasonCode: 'Idle' }, undefined],
  ['cannot start', { State: 'Failed', StateReason: 'its key is disabled' }, 'its key is disabled'],
  [
    'was not updated',
    { State: 'Active', LastUpdateStatus: 'Failed', LastUpdateStatusReason: 'no such role' },
    'no such role',
  ],
])('a function that %s', async (_what, configuration, fault) => {
  const e = estate((path) => [200, path.includes('steward-prod-heal') ? configuration : {}]);
  expect(await e.functionFault('steward-prod-heal')).toBe(fault);
});

test('a function that is not there', async () => {
  const e = estate(() => [404, { Message: 'Function not found: steward-prod-sweep' }]);
  await expect(e.functionFault('steward-prod-sweep')).rejects.toMatchObject({
    name: 'NotFound',
    message: expect.stringContaining('steward-prod-sweep'),
  });
});
