/** What the world checks of a signature. Secrets and hashes are not compared: a test's keys are nobody's. */
import type { WireRequest } from './protocols.ts';
import { AwsError } from './service.ts';

/** A header that was signed must be sent: a presigned URL with extra signed headers is worth nothing without them. */
export const checkSignedHeaders = ({ headers, path }: WireRequest) => {
  const presigned = new URLSearchParams(path.split('?')[1] ?? '').get('X-Amz-SignedHeaders');
  if (!presigned) return;
  const missing = presigned.split(';').filter((name) => name !== 'host' && headers[name] === undefined);
  if (missing.length === 0) return;
  throw new AwsError(
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    403,
  );
};
