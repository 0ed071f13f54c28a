import { DomainError } from '../../domain/errors.js';
import { quoteText } from '../duckdb.js';

/** A value for `$1`, in DuckDB's notation of its type. */
export interface Parameter {
  /** DuckDB's name. */
  readonly type: string;
  readonly text: string | null;
}

const scalar =
  'BOOLEAN|U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\\(\\d{1,2},\\d{1,2}\\)|VARCHAR|BLOB|BIT|UUID|JSON|DATE|TIME|TIME_NS|TIME WITH TIME ZONE|TIMESTAMP(?:_S|_MS|_NS)?|TIMESTAMP WITH TIME ZONE|INTERVAL';
/** Also lists and arrays of them. */
const types = new RegExp(`^(?:${scalar})(?:\\[\\d{0,5}\\])*$`);
const textBytesMax = 2 ** 20;

/**
 * The statement with constants in the place of its parameters. It is DuckDB's own writing, where a `$1` that is in no quotes is
 * a parameter; a value becomes a quoted text in a CAST, whatever it holds.
 */
export function withConstants(sql: string, parameters: readonly Parameter[], count: number): string {
  if (parameters.length !== count)
    throw new DomainError(
      'statement_invalid',
      `It has ${count} parameters, and ${parameters.length} values were given.`,
    );
  const bytes = parameters.reduce((sum, { text }) => sum + Buffer.byteLength(text ?? ''), 0);
  if (bytes > textBytesMax)
    throw new DomainError('statement_too_large', `Its parameters have ${bytes} bytes; ${textBytesMax} is the limit.`);
  const constants = parameters.map(constant);
  return sql.replace(tokens, (token, number?: string) => (number === undefined ? token : (constants[Number(number) - 1] as string))); // prettier-ignore
}

const tokens = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\d+)/g;

/** How many places for values the text has; to be compared with what the tree says. */
export const placesIn = (sql: string): Set<number> =>
  new Set([...sql.matchAll(tokens)].flatMap(([, number]) => (number === undefined ? [] : [Number(number)])));

function constant({ type, text }: Parameter, index: number): string {
  if (type === 'NULL') return 'NULL';
  if (!types.test(type))
    throw new DomainError('statement_invalid', `Parameter $${index + 1} has the type ${type}, which is not taken.`, {
      type,
    });
  if (text?.includes('\0'))
    throw new DomainError('statement_invalid', `Parameter $${index + 1} has a character of code 0.`);
  return `CAST(${text === null ? 'NULL' : quoteText(text)} AS ${type})`;
}
