/** Lines for a spreadsheet. */
const quoted = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
/** A cell that begins like a formula is one to a spreadsheet. */
export const isFormula = (text: string): boolean => /^[=+\-@\t]/.test(text);
const inert = (text: string): string => (isFormula(text) ? `'${text}` : text);

/** @param cells with whether it may be changed so that nothing runs */
export const csvLine = (cells: readonly (readonly [text: string, inert: boolean])[]): string =>
  cells.map(([text, mayChange]) => quoted(mayChange ? inert(text) : text)).join(',');
