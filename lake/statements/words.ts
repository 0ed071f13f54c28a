import { DomainError } from '../../domain/errors.js';

/** In DuckDB's scanner spaces are ASCII alone, and every other character may be a letter. */
const token =
  /[ \t\n\r\f\v]+|--[^\n\r]*|\/\*|'[^']*(?:'|$)|"[^"]*(?:"|$)|\$(?:[A-Za-z_\u{80}-\u{10ffff}][\w\u{80}-\u{10ffff}]*)?\$|[A-Za-z_\u{80}-\u{10ffff}][\w$\u{80}-\u{10ffff}]*|\$\d+|\.\d+(?:_\d+)*|\d+(?:_\d+)*(?:\.(?!\.)(?:\d+(?:_\d+)*)?)?|[^]/uy;

/**
 * A statement's words, quoted texts and signs, as DuckDB's scanner divides it; comments are left out, and a quote within a text
 * makes two of it. Throws `statement_refused` where only DuckDB would know what is quoted.
 */
export function* wordsOf(sql: string): Generator<string> {
  for (let at = 0; at < sql.length;) {
    token.lastIndex = at;
    const [word] = token.exec(sql) as unknown as [string];
    const end = at + word.length;
    at = word === '/*' ? afterComment(sql, end) : isDollarQuote(word) ? afterDollarQuote(sql, word, end) : end;
    requirePlain(word, sql, end);
    if (!/^(?:[ \t\n\r\f\v]|--|\/\*)/.test(word)) yield word;
  }
}

const isDollarQuote = (word: string): boolean => word.length > 1 && word.startsWith('$') && word.endsWith('$');

/** Comments lie in one another. */
function afterComment(sql: string, from: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = from;
  for (let depth = 1; depth > 0;) {
    const mark = marks.exec(sql);
    if (mark === null) return sql.length;
    depth += mark[0] === '/*' ? 1 : -1;
  }
  return marks.lastIndex;
}

function afterDollarQuote(sql: string, quote: string, from: number): number {
  const end = sql.indexOf(quote, from);
  return end === -1 ? sql.length : end + quote.length;
}

/** Keywords that are counted; DuckDB takes some characters beside them for spaces, and some for letters. */
const gluedKeyword = /(?<![\w$])(?:case|when|end|over)(?![\w$])/i;

function requirePlain(word: string, sql: string, end: number): void {
  const isEscaped = /(?:^|[^\w$])e$/i.test(word) && sql[end] === "'";
  if (isEscaped && sql.includes("\\'"))
    throw new DomainError('statement_refused', "A backslash before a quote is not read in texts of the form E'…': a quote is written twice."); // prettier-ignore
  if (!/^[\w$\u{80}-\u{10ffff}]/u.test(word) || !/[^\0-\x7f]/.test(word)) return;
  if (isEscaped || isDollarQuote(word) || gluedKeyword.test(word))
    throw new DomainError('statement_refused', `Write spaces, quotes and keywords as plain characters: ${word}.`, { word }); // prettier-ignore
}
