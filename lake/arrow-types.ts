import * as duckdb from '@duckdb/node-api';
import type { DuckDBType, DuckDBValue } from '@duckdb/node-api';
import { DataType, TimeUnit, Vector, type Data, type Field } from 'apache-arrow';
import { DomainError } from '../domain/errors.js';

/** How DuckDB keeps an Arrow column. */
export interface ColumnType {
  readonly type: DuckDBType;
  /** DuckDB's name of the type. */
  readonly sql: string;
  /** The value of a row that is not NULL. */
  readonly read: (data: Data) => (row: number) => DuckDBValue;
}

/** As Arrow's own reader gives it. */
const plain = (data: Data) => {
  const vector = new Vector([data]);
  return (row: number) => vector.get(row) as DuckDBValue;
};
/** As it lies there: Arrow's reader makes milliseconds of every instant. */
const raw =
  <Raw extends number | bigint>(convert: (value: Raw) => DuckDBValue) =>
  (data: Data) => {
    const { values } = data;
    return (row: number) => convert(values[row] as Raw);
  };

const text = { type: duckdb.VARCHAR, sql: 'VARCHAR', read: plain };
const wholes: Readonly<Record<string, Omit<ColumnType, 'read'>>> = {
  '8': { type: duckdb.TINYINT, sql: 'TINYINT' },
  '16': { type: duckdb.SMALLINT, sql: 'SMALLINT' },
  '32': { type: duckdb.INTEGER, sql: 'INTEGER' },
  '64': { type: duckdb.BIGINT, sql: 'BIGINT' },
  u8: { type: duckdb.UTINYINT, sql: 'UTINYINT' },
  u16: { type: duckdb.USMALLINT, sql: 'USMALLINT' },
  u32: { type: duckdb.UINTEGER, sql: 'UINTEGER' },
  u64: { type: duckdb.UBIGINT, sql: 'UBIGINT' },
};

const microsPer: Readonly<Partial<Record<TimeUnit, bigint>>> = {
  [TimeUnit.SECOND]: 1_000_000n,
  [TimeUnit.MILLISECOND]: 1_000n,
  [TimeUnit.MICROSECOND]: 1n,
};

/**
 * Instants keep their precision: DuckDB has no nanoseconds with a zone, so these are kept in UTC without one. Throws
 * `spine_invalid` for what has no place in a spine, such as lists.
 */
export function columnType({ name, type }: Field): ColumnType {
  const dictionary = DataType.isDictionary(type);
  const inner = dictionary ? (type.dictionary as DataType) : (type as DataType);
  if (DataType.isUtf8(inner) || DataType.isLargeUtf8(inner)) return text;
  if (!dictionary) {
    const found = scalarType(inner);
    if (found) return found;
  }
  throw new DomainError('spine_invalid', `Column "${name}" is ${named(type)}, which a spine cannot hold. Cast it before it is sent.`, { column: name }); // prettier-ignore
}

/** A list without a field for its items has no name of its own. */
function named(type: DataType): string {
  try {
    return String(type);
  } catch {
    return 'of a broken type';
  }
}

function scalarType(type: DataType): ColumnType | null {
  if (DataType.isInt(type)) return { ...(wholes[`${type.isSigned ? '' : 'u'}${type.bitWidth}`] ?? text), read: plain };
  if (DataType.isFloat(type))
    return type.precision === 2
      ? { type: duckdb.DOUBLE, sql: 'DOUBLE', read: plain }
      : { type: duckdb.FLOAT, sql: 'FLOAT', read: plain };
  if (DataType.isBool(type)) return { type: duckdb.BOOLEAN, sql: 'BOOLEAN', read: plain };
  if (DataType.isNull(type)) return text;
  if (DataType.isTimestamp(type)) return instantType(type.unit, type.timezone ?? null);
  if (DataType.isDate(type)) return dateType;
  return null;
}

function instantType(unit: TimeUnit, zone: string | null): ColumnType {
  const micros = microsPer[unit];
  if (micros === undefined) {
    const read = raw<bigint>((value) => new duckdb.DuckDBTimestampNanosecondsValue(value));
    return { type: duckdb.TIMESTAMP_NS, sql: 'TIMESTAMP_NS', read };
  }
  return zone === null
    ? { type: duckdb.TIMESTAMP, sql: 'TIMESTAMP', read: raw<bigint>((value) => new duckdb.DuckDBTimestampValue(value * micros)) } // prettier-ignore
    : { type: duckdb.TIMESTAMPTZ, sql: 'TIMESTAMP WITH TIME ZONE', read: raw<bigint>((value) => new duckdb.DuckDBTimestampTZValue(value * micros)) }; // prettier-ignore
}

const dayMs = 86_400_000n;
const dateType: ColumnType = {
  type: duckdb.DATE,
  sql: 'DATE',
  // Days, or milliseconds of whole days.
  read: raw<number | bigint>(
    (value) => new duckdb.DuckDBDateValue(typeof value === 'bigint' ? Number(value / dayMs) : value),
  ),
};
