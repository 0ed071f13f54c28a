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

/** Beside the hash of the rows that of their first columns alone: the text of these is made once for both. */
export async function hashPrefix(
  session: Session,
  relation: string,
  columns: readonly Column[],
  prefix: number,
): Promise<RowHash & { readonly prefixHash: Sha256 }> {
  const lanes = (digest: string) => `[${lane(digest, 1)}, ${lane(digest, 17)}]`;
  const [first, rest] = [columns.slice(0, prefix), columns.slice(prefix)];
  const texts =
    first.length === 0 || rest.length === 0 ? null : `${canonicalRow(first)} AS first, ${canonicalRow(rest)} AS rest`;
  const digests =
    texts === null
      ? `(SELECT sha256(${canonicalRow(columns)}) AS digest FROM ${relation})`
      : `(SELECT sha256(first) AS prefix, sha256(concat(first, '|', rest)) AS digest FROM (SELECT ${texts} FROM ${relation}))`;
  const [sums] = await session.rows<{ rows: number; lanes: string[]; prefix: string[] }>(
    `SELECT count(*)::DOUBLE AS rows, ${lanes('digest')} AS lanes, ${texts === null ? 'lanes' : lanes('prefix')} AS prefix FROM ${digests}`,
  );
  const { rows, lanes: all, prefix: some } = sums as NonNullable<typeof sums>;
  const hash = (of: readonly Column[], sum: readonly string[]) =>
    sha256(canonicalJson({ format: 'eider-rows/2', columns: of, rows, lanes: sum }));
  return { rows, rowHash: hash(columns, all), prefixHash: hash(first, some) };
}

const lane = (digest: string, from: number): string =>
  `coalesce(sum(('0x' || substring(${digest}, ${from}, 16))::UBIGINT), 0)::VARCHAR`;
