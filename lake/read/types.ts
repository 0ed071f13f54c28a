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
import { holdHandle, library, setPointer, type Pointer } from './library.js';
import type { Layout } from './plan.js';

/** What a DuckDB type is in Arrow, and how it gets there. */
export interface TypeRow {
  /** DuckDB's name. */
  readonly sql: string;
  readonly layout: Layout;
  readonly arrow: DataType;
}

const plain = (sql: string, width: 1 | 2 | 4 | 8 | 16, arrow: DataType): TypeRow => ({
  sql,
  layout: { kind: 'plain', width },
  arrow,
});

/** By number in DuckDB's C enumeration `duckdb_type`. */
const scalarRows: Readonly<Record<number, TypeRow>> = {
  1: { sql: 'BOOLEAN', layout: { kind: 'bits' }, arrow: new Bool() },
  2: plain('TINYINT', 1, new Int8()),
  3: plain('SMALLINT', 2, new Int16()),
  4: plain('INTEGER', 4, new Int32()),
  5: plain('BIGINT', 8, new Int64()),
  6: plain('UTINYINT', 1, new Uint8()),
  7: plain('USMALLINT', 2, new Uint16()),
  8: plain('UINTEGER', 4, new Uint32()),
  9: plain('UBIGINT', 8, new Uint64()),
  10: plain('FLOAT', 4, new Float32()),
  11: plain('DOUBLE', 8, new Float64()),
  12: plain('TIMESTAMP', 8, new TimestampMicrosecond()),
  13: plain('DATE', 4, new DateDay()),
  14: plain('TIME', 8, new TimeMicrosecond()),
  15: { sql: 'INTERVAL', layout: { kind: 'interval' }, arrow: new IntervalMonthDayNano() },
  17: { sql: 'VARCHAR', layout: { kind: 'text' }, arrow: new Utf8() },
  18: { sql: 'BLOB', layout: { kind: 'text' }, arrow: new Binary() },
  20: plain('TIMESTAMP_S', 8, new TimestampSecond()),
  21: plain('TIMESTAMP_MS', 8, new TimestampMillisecond()),
  22: plain('TIMESTAMP_NS', 8, new TimestampNanosecond()),
  31: plain('TIMESTAMP WITH TIME ZONE', 8, new TimestampMicrosecond('UTC')),
  39: plain('TIME_NS', 8, new TimeNanosecond()),
};
const decimalId = 19;

/** Takes over the logical type; throws `type_unsupported` naming the column. */
export function typeRow(column: string, logical: Pointer): TypeRow {
  const duckdb = library();
  const handle = holdHandle();
  setPointer(handle, logical);
  try {
    const id = duckdb.typeId(logical);
    const known = scalarRows[id];
    if (known) return known;
    const width = id === decimalId ? duckdb.decimalWidth(logical) : 0;
    if (width > 18) {
      const scale = duckdb.decimalScale(logical);
      return plain(`DECIMAL(${width},${scale})`, 16, new Decimal(scale, width));
    }
    throw new DomainError('type_unsupported', `Column "${column}" has a type that cannot be sent as Arrow yet.`, {
      column,
      type: id,
    });
  } finally {
    duckdb.destroyLogicalType(handle.address);
  }
}
