/** KMS keys: whether they can be used, and what makes them usable again. */
import { CancelKeyDeletionCommand, DescribeKeyCommand, EnableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import type { KeyState, Keys } from '../core/delivery.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

const STATES: Readonly<Record<string, KeyState>> = {
  Enabled: 'usable',
  Disabled: 'disabled',
  PendingDeletion: 'pending-deletion',
};

export const kmsKeys = (options: ClientOptions): Keys => {
  // A trail's key is in the region of its bucket.
  const clientFor = (arn: string, attempts = 3) =>
    new KMSClient(clientConfig({ ...options, region: arn.split(':')[3] || options.region }, attempts));
  return {
    state: (arn) =>
      calling(`cannot look at key ${arn}`, async () => {
        const { KeyMetadata } = await clientFor(arn).send(new DescribeKeyCommand({ KeyId: arn }));
        return STATES[KeyMetadata?.KeyState ?? ''] ?? 'other';
      }),
    enable: (arn) =>
      calling(`cannot enable key ${arn}`, async () => {
        await clientFor(arn).send(new EnableKeyCommand({ KeyId: arn }));
      }),
    cancelDeletion: (arn) =>
      calling(`cannot keep key ${arn}`, async () => {
        // A second time KMS refuses it, as if the first had not been: after a lost reply one looks.
        await clientFor(arn, 1).send(new CancelKeyDeletionCommand({ KeyId: arn }));
      }),
  };
};
