/** A KMS key that signs checkpoints: Ed25519 (ECC_NIST_EDWARDS25519) or ECDSA over P-256 (ECC_NIST_P256). Its private half never leaves KMS; only the checkpointer's role may use it. */
import { createPublicKey } from 'node:crypto';
import {
  GetPublicKeyCommand,
  type KeySpec,
  KMSClient,
  SignCommand,
  type SigningAlgorithmSpec,
} from '@aws-sdk/client-kms';
import type { Signer } from '../activity/note.ts';
import { Refused } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

export interface NoteSignerOptions extends ClientOptions {
  readonly keyId: string;
  /** The log's: `steward/<account>/<stage>`. */
  readonly name: string;
}

const ALGORITHMS: Partial<Record<KeySpec, SigningAlgorithmSpec>> = {
  ECC_NIST_EDWARDS25519: 'ED25519_SHA_512',
  ECC_NIST_P256: 'ECDSA_SHA_256',
};

/** @throws Refused: the key is of another kind */
export const noteSigner = async ({ keyId, name, ...options }: NoteSignerOptions): Promise<Signer> => {
  const client = new KMSClient(clientConfig(options, 3));
  const { PublicKey = new Uint8Array(), KeySpec } = await calling(`cannot read the public key of ${keyId}`, () =>
    client.send(new GetPublicKeyCommand({ KeyId: keyId })),
  );
  const SigningAlgorithm = KeySpec && ALGORITHMS[KeySpec];
  if (!SigningAlgorithm)
    throw new Refused(
      'KeySpec',
      `${keyId} is a key of ${KeySpec}: checkpoints are signed with ${Object.keys(ALGORITHMS).join(' or ')}`,
    );
  const key = createPublicKey({ key: Buffer.from(PublicKey), format: 'der', type: 'spki' });
  return {
    name,
    publicKey: key.export({ type: 'spki', format: 'pem' }).toString(),
    // A checkpoint is some 200 bytes; KMS takes 4,096 as they are.
    sign: (message) =>
      calling(`cannot sign with ${keyId}`, async () => {
        const { Signature = new Uint8Array() } = await client.send(
          new SignCommand({ KeyId: keyId, Message: message, MessageType: 'RAW', SigningAlgorithm }),
        );
        return Signature;
      }),
  };
};
