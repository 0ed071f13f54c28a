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

/**
 * A row's canonical text: every value as `v` and its text, what may hold any text with its length before it, NULL as `n`.
 * Doubles print as the shortest text that reads back the same; minus zero is zero and every NaN is one.
 */
function canonicalValue({ name, type }: Column): string {
  const column = quoteName(name);
  if (type === 'DOUBLE' || type === 'FLOAT')
    return `coalesce('v' || CASE WHEN isnan(${column}) THEN 'nan' ELSE (${column}::DOUBLE + 0.0)::VARCHAR END, 'n')`;
  // Infinity has no epoch, but a text.
  if (type === 'TIMESTAMP_NS') return `coalesce('v' || epoch_ns(${column}), 'v' || ${column}::VARCHAR, 'n')`;
  if (type.startsWith('TIMESTAMP')) return `coalesce('v' || epoch_us(${column}), 'v' || ${column}::VARCHAR, 'n')`;
  const text = type === 'VARCHAR' ? column : `${column}::VARCHAR`;
  return plainType.test(type)
    ? `coalesce('v' || ${text}, 'n')`
    : `coalesce('v' || length(${text}) || ':' || ${text}, 'n')`;
}

/**
 * SHA-256 of each canonical row, added up lane by lane (four lanes of 64 bits): a sum does not mind the order, and unlike
 * an exclusive or it counts repeated rows. The schema and the number of rows enter the final hash.
 */
export async function hashRows(session: Session, relation: string, columns: readonly Column[]): Promise<RowHash> {
  const row = columns.map(canonicalValue).join(` || '|' || `);
  const lane = (from: number) => `coalesce(sum(('0x' || h[${from}:${from + 15}])::UBIGINT), 0)::VARCHAR`;
  const [sums] = await session.rows<{ rows: number; a: string; b: string; c: string; d: string }>(
    `SELECT count(*)::DOUBLE AS rows, ${lane(1)} AS a, ${lane(17)} AS b, ${lane(33)} AS c, ${lane(49)} AS d FROM (SELECT sha256(${row}) AS h FROM ${relation})`,
  );
  const { rows, a, b, c, d } = sums as NonNullable<typeof sums>;
  return { rows, rowHash: sha256(canonicalJson({ format: 'eider-rows/1', columns, rows, lanes: [a, b, c, d] })) };
}
