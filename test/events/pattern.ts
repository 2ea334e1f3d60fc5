/**
 * Does a rule's pattern match an event? EventBridge's own semantics, for the operators that our rules use; any other one is an error, so
 * that a test cannot pass by misreading a pattern. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
 */
type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
type Tree = { readonly [key: string]: Json };

const isTree = (x: Json | undefined): x is Tree => typeof x === 'object' && x !== null && !Array.isArray(x);

/** `*` is any characters, none too; a backslash takes `*` and itself literally. Case counts. */
const wildcard = (pattern: string, value: string): boolean => {
  const source = pattern.replace(/\\([\\*])|(\*)|[^\w\s]/g, (all, literal?: string, star?: string) =>
    star ? '[^]*' : `\\${literal ?? all}`,
  );
  return new RegExp(`^${source}$`).test(value);
};

const matchesOne = (wanted: Json, value: Json): boolean => {
  if (!isTree(wanted)) return wanted === value;
  const [[operator, operand] = ['', null], ...more] = Object.entries(wanted);
  if (operator === 'exists' && typeof operand === 'boolean' && more.length === 0) return operand;
  if (operator !== 'wildcard' || typeof operand !== 'string' || more.length > 0 || /\*\*/.test(operand))
    throw new Error(`this matcher does not know ${JSON.stringify(wanted)}`);
  return typeof value === 'string' && wildcard(operand, value);
};

/** `exists` is about the key, not its value. */
const matchesAny = (wanted: readonly Json[], value: Json | undefined): boolean => {
  if (value === undefined) return wanted.some((w) => isTree(w) && w['exists'] === false);
  const values = Array.isArray(value) ? value : [value];
  return values.some((v) => wanted.some((w) => matchesOne(w, v)));
};

/** Every key of the pattern must be in the event; a list means any of; an event's own list matches by any of its elements. */
export const matchesPattern = (pattern: Tree, event: Tree): boolean =>
  Object.entries(pattern).every(([key, wanted]) => {
    const value = event[key];
    if (key.startsWith('$')) throw new Error(`this matcher does not know ${key}`);
    if (Array.isArray(wanted)) return matchesAny(wanted, value);
    if (!isTree(wanted)) throw new Error(`a pattern's leaf is a list: ${key}`);
    return isTree(value) && matchesPattern(wanted, value);
  });
