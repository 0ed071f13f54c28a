import type { Column } from '../domain/features.js';
import type { Sha256 } from '../domain/ids.js';
import { canonicalJson, sha256 } from '../domain/json.js';
import { quoteName, type Session } from './duckdb.js';

/** Equality of tables: how many rows, and a hash that depends neither on their order nor on how they lie in files. */
export interface RowHash {
  readonly rows: number;
  readonly rowHash: Sha256;
}

/** Types whose text holds nothing that could be taken for the border between two values. */
const plainType = /^(BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(.*\)|DATE|UUID)$/;

/** How many columns' NULLs fit one number. */
const maskColumns = 60;

/**
 * A row's canonical text: which values are NULL, then every value's text, what may hold any text with its length in bytes
 * before it. Of a double that is its bits as a number, which costs half of printing it; minus zero is zero and every NaN is
 * one. One `concat` over all of it (it reads NULL as nothing) costs half of what joining the values one by one does.
 */
function canonicalRow(columns: readonly Column[]): string {
  const masks = Array.from({ length: Math.ceil(columns.length / maskColumns) }, (_, part) =>
    columns
      .slice(part * maskColumns, (part + 1) * maskColumns)
      .map(({ name }, bit) => `(${quoteName(name)} IS NULL)::BIGINT * ${2 ** bit}`)
      .join(' + '),
  );
  return `concat(${[...masks, ...columns.map(canonicalValue)].join(`, '|', `)})`;
}

function canonicalValue({ name, type }: Column): string {
  const column = quoteName(name);
  if (type === 'DOUBLE' || type === 'FLOAT')
    return `CASE WHEN isnan(${column}) THEN 'nan' ELSE (${column}::DOUBLE + 0.0)::BIT::BIGINT::VARCHAR END`;
  // Infinity has no epoch, but a text.
  if (type === 'TIMESTAMP_NS') return `coalesce(epoch_ns(${column})::VARCHAR, ${column}::VARCHAR)`;
  if (type.startsWith('TIMESTAMP')) return `coalesce(epoch_us(${column})::VARCHAR, ${column}::VARCHAR)`;
  if (plainType.test(type)) return `${column}::VARCHAR`;
  const text = type === 'VARCHAR' ? column : `${column}::VARCHAR`;
  return `strlen(${text}), ':', ${text}`;
}

/**
 * The first half of each canonical row's SHA-256, added up as two lanes of 64 bits: a sum does not mind the order, and unlike
 * an exclusive or it counts repeated rows. 128 bits tell tables apart; they are no seal against somebody who wants two tables
 * to look equal, which the files' own SHA-256 is. The schema and the number of rows enter the final hash. Lanes are read from
 * the digest's hex digits: taking its bytes apart costs several times as much.
 */
export async function hashRows(session: Session, relation: string, columns: readonly Column[]): Promise<RowHash> {
  const lane = (from: number) => `coalesce(sum(('0x' || substring(digest, ${from}, 16))::UBIGINT), 0)::VARCHAR`;
  const [sums] = await session.rows<{ rows: number; a: string; b: string }>(
    `SELECT count(*)::DOUBLE AS rows, ${lane(1)} AS a, ${lane(17)} AS b FROM (SELECT sha256(${canonicalRow(columns)}) AS digest FROM ${relation})`,
  );
  const { rows, a, b } = sums as NonNullable<typeof sums>;
  return { rows, rowHash: sha256(canonicalJson({ format: 'eider-rows/2', columns, rows, lanes: [a, b] })) };
}
