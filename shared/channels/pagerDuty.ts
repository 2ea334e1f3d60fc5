/** PagerDuty Events API v2. The notice is the alert's dedup_key: however often it is triggered, it is one alert, and resolved when the incident is over. */
import { Forbidden, Refused } from '../core/errors.ts';
import type { Channel, Letter } from '../core/letter.ts';
import { iso } from '../core/time.ts';
import { call, errorOf, type Web } from './http.ts';

const ENDPOINTS = {
  us: 'https://events.pagerduty.com/v2/enqueue',
  eu: 'https://events.eu.pagerduty.com/v2/enqueue',
} as const;
/** Limits of the Events API: summary 1024 characters, dedup_key 255. */
const SUMMARY = 1024;

const severityOf = ({ rendered: { stage } }: Letter): string =>
  stage === 'test' ? 'info' : stage === 'asks' ? 'warning' : 'error';

const trigger = (letter: Letter): object => {
  const { rendered, actions, at } = letter;
  const { about } = rendered;
  return {
    payload: {
      summary: rendered.impact.slice(0, SUMMARY),
      source: about.target ?? 'steward',
      severity: severityOf(letter),
      timestamp: iso(at),
      component: about.remediation,
      group: about.group,
      custom_details: Object.fromEntries([...rendered.facts, ...rendered.commands]),
    },
    client: 'Steward',
    links: actions.flatMap((a) => ('url' in a ? [{ href: a.url, text: a.label }] : [])),
  };
};

export const pagerDuty = (
  name: string,
  { secret, region }: { readonly secret: string; readonly region: keyof typeof ENDPOINTS },
  web: Web & { readonly endpoint?: string } = {},
): Channel => {
  const what = `cannot page ${name}`;
  const enqueue = async (letter: Letter, action: 'trigger' | 'resolve'): Promise<void> => {
    const event = {
      routing_key: secret,
      event_action: action,
      dedup_key: letter.id.slice(0, 255),
      ...(action === 'trigger' ? trigger(letter) : {}),
    };
    const reply = await call(
      what,
      {
        url: web.endpoint ?? ENDPOINTS[region],
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(event),
      },
      web,
    );
    const error = errorOf(what, reply);
    // 400 is for an event that it cannot read and for a key that it does not know; its text tells which.
    if (error instanceof Refused && /routing/i.test(reply.text))
      throw new Forbidden(`${what}: PagerDuty does not know its integration key`, { cause: error });
    if (error) throw error;
  };
  return {
    send: async (letter) => {
      const { needs, stage } = letter.rendered;
      if (needs || stage === 'test') await enqueue(letter, 'trigger');
      if (!needs) await enqueue(letter, 'resolve');
      return {};
    },
  };
};
