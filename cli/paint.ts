/** Text for people: colours, columns, times. */
import pc from 'picocolors';
import { iso, span, type Time } from '../shared/core/time.ts';

type Colors = ReturnType<typeof pc.createColors>;
export interface Paint extends Colors {
  /** Characters in a line; a pipe has no end. */
  readonly width: number;
}
export const paintOf = (colors: boolean, width = Number.POSITIVE_INFINITY): Paint => ({
  ...pc.createColors(colors),
  width,
});

/** One cell; colour is put on after the column's width is known. */
export type Cell = string | readonly [text: string, paint: (text: string) => string];
const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell[0]);
const painted = (cell: Cell, text: string): string => (typeof cell === 'string' ? text : cell[1](text));

/** Lines of at most `width`, broken at blanks; a longer word, and a command with its argument, stay whole, so that they can be copied. */
const wrap = (text: string, width: number): string[] => {
  const lines = [''];
  for (const word of text.match(/steward [a-z]+ \S+|\S+/g) ?? []) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
};

/** The last column gets what is left of the line, but never less than this. */
const LEAST = 30;

/** Rows in columns, two spaces apart; the last column of each row is wrapped. */
export const table = (rows: readonly (readonly Cell[])[], p: Paint): string[] => {
  const widths = (rows[0] ?? []).map((_, c) =>
    Math.max(...rows.map((row) => (c === row.length - 1 ? 0 : textOf(row[c] ?? '').length))),
  );
  return rows.flatMap((row) => {
    const before = row
      .slice(0, -1)
      .map((cell, c) => [cell, ' '.repeat((widths[c] ?? 0) - textOf(cell).length)] as const);
    const indent = 2 + before.reduce((sum, [cell, pad]) => sum + textOf(cell).length + pad.length + 2, 0);
    const last = row.at(-1) ?? '';
    const [first = '', ...more] = wrap(textOf(last), Math.max(LEAST, p.width - indent));
    const line = `  ${before.map(([cell, pad]) => `${painted(cell, textOf(cell))}${pad}  `).join('')}${painted(last, first)}`;
    return [line.trimEnd(), ...more.map((text) => ' '.repeat(indent) + painted(last, text))];
  });
};

/** '2026-11-24 03:12:04 UTC' */
export const clock = (t: Time): string => `${iso(t).slice(0, 19).replace('T', ' ')} UTC`;
/** '03:12:04', with the day if it is another than `now`'s. */
export const timeOf = (t: Time, now: Time): string =>
  iso(t).slice(0, 10) === iso(now).slice(0, 10) ? iso(t).slice(11, 19) : iso(t).slice(0, 19).replace('T', ' ');
export const ago = (t: Time, now: Time): string => (t <= now ? `${span(now - t)} ago` : `in ${span(t - now)}`);

/** 'i-0abc' for what everyone knows by its id; else the whole ARN's resource. */
export const short = (arn: string): string => {
  const resource = arn.split(':').slice(5).join(':');
  return /^(instance|volume)\//.test(resource) ? resource.slice(resource.indexOf('/') + 1) : resource || arn;
};

/** 'alice'; 'alice (Admin)' for a role's session. */
export const who = (arn: string): string => {
  const [, role, session] = /^arn:[^:]+:sts::\d+:assumed-role\/([^/]+)\/(.+)$/.exec(arn) ?? [];
  return role ? `${session} (${role})` : /:(?:user|root|federated-user)(?:\/(?:.*\/)?)?([^/]*)$/.exec(arn)?.[1] || arn;
};

const IDENTITY = /arn:[a-z-]+:(?:iam|sts)::\d{12}:(?:user|assumed-role|federated-user)\/[\w+=,.@/-]*[\w+=@-]/g;
const MOMENT = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g;

/** The record's own words, for reading: people by their names, times as everywhere here, a plan that was told before by its first words. */
export const tidy = (text: string, now: Time, plans: readonly string[] = []): string =>
  plans
    .reduce((said, plan) => said.replaceAll(plan, plan.split(': ')[0] ?? plan), text)
    .replaceAll(IDENTITY, who)
    .replaceAll(MOMENT, (moment) => timeOf(Date.parse(moment), now));
