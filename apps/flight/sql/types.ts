/**
 * What a client of ODBC or JDBC wants to know of DuckDB's types: numbers of `XdbcDataType`, sizes in digits or characters.
 * Nested types are none of theirs; they go by DuckDB's name alone.
 */
export interface SqlType {
  /** DuckDB's name, without parameters. */
  readonly name: string;
  /** Of `XdbcDataType`. */
  readonly code: number;
  /** Decimal digits, or characters as text; null: not applicable. */
  readonly size: number | null;
  readonly scale: readonly [least: number, most: number] | null;
  /** Null: no number. */
  readonly unsigned: boolean | null;
  /** What stands around a literal. */
  readonly literal: readonly [prefix: string, suffix: string] | null;
  readonly parameters: readonly string[] | null;
  /** Of `XdbcDatetimeSubcode`. */
  readonly subcode: number | null;
  /** Of an approximate number; its size is counted in bits then. */
  readonly bits: number | null;
}

const base = { scale: null, unsigned: null, literal: null, parameters: null, subcode: null, bits: null } as const;

const integer = (name: string, code: number, size: number): SqlType => ({
  ...base,
  ...{ name, code, size },
  scale: [0, 0],
  unsigned: name.startsWith('U'),
});
const float = (name: string, code: number, size: number, bits: number): SqlType => ({
  ...base,
  ...{ name, code, size, bits },
  unsigned: false,
});
/** As good as none: no column says it of itself. */
const textCharactersMax = 2 ** 31 - 1;
const text = (name: string, code: number): SqlType => ({
  ...base,
  ...{ name, code, size: textCharactersMax, literal: ["'", "'"] },
});
const time = (name: string, code: number, size: number, digits: number, subcode: number): SqlType => ({
  ...base,
  ...{ name, code, size, subcode },
  scale: [digits, digits],
  literal: [`${name} '`, "'"],
});

const xdbc = {
  ...{ numeric: 2, decimal: 3, integer: 4, smallint: 5, real: 7, double: 8, interval: 10, varchar: 12 },
  ...{ date: 91, time: 92, timestamp: 93, varbinary: -3, bigint: -5, tinyint: -6, bit: -7 },
} as const;
const subcodes = { date: 1, time: 2, timestamp: 3, timestampWithZone: 5 } as const;

export const sqlTypes: readonly SqlType[] = [
  { ...base, name: 'BOOLEAN', code: xdbc.bit, size: 1 },
  integer('TINYINT', xdbc.tinyint, 3),
  integer('SMALLINT', xdbc.smallint, 5),
  integer('INTEGER', xdbc.integer, 10),
  integer('BIGINT', xdbc.bigint, 19),
  integer('HUGEINT', xdbc.numeric, 38),
  integer('UTINYINT', xdbc.tinyint, 3),
  integer('USMALLINT', xdbc.smallint, 5),
  integer('UINTEGER', xdbc.integer, 10),
  integer('UBIGINT', xdbc.bigint, 20),
  integer('UHUGEINT', xdbc.numeric, 38),
  float('FLOAT', xdbc.real, 7, 24),
  float('DOUBLE', xdbc.double, 15, 53),
  {
    ...base,
    ...{ name: 'DECIMAL', code: xdbc.decimal, size: 38, scale: [0, 38], unsigned: false },
    parameters: ['precision', 'scale'],
  },
  text('VARCHAR', xdbc.varchar),
  { ...text('BLOB', xdbc.varbinary), literal: ["'", "'::BLOB"] },
  time('DATE', xdbc.date, 10, 0, subcodes.date),
  time('TIME', xdbc.time, 15, 6, subcodes.time),
  time('TIME_NS', xdbc.time, 18, 9, subcodes.time),
  time('TIMESTAMP_S', xdbc.timestamp, 19, 0, subcodes.timestamp),
  time('TIMESTAMP_MS', xdbc.timestamp, 23, 3, subcodes.timestamp),
  time('TIMESTAMP', xdbc.timestamp, 26, 6, subcodes.timestamp),
  time('TIMESTAMP_NS', xdbc.timestamp, 29, 9, subcodes.timestamp),
  time('TIMESTAMP WITH TIME ZONE', xdbc.timestamp, 32, 6, subcodes.timestampWithZone),
  { ...base, name: 'INTERVAL', code: xdbc.interval, size: null, literal: ["INTERVAL '", "'"] },
  text('UUID', xdbc.varchar),
  text('JSON', xdbc.varchar),
];

const byName = new Map(sqlTypes.map((type) => [type.name, type]));

export interface ColumnType {
  readonly name: string;
  readonly size: number | null;
  readonly scale: number | null;
}

const decimal = /^DECIMAL\((\d+),(\d+)\)$/;

/** Of a column, from DuckDB's name with its parameters. */
export function columnType(type: string): ColumnType {
  const [, precision, scale] = decimal.exec(type) ?? [];
  if (precision !== undefined) return { name: 'DECIMAL', size: Number(precision), scale: Number(scale) };
  const known = byName.get(type);
  const size = known?.size === textCharactersMax ? null : known?.size;
  return { name: type, size: size ?? null, scale: known?.scale?.[0] ?? null };
}

const datetime = 9;
const nullable = 1;
const searchableFull = 3;

/** CommandGetXdbcTypeInfo: ordered by code and name, as prescribed. */
export const typeInfoRows = (code: number | undefined) =>
  sqlTypes
    .filter((type) => code === undefined || type.code === code)
    .sort((a, b) => a.code - b.code || (a.name < b.name ? -1 : 1))
    .map(typeInfoRow);

const typeInfoRow = ({ name, code, size, scale, unsigned, literal, parameters, subcode, bits }: SqlType) => ({
  type_name: name,
  data_type: code,
  column_size: bits ?? size,
  literal_prefix: literal?.[0],
  literal_suffix: literal?.[1],
  create_params: parameters,
  nullable,
  case_sensitive: code === xdbc.varchar,
  searchable: searchableFull,
  unsigned_attribute: unsigned,
  fixed_prec_scale: false,
  auto_increment: unsigned === null ? null : false,
  local_type_name: name,
  minimum_scale: scale?.[0],
  maximum_scale: scale?.[1],
  sql_data_type: subcode === null ? code : datetime,
  datetime_subcode: subcode,
  num_prec_radix: bits === null ? (unsigned === null ? null : 10) : 2,
  interval_precision: null,
});
