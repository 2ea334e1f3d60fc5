/** What is handed to a channel, and the one port to it. Adapters: shared/channels (HTTP) and shared/aws/topics.ts. */
import type { Incident } from './incident.ts';
import type { Action, Rendered, ThreadLine } from './notice.ts';
import type { Part } from './outbox.ts';
import type { Time } from './time.ts';

export interface Letter {
  /** Of the notice, the same for all that it says over time: PagerDuty's dedup_key, Slack's metadata. */
  readonly id: string;
  /** Of this very content: two sends with one token are one. */
  readonly token: string;
  readonly part: Part;
  readonly rendered: Rendered;
  /** Of the thread, for the part `thread`. */
  readonly lines: readonly ThreadLine[];
  /** The message to replace, or whose thread it is. */
  readonly ref?: string;
  /** A send of then may have arrived: a channel without tokens of its own looks for it first. */
  readonly uncertain?: Time;
  readonly actions: readonly Action[];
  readonly at: Time;
}

export interface Channel {
  /**
   * @returns the message's name at the channel, and the last line that its thread knows
   * @throws RateLimited, Throttled (nothing was sent), Unavailable (nobody knows), Forbidden (secret or rights), NotFound (the message or the channel is
   * gone), Refused (it declines what this one says)
   */
  send(letter: Letter): Promise<{ readonly ref?: string; readonly heard?: string }>;
}

/** Who would see them: links may be personal to a channel, and short-lived. */
export interface Recipient {
  readonly channel: string;
  readonly type: string;
}
/**
 * The seam for links and buttons: what a notice about this incident lets its reader do. Asked just before each send, so that links may expire; what it gives is no
 * reason to edit a message. `url`: a link button. `value`: comes back through Slack's interactivity.
 */
export type Links = (incident: Incident, to: Recipient) => Promise<readonly Action[]>;
