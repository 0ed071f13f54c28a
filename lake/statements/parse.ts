import { DomainError, isDomainError } from '../../domain/errors.js';
import type { Reader } from '../read/reader.js';
import type { Node } from './grammar.js';

export type Parser = Pick<Reader, 'text'>;

export const statementBytesMax = 64 * 2 ** 10;

/** The tree of the one SELECT that the text is. Throws `statement_invalid`, `statement_refused` or `statement_too_large`. */
export async function parseStatement(parser: Parser, sql: string): Promise<Node> {
  const bytes = Buffer.byteLength(sql);
  if (bytes > statementBytesMax)
    throw new DomainError('statement_too_large', `It has ${bytes} bytes; ${statementBytesMax} is the limit.`);
  if (sql.includes('\0')) throw new DomainError('statement_invalid', 'It has a character of code 0.');
  return treeOf(await parser.text('SELECT json_serialize_sql($1::VARCHAR)::VARCHAR', [sql]), sql);
}

/** The tree as text, and that text parsed again: what will be run is what is checked. */
export async function writeStatement(parser: Parser, tree: Node): Promise<{ sql: string; tree: Node }> {
  const json = stringifyTree({ error: false, statements: [tree] });
  const answer = await parser
    .text(
      'SELECT {sql: s, tree: json_serialize_sql(s)::VARCHAR}::JSON::VARCHAR FROM (SELECT json_deserialize_sql($1::JSON) AS s)',
      [json],
    ) // prettier-ignore
    .catch((error: unknown) => {
      if (!isDomainError(error) || error.code !== 'query_failed') throw error;
      throw new DomainError('statement_refused', `DuckDB cannot write it anew: ${error.message}`, {}, { cause: error });
    });
  const written = JSON.parse(answer) as { sql: string; tree: string };
  return { sql: written.sql, tree: treeOf(written.tree, written.sql) };
}

interface Answer {
  readonly error: boolean;
  readonly error_type?: string;
  readonly error_message?: string;
  readonly position?: string;
  readonly statements?: readonly Node[];
}

function treeOf(json: string, sql: string): Node {
  const answer = parseTree(json) as Answer;
  if (answer.error) throw parseError(answer, sql);
  const [tree, ...others] = answer.statements ?? [];
  if (!tree) throw new DomainError('statement_invalid', 'It is empty.');
  if (others.length > 0)
    throw new DomainError('statement_refused', `These are ${others.length + 1} statements; one is served at a time.`);
  return tree;
}

function parseError({ error_type: type, error_message: message, position }: Answer, sql: string): DomainError {
  if (type === 'not implemented') return new DomainError('statement_refused', refusalOf(sql));
  const line = position === undefined ? [] : sql.slice(0, Number(position)).split('\n');
  const at = position === undefined ? '' : `, at line ${line.length}, column ${(line.at(-1) ?? '').length + 1}`;
  return new DomainError('statement_invalid', `${message ?? 'DuckDB gave no reason'}${at}.`);
}

/** Only what begins a SELECT, or stands for one, becomes a tree. */
function refusalOf(sql: string): string {
  const word = /^(?:\s|--.*\n|\/\*[^]*?\*\/|[(;])*([A-Za-z]+)/.exec(sql)?.[1]?.toUpperCase() ?? 'This';
  return `${word} is not served: tables can be read here, by SELECT, and nothing can be changed.`;
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
const parseTree = (json: string): unknown =>
  JSON.parse(json.replace(tokens, (token) => (token.startsWith('"') ? token : `{"#number":"${token}"}`)), (_, value: unknown) =>
    typeof value === 'object' && value !== null && '#number' in value ? new Numeral(String(value['#number'])) : value,
  ); // prettier-ignore

const stringifyTree = (tree: unknown): string => JSON.stringify(tree).replace(/\{"#number":"([^"\\]*)"\}/g, '$1');
