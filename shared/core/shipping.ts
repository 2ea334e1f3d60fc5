/** What hosts ship into the activity log, and the answer of `watch-host`. */
import * as z from 'zod/mini';

export const watchReport = z.object({
  version: z.literal(1),
  /** The shipper is new, was changed, or did not run: it was started. */
  started: z.boolean(),
  /** The CloudWatch agent was given our file. */
  given: z.boolean(),
  /** 'on', 'off', or why programs are not watched. */
  execve: z.string(),
});
export type WatchReport = z.infer<typeof watchReport>;

/** Where hosts ship their lines to; one stream for each instance, by its id. */
export const hostGroup = (stage: string): string => `/steward/${stage}/hosts`;
