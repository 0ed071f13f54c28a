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
  Null,
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
} from 'apache-arrow/type';
import { DomainError } from '../../domain/errors.js';
import type { Check, Layout } from './layout.js';
import { holdHandle, library, setPointer, textAndFree, type Pointer } from './library.js';
import { nestedRows } from './nested.js';
import type { TypeReading, TypeRow } from './type-row.js';

type Row = Omit<TypeRow, 'dictionaries'>;

const both = (sql: string, layout: Layout, arrow: DataType): Row => ({ sql, arrow, vector: layout, array: layout });
const plain = (sql: string, width: 1 | 2 | 4 | 8 | 16, arrow: DataType, check?: Check): Row =>
  both(sql, check ? { kind: 'plain', width, check } : { kind: 'plain', width }, arrow);
const converted = (sql: string, array: Layout, arrow: DataType): Row => ({ sql, arrow, vector: null, array });
const text = (sql: string, arrow: DataType): Row => converted(sql, { kind: 'text' }, arrow);
const extension = (row: Row, name: string, metadata: object): Row => ({
  ...row,
  metadata: new Map([
    ['ARROW:extension:name', name],
    ['ARROW:extension:metadata', JSON.stringify(metadata)],
  ]),
});

type TypeOf = (logical: Pointer, reading: TypeReading) => TypeRow;
type Unsupported = { readonly unsupported: string };

/**
 * By number in DuckDB's C enumeration `duckdb_type`, all of them. Arrow's types are those of DuckDB's own export with its
 * default settings.
 */
const typeRows: Readonly<Record<number, Row | TypeOf | Unsupported>> = {
  1: { sql: 'BOOLEAN', arrow: new Bool(), vector: { kind: 'bools' }, array: { kind: 'bits' } },
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
  15: {
    sql: 'INTERVAL',
    arrow: new IntervalMonthDayNano(),
    vector: { kind: 'interval' },
    array: { kind: 'nanos' },
  },
  16: plain('HUGEINT', 16, new Decimal(0, 38), 'signed38'),
  17: textOrJson,
  18: text('BLOB', new Binary()),
  19: decimal,
  20: plain('TIMESTAMP_S', 8, new TimestampSecond()),
  21: plain('TIMESTAMP_MS', 8, new TimestampMillisecond()),
  22: plain('TIMESTAMP_NS', 8, new TimestampNanosecond()),
  23: nestedRows.enum,
  24: nestedRows.list,
  25: nestedRows.struct,
  26: nestedRows.map,
  27: text('UUID', new Utf8()),
  28: nestedRows.union,
  29: text('BIT', new Binary()),
  30: converted('TIME WITH TIME ZONE', { kind: 'plain', width: 8 }, new TimeMicrosecond()),
  31: plain('TIMESTAMP WITH TIME ZONE', 8, new TimestampMicrosecond('UTC')),
  32: plain('UHUGEINT', 16, new Decimal(0, 38), 'unsigned38'),
  33: nestedRows.array,
  34: { unsupported: 'ANY' },
  35: extension(text('BIGNUM', new Binary()), 'arrow.opaque', { type_name: 'bignum', vendor_name: 'DuckDB' }),
  36: both('"NULL"', { kind: 'null' }, new Null()),
  37: { unsupported: 'STRING_LITERAL' },
  38: { unsupported: 'INTEGER_LITERAL' },
  39: plain('TIME_NS', 8, new TimeNanosecond()),
  40: extension(text('GEOMETRY', new Binary()), 'geoarrow.wkb', {}),
  41: { unsupported: 'VARIANT' },
};

/** Of the types that have no parts. */
export const scalarNames: readonly string[] = [
  'JSON',
  ...Object.values(typeRows).flatMap((row) =>
    typeof row === 'function'
      ? row === textOrJson
        ? ['VARCHAR']
        : []
      : ['unsupported' in row ? row.unsupported : row.sql],
  ),
];

function decimal(logical: Pointer): TypeRow {
  const duckdb = library();
  const [width, scale] = [duckdb.decimalWidth(logical), duckdb.decimalScale(logical)];
  const wide: Layout = { kind: 'plain', width: 16 };
  const vector: Layout = width > 18 ? wide : { kind: 'narrow', width: width > 9 ? 8 : width > 4 ? 4 : 2 };
  return { sql: `DECIMAL(${width},${scale})`, arrow: new Decimal(scale, width), vector, array: wide, dictionaries: [] };
}

function textOrJson(logical: Pointer): TypeRow {
  const alias = library().typeAliasAt(logical);
  const isJson = alias !== 0 && textAndFree(alias) === 'JSON';
  return { ...text(isJson ? 'JSON' : 'VARCHAR', new Utf8()), dictionaries: [] };
}

/** Reads the types of a schema's columns, one after the other; each throws `type_unsupported` naming the column. */
export function typeReader(): (column: string, logical: Pointer) => TypeRow {
  let dictionaries = 0;
  return (column, logical) => {
    const reading: TypeReading = { column, nextDictionary: () => dictionaries++, read: (part) => rowOf(part, reading) };
    return reading.read(logical);
  };
}

/** Without value when DuckDB does not know the type yet. */
export const isUnknown = (logical: Pointer): boolean => logical === 0 || library().typeId(logical) === 0;

export function destroyType(logical: Pointer): void {
  const handle = holdHandle();
  setPointer(handle, logical);
  library().destroyLogicalType(handle.address);
}

function rowOf(logical: Pointer, reading: TypeReading): TypeRow {
  try {
    const id = library().typeId(logical);
    const row = typeRows[id] ?? { unsupported: `number ${id} of duckdb_type` };
    if (typeof row === 'function') return row(logical, reading);
    if ('unsupported' in row) throw unsupported(reading.column, row.unsupported);
    return { ...row, dictionaries: [] };
  } finally {
    destroyType(logical);
  }
}

const unsupported = (column: string, type: string): DomainError =>
  new DomainError('type_unsupported', `Column "${column}" has the type ${type}, which has no place in Arrow. Cast it, e.g. to VARCHAR.`, { column, type }); // prettier-ignore
