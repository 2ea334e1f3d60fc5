/** What somebody sees who opens a link: plain HTML that loads nothing, runs nothing and tells nobody where it came from. */
import { createHash } from 'node:crypto';
import type { HttpAnswer } from './http.ts';

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}' +
  'h1{font-size:1.3rem}dt{color:#555}dd{margin:0 0 .6rem}dd,p{overflow-wrap:anywhere}small{color:#555}' +
  'input,button{font:inherit;padding:.5rem .8rem}input{width:100%;box-sizing:border-box;margin:.3rem 0 1rem}' +
  'button{background:#1a1a1a;color:#fff;border:0;border-radius:.3rem}' +
  '@media(prefers-color-scheme:dark){body,input{color:#eee;background:#161616}dt,small{color:#aaa}button{background:#eee;color:#161616}}';

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex, nofollow',
} as const;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
/** Whatever stands in a record is text, never markup. */
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (c) => ENTITIES[c] ?? '');

const page = (statusCode: number, title: string, body: string): HttpAnswer => ({
  statusCode,
  headers: HEADERS,
  body: `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Steward</title><style>${STYLE}</style></head><body><h1>${escaped(title)}</h1>${body}</body></html>`,
});
const paragraph = (text: string): string => `<p>${escaped(text)}</p>`;

/** The same for whatever is not a link of this Steward: it tells nothing to whoever tries. */
export const invalidPage = (): HttpAnswer =>
  page(
    404,
    'This link is not valid',
    paragraph('Nothing was done. Open the link as it was sent, whole, or use the steward command.'),
  );

export const unavailablePage = (): HttpAnswer =>
  page(
    503,
    'Not now',
    paragraph(
      'Steward cannot look that up at this moment. Nothing was done. Try again in a minute, or use the steward command.',
    ),
  );

export const refusedPage = ({ no, remedy }: { no: string; remedy: string }): HttpAnswer =>
  page(409, 'Nothing was done', paragraph(no) + paragraph(`What to do: ${remedy}`));

export const donePage = (say: string, next: string): HttpAnswer => page(200, 'Done', paragraph(say) + paragraph(next));

export interface Question {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, value: string | undefined])[];
  readonly token: string;
  readonly button: string;
  readonly small: string;
}

/** Looking at it does nothing: mail scanners and chat previews open links. The button does. */
export const questionPage = ({ title, facts, token, button, small }: Question): HttpAnswer =>
  page(
    200,
    title,
    `<dl>${facts
      .flatMap(([name, value]) => (value ? [`<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`] : []))
      .join(
        '',
      )}</dl><form method="post" action="/"><input type="hidden" name="t" value="${escaped(token)}"><label>Why (may be empty)<input name="why" maxlength="300" autocomplete="off"></label><button>${escaped(button)}</button></form><p><small>${escaped(small)}</small></p>`,
  );
