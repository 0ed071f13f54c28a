import { DuckDBDecimalValue, DuckDBIntervalValue, DuckDBTimeNSValue, DuckDBTimeValue } from '@duckdb/node-api';
import { DataType, IntervalUnit, TimeUnit, Vector, type Data, type Field } from 'apache-arrow';
import { columnType } from '../../../lake/arrow-types.js';
import { DomainError, isDomainError } from '../../../domain/errors.js';
import type { Parameter } from '../../../lake/statements/statements.js';

/** How a value of an Arrow type is written for DuckDB. */
interface Notation {
  /** DuckDB's name of the type. */
  readonly type: string;
  /** Of the first row, which is not null. */
  text(data: Data): string;
}

/** The only row of a column as a parameter. Throws `parameters_invalid` for nested types, and for what DuckDB cannot hold. */
export function parameterOf(field: Field, column: Vector): Parameter {
  const type = field.type as DataType;
  if (DataType.isNull(type)) return { type: 'NULL', text: null };
  const data = column.data[0] as Data;
  if (DataType.isDictionary(type)) return ofDictionary(field, type.dictionary as DataType, data);
  const notation = notationOf(field.name, type);
  return { type: notation.type, text: data.getValid(0) ? notation.text(data) : null };
}

function ofDictionary(field: Field, type: DataType, data: Data): Parameter {
  const plain = { ...field, name: field.name, type } as Field;
  if (!data.getValid(0)) return { type: notationOf(field.name, type).type, text: null };
  const key = Number((data.values as ArrayLike<number | bigint>)[0]);
  return parameterOf(plain, (data.dictionary as Vector).slice(key, key + 1));
}

function notationOf(name: string, type: DataType): Notation {
  if (DataType.isDecimal(type)) return decimal(name, type.precision, type.scale);
  if (DataType.isBinary(type) || DataType.isLargeBinary(type) || DataType.isFixedSizeBinary(type)) return blob;
  if (DataType.isTime(type)) return type.unit === TimeUnit.NANOSECOND ? timeNanos : timeOf(type.unit);
  if (DataType.isDuration(type)) return duration(type.unit);
  if (DataType.isInterval(type)) return intervalOf(type.unit);
  try {
    const { sql, read } = columnType({ name, type } as Field);
    return { type: sql, text: (data) => String(read(data)(0)) };
  } catch (error) {
    if (!isDomainError(error)) throw error;
    throw refused(name, `is ${String(type)}, which no parameter can be`);
  }
}

const refused = (name: string, why: string) =>
  new DomainError('parameters_invalid', `Column "${name}" of the parameters ${why}.`, { column: name });

const digitsMax = 38;

/** Of 128 or 256 bits, the least first; DuckDB has up to 38 digits. */
const decimal = (name: string, precision: number, scale: number): Notation => ({
  type: `DECIMAL(${Math.min(precision, digitsMax)},${scale})`,
  text({ values }) {
    const words = values as Uint32Array;
    const bits = words.reduce((sum, word, index) => sum | (BigInt(word) << BigInt(32 * index)), 0n);
    const value = BigInt.asIntN(32 * words.length, bits);
    if (scale < 0 || scale > digitsMax || String(value).replace('-', '').length > digitsMax)
      throw refused(name, `has more than ${digitsMax} digits`);
    return String(new DuckDBDecimalValue(value, digitsMax, scale));
  },
});

const blob: Notation = {
  type: 'BLOB',
  text: (data) =>
    [...(new Vector([data]).get(0) as Uint8Array)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join(''),
};

const nanosPer: Readonly<Record<TimeUnit, bigint>> = {
  [TimeUnit.SECOND]: 1_000_000_000n,
  [TimeUnit.MILLISECOND]: 1_000_000n,
  [TimeUnit.MICROSECOND]: 1_000n,
  [TimeUnit.NANOSECOND]: 1n,
};
const first = ({ values }: Data): bigint => BigInt((values as ArrayLike<number | bigint>)[0] as number | bigint);
const nanosOf = (data: Data, unit: TimeUnit): bigint => first(data) * nanosPer[unit];

const timeNanos: Notation = { type: 'TIME_NS', text: (data) => String(new DuckDBTimeNSValue(first(data))) };
const timeOf = (unit: TimeUnit): Notation => ({
  type: 'TIME',
  text: (data) => String(new DuckDBTimeValue(nanosOf(data, unit) / 1_000n)),
});

const interval = (months: number, days: number, nanos: bigint): string =>
  String(new DuckDBIntervalValue(months, days, nanos / 1_000n));

const duration = (unit: TimeUnit): Notation => ({
  type: 'INTERVAL',
  text: (data) => interval(0, 0, nanosOf(data, unit)),
});

/** Months; days and milliseconds; months, days and nanoseconds, of 32, 32 and 64 bits. */
const intervalOf = (unit: IntervalUnit): Notation => ({
  type: 'INTERVAL',
  text({ values }) {
    const [one = 0, two = 0, low = 0, high = 0] = values as Int32Array;
    if (unit === IntervalUnit.YEAR_MONTH) return interval(one, 0, 0n);
    if (unit === IntervalUnit.DAY_TIME) return interval(0, one, BigInt(two) * 1_000_000n);
    return interval(one, two, (BigInt(high) << 32n) | BigInt(low >>> 0));
  },
});
