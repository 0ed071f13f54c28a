import {
  Binary,
  Bool,
  DateDay,
  Decimal,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  IntervalMonthDayNano,
  TimeMicrosecond,
  TimeNanosecond,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  TimestampSecond,
  Uint16,
  Uint32,
  Uint64,
  Uint8,
  Utf8,
  type DataType,
} from 'apache-arrow';
import { DomainError } from '../../domain/errors.js';
import type { TableColumn } from '../../domain/tables.js';
import type { Layout, PlannedColumn } from './plan.js';

/** How DuckDB's values become Arrow's: what SQL makes of the column first, what vector DuckDB then hands out, and how it lies. */
interface ScalarRow {
  /** Number in DuckDB's C enumeration `duckdb_type` of the vector that arrives. */
  readonly typeId: number;
  readonly layout: Layout;
  readonly arrow: DataType;
  /** The SQL type when it is not the column's own. */
  readonly cast?: string;
}

const plain = (typeId: number, width: 1 | 2 | 4 | 8 | 16, arrow: DataType): ScalarRow => ({
  typeId,
  layout: { kind: 'plain', width },
  arrow,
});
const text = { typeId: 17, layout: { kind: 'text' }, arrow: new Utf8(), cast: 'VARCHAR' } as const;
const widest = (scale: number) => ({ ...plain(19, 16, new Decimal(scale, 38)), cast: `DECIMAL(38,${scale})` });

/**
 * DuckDB's scalar types by the name that DESCRIBE prints. HUGEINT and UHUGEINT become decimals of 38 digits; a larger value
 * is an error of the stream, never another number.
 */
const scalarRows: Readonly<Record<string, ScalarRow>> = {
  BOOLEAN: { typeId: 1, layout: { kind: 'bits' }, arrow: new Bool() },
  TINYINT: plain(2, 1, new Int8()),
  SMALLINT: plain(3, 2, new Int16()),
  INTEGER: plain(4, 4, new Int32()),
  BIGINT: plain(5, 8, new Int64()),
  UTINYINT: plain(6, 1, new Uint8()),
  USMALLINT: plain(7, 2, new Uint16()),
  UINTEGER: plain(8, 4, new Uint32()),
  UBIGINT: plain(9, 8, new Uint64()),
  FLOAT: plain(10, 4, new Float32()),
  DOUBLE: plain(11, 8, new Float64()),
  TIMESTAMP: plain(12, 8, new TimestampMicrosecond()),
  DATE: plain(13, 4, new DateDay()),
  TIME: plain(14, 8, new TimeMicrosecond()),
  INTERVAL: { typeId: 15, layout: { kind: 'interval' }, arrow: new IntervalMonthDayNano() },
  HUGEINT: widest(0),
  VARCHAR: text,
  BLOB: { typeId: 18, layout: { kind: 'text' }, arrow: new Binary() },
  TIMESTAMP_S: plain(20, 8, new TimestampSecond()),
  TIMESTAMP_MS: plain(21, 8, new TimestampMillisecond()),
  TIMESTAMP_NS: plain(22, 8, new TimestampNanosecond()),
  UUID: text,
  'TIMESTAMP WITH TIME ZONE': plain(31, 8, new TimestampMicrosecond('UTC')),
  UHUGEINT: widest(0),
  TIME_NS: plain(39, 8, new TimeNanosecond()),
  JSON: text,
};

/** What is read, cast and laid out for these columns; throws `type_unsupported` naming the first column that cannot be sent. */
export const planColumns = (columns: readonly TableColumn[]): PlannedColumn[] =>
  columns.map((column) => {
    const { typeId, layout, cast } = scalarRow(column);
    return { name: column.name, typeId, layout, casts: casts(column.type, cast) };
  });

export const arrowTypeOf = (column: TableColumn): DataType => scalarRow(column).arrow;

/** The column's own type first, because a file may hold a wider one (DuckDB writes a HUGEINT to Parquet as DOUBLE). */
const casts = (own: string, cast: string | undefined): string[] =>
  own.startsWith('ENUM(') ? ['VARCHAR'] : cast === undefined || cast === own ? [own] : [own, cast];

function scalarRow({ name, type }: TableColumn): ScalarRow {
  const row = Object.hasOwn(scalarRows, type) ? scalarRows[type] : undefined;
  if (row) return row;
  const decimal = /^DECIMAL\((\d{1,2}),(\d{1,2})\)$/.exec(type);
  if (decimal) {
    const [precision, scale] = [Number(decimal[1]), Number(decimal[2])];
    return { ...widest(scale), arrow: new Decimal(scale, precision) };
  }
  if (type.startsWith('ENUM(') && type.endsWith(')')) return text;
  throw new DomainError('type_unsupported', `Column "${name}" is a ${type}, which cannot be sent as Arrow yet.`, {
    column: name,
    type,
  });
}
