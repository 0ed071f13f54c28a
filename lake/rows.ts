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
 * A row's canonical text: every value's text, what may hold any text with its length in bytes before it, so that nothing can
 * be shifted from one value to the next, and NULL (which `concat` reads as nothing) is like no value. Of a double it is its
 * bits as a number, which costs half of printing it; minus zero is zero and every NaN is one. One `concat` over all of it
 * costs half of what joining the values one by one does.
 */
export const canonicalRow = (columns: readonly Column[]): string =>
  `concat(${columns.map(canonicalValue).join(`, '|', `)})`;

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
  const { rows, rowHash } = await hashPrefix(session, relation, columns, 0);
  return { rows, rowHash };
}

/**
 * Beside the hash of the rows that of their first columns alone, whose text is made once for both. It says why two tables
 * differ, never that they are equal, so MD5 does, at a fraction of the cost. Without such columns it is null.
 */
export async function hashPrefix(
  session: Session,
  relation: string,
  columns: readonly Column[],
  prefix: number,
): Promise<RowHash & { readonly prefixHash: Sha256 | null }> {
  const [first, rest] = [columns.slice(0, prefix), columns.slice(prefix)];
  const texts = [first, rest].map((some) => (some.length === 0 ? null : canonicalRow(some)));
  const [start, end] = [texts[0] ?? 'NULL', texts[1] ?? 'NULL'];
  const whole = texts.includes(null) ? 'coalesce(first, rest)' : "concat(first, '|', rest)";
  const [sums] = await session.rows<{ rows: number; lanes: string[]; prefix: string[] }>(
    `SELECT count(*)::DOUBLE AS rows, [${lane(1)}, ${lane(17)}] AS lanes, ${prefix === 0 ? '[]' : prefixLanes} AS prefix
     FROM (SELECT sha256(${whole}) AS digest, ${prefix === 0 ? 'NULL' : 'md5_number(first)::UHUGEINT'} AS print FROM (SELECT ${start} AS first, ${end} AS rest FROM ${relation}))`,
  );
  const { rows, lanes, prefix: prints } = sums as NonNullable<typeof sums>;
  const hash = (format: string, of: readonly Column[], sum: readonly string[]) =>
    sha256(canonicalJson({ format, columns: of, rows, lanes: sum }));
  return {
    ...{ rows, rowHash: hash('eider-rows/2', columns, lanes) },
    prefixHash: prefix === 0 ? null : hash('eider-prefix/1', first, prints),
  };
}

const lane = (from: number): string => `coalesce(sum(('0x' || substring(digest, ${from}, 16))::UBIGINT), 0)::VARCHAR`;
const prefixLanes =
  '[coalesce(sum((print >> 64)::UBIGINT), 0)::VARCHAR, coalesce(sum((print & 18446744073709551615::UHUGEINT)::UBIGINT), 0)::VARCHAR]';
