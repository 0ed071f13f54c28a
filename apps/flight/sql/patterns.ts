/** `%` is anything, `_` any one character, and a text is itself. */
type Part = { readonly text: string } | 'any' | 'one';

/**
 * Patterns of names: a backslash takes `%` and `_` for themselves. Names are the same in upper and in lower case, as in
 * statements. Absent: everything. The time is bounded by the product of the lengths, whatever the pattern.
 */
export function matcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true;
  const parts = partsOf(pattern.toLowerCase());
  return (name) => matches([...name.toLowerCase()], parts);
}

const partsOf = (pattern: string): Part[] =>
  [...pattern.matchAll(/\\([%_\\])|[^]/gu)].map(([part, escaped]) => {
    if (escaped !== undefined) return { text: escaped };
    return part === '%' ? 'any' : part === '_' ? 'one' : { text: part };
  });

/** Goes back to the last `%` only: an earlier one could not take more than that one can. */
function matches(name: readonly string[], parts: readonly Part[]): boolean {
  let [at, next, any, taken] = [0, 0, -1, 0];
  while (at < name.length) {
    const part = parts[next];
    if (part === 'any') [any, taken, next] = [next, at, next + 1];
    else if (part === 'one' || (part !== undefined && part.text === name[at])) [at, next] = [at + 1, next + 1];
    else if (any >= 0) [at, taken, next] = [taken + 1, taken + 1, any + 1];
    else return false;
  }
  return parts.slice(next).every((part) => part === 'any');
}

/** The name that a pattern is when it is taken by the letter: tools often do not escape the `_` of a name. */
export const nameIn = (pattern: string): string => pattern.replace(/\\([%_\\])/g, '$1');
