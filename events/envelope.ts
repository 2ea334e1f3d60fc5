/** EventBridge's envelope, as every AWS service fills it. */
import * as z from 'zod/mini';
import { text } from './parse.ts';

export const envelope = z.object({
  id: text,
  source: text,
  'detail-type': text,
  account: z.string().check(z.regex(/^\d{12}$/, { error: '12 digits expected' })),
  region: text.check(z.minLength(1)),
  time: text,
  resources: z.array(text),
  detail: z.record(z.string(), z.unknown()),
});
export type Envelope = z.output<typeof envelope>;
