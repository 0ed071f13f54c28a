import { DomainError, isDomainError } from '../../domain/errors.js';
import type { Reader } from '../read/reader.js';
import { checkTokens, notServed, tooLarge } from './expansion.js';
import type { Node } from './grammar.js';
import { wordsOf } from './words.js';

export type Parser = Pick<Reader, 'text'>;

export const statementBytesMax = 64 * 2 ** 10;
/** DuckDB quotes more than people do. */
const writtenBytesMax = 2 * statementBytesMax;
const treeBytesMax = 16 * 2 ** 20;

/** The tree of the one SELECT that the text is. Throws `statement_invalid`, `statement_refused` or `statement_too_large`. */
export async function parseStatement(parser: Parser, sql: string): Promise<Node> {
  checkBytes(sql, statementBytesMax);
  if (sql.includes('\0')) throw new DomainError('statement_invalid', 'It has a character of code 0.');
  checkTokens(sql);
  return parseWritten(parser, sql);
}

/** The same of what DuckDB wrote. */
export async function parseWritten(parser: Parser, sql: string): Promise<Node> {
  return treeOf(
    await ask(parser, `SELECT ${limited('j')} FROM (SELECT json_serialize_sql($1::VARCHAR)::VARCHAR AS j)`, sql),
    sql,
  );
}

/** The tree as text, and that text parsed again: what will be run is what is checked. */
export async function writeStatement(parser: Parser, tree: Node): Promise<{ sql: string; tree: Node }> {
  const json = stringifyTree({ error: false, statements: [tree] });
  const written = `SELECT {sql: s, tree: ${limited('j')}}::JSON::VARCHAR FROM (SELECT s, json_serialize_sql(s)::VARCHAR AS j FROM (SELECT json_deserialize_sql($1::JSON) AS s))`;
  const answer = JSON.parse(await ask(parser, written, json)) as { sql: string; tree: string };
  checkBytes(answer.sql, writtenBytesMax);
  return { sql: answer.sql, tree: treeOf(answer.tree, answer.sql) };
}

function checkBytes(sql: string, max: number): void {
  const bytes = Buffer.byteLength(sql);
  if (bytes <= max) return;
  throw new DomainError('statement_too_large', `It has ${bytes} bytes; ${max} is the limit.`);
}

/** Of a column: DuckDB would compute an expression in each branch anew. */
const limited = (json: string): string => `CASE WHEN strlen(${json}) <= ${treeBytesMax} THEN ${json} ELSE '' END`;

async function ask(parser: Parser, sql: string, value: string): Promise<string> {
  let answer: string;
  try {
    answer = await parser.text(sql, [value]);
  } catch (error) {
    if (!isDomainError(error) || error.code !== 'query_failed') throw error;
    if (/^Out of Memory/.test(error.message)) throw tooLarge(error);
    throw new DomainError('statement_refused', `DuckDB cannot write it anew: ${error.message}`, {}, { cause: error });
  }
  if (answer === '') throw tooLarge();
  return answer;
}

interface Answer {
  readonly error: boolean;
  readonly error_type?: string;
  readonly error_message?: string;
  readonly position?: string;
  readonly statements?: readonly Node[];
}

function treeOf(json: string, sql: string): Node {
  if (json === '') throw tooLarge();
  const answer = parseTree(json) as Answer;
  if (answer.error) throw parseError(answer, sql);
  const [tree, ...others] = answer.statements ?? [];
  if (!tree) throw new DomainError('statement_invalid', 'It is empty.');
  if (others.length > 0)
    throw new DomainError('statement_refused', `These are ${others.length + 1} statements; one is served at a time.`);
  return tree;
}

function parseError({ error_type: type, error_message: message, position }: Answer, sql: string): DomainError {
  if (type === 'not implemented') return refusalOf(sql);
  if (/^(Max expression depth|memory exhausted)/.test(message ?? '')) return tooLarge();
  const line = position === undefined ? [] : sql.slice(0, Number(position)).split('\n');
  const at = position === undefined ? '' : `, at line ${line.length}, column ${(line.at(-1) ?? '').length + 1}`;
  return new DomainError('statement_invalid', `${message ?? 'DuckDB gave no reason'}${at}.`);
}

/** Only what begins a SELECT, or stands for one, becomes a tree. */
function refusalOf(sql: string): DomainError {
  for (const word of wordsOf(sql)) if (word !== '(' && word !== ';') return notServed(/^[a-z]/i.test(word) ? word.toUpperCase() : 'This'); // prettier-ignore
  return notServed('This');
}

/** A number as it was written: JavaScript's would round it, and forget whether it had a fraction. */
class Numeral {
  constructor(readonly text: string) {}
  toJSON(): object {
    return { '#number': this.text };
  }
}

export const isNumeral = (value: unknown): value is { readonly text: string } => value instanceof Numeral;

const tokens = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;

/** Within a string of JSON every quote is escaped, so no text of a client can look like what is replaced here. */
function parseTree(json: string): unknown {
  const numbered = json.replace(tokens, (token) => (token.startsWith('"') ? token : `{"#number":"${token}"}`));
  try {
    return JSON.parse(numbered, (_, value: unknown) =>
      typeof value === 'object' && value !== null && '#number' in value ? new Numeral(String(value['#number'])) : value,
    );
  } catch (error) {
    // By its name: errors of the engine may come from another realm.
    if ((error as Error).name === 'RangeError') throw tooLarge(error); // Nested more deeply than JavaScript's stack.
    // DuckDB writes Infinity into its tree, which no JSON has, and which it does not read again itself.
    if ((error as Error).name === 'SyntaxError') throw new DomainError('statement_refused', 'A number in it is larger than a DOUBLE can be.'); // prettier-ignore
    throw error;
  }
}

const stringifyTree = (tree: unknown): string => JSON.stringify(tree).replace(/\{"#number":"([^"\\]*)"\}/g, '$1');
