/**
 * Patterns of names: `%` is anything, `_` any one character, and a backslash takes both for themselves. Names are the same in
 * upper and in lower case, as in statements. Absent: everything.
 */
export function matcher(pattern: string | undefined): (name: string) => boolean {
  if (pattern === undefined) return () => true;
  const source = pattern.replace(/\\([%_\\])|[%_]|[\s\S]/g, (part, escaped: string | undefined) => {
    if (escaped !== undefined) return literal(escaped);
    return part === '%' ? '[\\s\\S]*' : part === '_' ? '[\\s\\S]' : literal(part);
  });
  const expression = new RegExp(`^${source}$`, 'iu');
  return (name) => expression.test(name);
}

const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');

/** The name that a pattern is when it is taken by the letter: tools often do not escape the `_` of a name. */
export const nameIn = (pattern: string): string => pattern.replace(/\\([%_\\])/g, '$1');
