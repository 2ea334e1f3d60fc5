/** Message authentication codes by a KMS key (HMAC_256). The key never leaves KMS: there is no secret that could get out. */
import { GenerateMacCommand, KMSClient, KMSInvalidMacException, VerifyMacCommand } from '@aws-sdk/client-kms';
import { Unavailable } from '../core/errors.ts';
import { type ClientOptions, clientConfig } from './clients.ts';
import { calling } from './errors.ts';

const MacAlgorithm = 'HMAC_SHA_256';

/** @param key the key's ARN. Texts of up to 4,096 bytes */
export const kmsMac = (options: ClientOptions, key: string) => {
  const client = new KMSClient(clientConfig(options, 3));
  const given = (text: string) => ({ KeyId: key, MacAlgorithm, Message: Buffer.from(text, 'utf8') }) as const;
  return {
    sign: (text: string): Promise<Uint8Array> =>
      calling(`cannot sign with ${key}`, async () => {
        const { Mac } = await client.send(new GenerateMacCommand(given(text)));
        if (!Mac) throw new Unavailable(`KMS signs with ${key} and gives nothing`);
        return Mac;
      }),
    /** A MAC that is not right is an answer, not an error. */
    verify: (text: string, Mac: Uint8Array): Promise<boolean> =>
      calling(`cannot verify with ${key}`, async () => {
        try {
          const { MacValid } = await client.send(new VerifyMacCommand({ ...given(text), Mac }));
          return MacValid === true;
        } catch (e) {
          if (e instanceof KMSInvalidMacException) return false;
          throw e;
        }
      }),
  };
};
