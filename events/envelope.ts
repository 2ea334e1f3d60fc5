/** EventBridge's envelope, as every AWS service fills it. */
import * as z from 'zod/mini';

export const envelope = z.object({
  id: z.string(),
  source: z.string(),
  'detail-type': z.string(),
  account: z.string().check(z.regex(/^\d{12}$/)),
  region: z.string().check(z.minLength(1)),
  time: z.string(),
  resources: z.array(z.string()),
  detail: z.record(z.string(), z.unknown()),
});
export type Envelope = z.output<typeof envelope>;
