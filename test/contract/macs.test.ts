/** The key that signs links, on emulators that others wrote. */
import { CreateKeyCommand, DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { kmsMac } from '../../shared/aws/macs.ts';
import { startEmulator } from './emulators.ts';
import { credentials, REGION } from './table.ts';
import { transportTo } from './transport.ts';

const [moto, ministack] = await Promise.all([startEmulator('moto'), startEmulator('ministack')]);
afterAll(async () => {
  for (const emulator of [moto, ministack]) if ('stop' in emulator) await emulator.stop();
});

describe.each([
  ['moto', moto],
  ['MiniStack', ministack],
] as const)('on %s', (_, emulator) => {
  const suite = 'url' in emulator ? test : test.skip;
  const url = 'url' in emulator ? emulator.url : '';

  suite('it signs, and tells what it signed from all else', async () => {
    const raw = new KMSClient({ region: REGION, credentials, requestHandler: transportTo(url) });
    const make = async () =>
      (await raw.send(new CreateKeyCommand({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }))).KeyMetadata
        ?.Arn ?? '';
    const [key, other] = [await make(), await make()];
    const mac = kmsMac({ region: REGION, credentials, transport: transportTo(url) }, key);
    const sealed = await mac.sign('a ticket, ü');
    expect(sealed).toHaveLength(32);
    expect(await mac.verify('a ticket, ü', sealed)).toBe(true);
    expect(await mac.verify('a ticket, u', sealed)).toBe(false);
    expect(
      await mac.verify(
        'a ticket, ü',
        sealed.map((b, n) => (n === 31 ? b ^ 1 : b)),
      ),
    ).toBe(false);
    const elsewhere = kmsMac({ region: REGION, credentials, transport: transportTo(url) }, other);
    expect(await elsewhere.verify('a ticket, ü', sealed)).toBe(false);
    if (emulator === moto) return;
    // Not "wrong": nobody can say. moto goes on with a key that is disabled.
    await raw.send(new DisableKeyCommand({ KeyId: key }));
    await expect(mac.verify('a ticket, ü', sealed)).rejects.toThrow(/cannot verify with arn:aws:kms/);
  });
});
