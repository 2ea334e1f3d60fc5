/** Text for people: colours, columns, times. */
import pc from 'picocolors';
import { iso, span, type Time } from '../shared/core/time.ts';

export type Paint = ReturnType<typeof pc.createColors>;
export const paintOf = (colors: boolean): Paint => pc.createColors(colors);

/** One cell; colour is put on after the column's width is known. */
export type Cell = string | readonly [text: string, paint: (text: string) => string];
const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell[0]);

/** Rows in columns, two spaces apart; the last column is not padded. */
export const table = (rows: readonly (readonly Cell[])[], indent = 2): string[] => {
  const widths = (rows[0] ?? []).map((_, c) => Math.max(...rows.map((row) => textOf(row[c] ?? '').length)));
  return rows.map((row) => {
    const cells = row.map((cell, c) => {
      const text = textOf(cell);
      const pad = ' '.repeat(c === row.length - 1 ? 0 : (widths[c] ?? 0) - text.length);
      return (typeof cell === 'string' ? text : cell[1](text)) + pad;
    });
    return (' '.repeat(indent) + cells.join('  ')).trimEnd();
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
