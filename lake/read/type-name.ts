import { scalarNames } from './types.js';

/**
 * Whether a text is the name of a DuckDB type, as DuckDB itself writes it, and nothing else, so that it may stand in SQL. Nested
 * types are written of others: `STRUCT("a" INTEGER[], b ENUM('x', 'y'))`.
 */
export function isTypeName(text: string): boolean {
  const end = afterType(text, 0);
  return end === text.length;
}

const nestingMax = 64;
const name = /(?:"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_]*) /y;
const quoted = /'(?:[^']|'')*'/y;
const suffixes = /(?:\[\d{0,9}\])*/y;
const scalars = [...scalarNames].sort((left, right) => right.length - left.length);
const withNumbers = /DECIMAL\(\d{1,2},\s?\d{1,2}\)/y;
const withTexts = /(?:ENUM|GEOMETRY)\(/y;
const withMembers = /(?:STRUCT|UNION)\(/y;
const withTypes = /MAP\(/y;

/** Where the type that begins there ends; -1 when there is none. */
function afterType(text: string, at: number, depth = 0): number {
  if (depth > nestingMax) return -1;
  const base = afterBase(text, at, depth);
  return base === -1 ? -1 : after(suffixes, text, base);
}

function afterBase(text: string, at: number, depth: number): number {
  const numbers = after(withNumbers, text, at);
  if (numbers !== -1) return numbers;
  const type = (from: number): number => afterType(text, from, depth + 1);
  const member = (from: number): number => {
    const named = after(name, text, from);
    return named === -1 ? -1 : type(named);
  };
  const lists = [
    [withTexts, (from: number) => after(quoted, text, from)],
    [withMembers, member],
    [withTypes, type],
  ] as const;
  for (const [open, item] of lists) {
    const first = after(open, text, at);
    if (first !== -1) return afterList(text, first, item);
  }
  const scalar = scalars.find((one) => text.startsWith(one, at));
  return scalar === undefined ? -1 : at + scalar.length;
}

/** Items with commas between them, and the parenthesis that closes. */
function afterList(text: string, first: number, item: (from: number) => number): number {
  for (let from = first; ;) {
    const end = item(from);
    if (end === -1) return -1;
    if (text[end] === ')') return end + 1;
    if (!text.startsWith(', ', end)) return -1;
    from = end + 2;
  }
}

function after(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}
