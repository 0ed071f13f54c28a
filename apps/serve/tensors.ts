import { DomainError } from '../../domain/errors.js';

/** Tensors of the Open Inference Protocol to float32 and back, as JSON and in its binary form (raw, little-endian). */

interface Datatype {
  readonly bytes: number;
  readonly whole: boolean;
  readonly read: (data: DataView, offset: number) => number;
}

/** What may be sent for a float32 column. Whole numbers must survive the cast; fractions round to the nearest float32. */
const datatypes: Readonly<Record<string, Datatype>> = {
  FP32: { bytes: 4, whole: false, read: (data, offset) => data.getFloat32(offset, true) },
  FP64: { bytes: 8, whole: false, read: (data, offset) => data.getFloat64(offset, true) },
  INT32: { bytes: 4, whole: true, read: (data, offset) => data.getInt32(offset, true) },
  INT64: { bytes: 8, whole: true, read: (data, offset) => Number(data.getBigInt64(offset, true)) },
};

export const inputInvalid = (detail: string, data: Readonly<Record<string, unknown>> = {}): DomainError =>
  new DomainError('inference_input_invalid', detail, data);

/** Where a tensor stands in the request, for messages and for the length check. */
export interface Matrix {
  readonly name: string;
  readonly datatype: string;
  readonly rows: number;
  readonly columns: readonly string[];
}

/** Flat or nested, row-major; null is a missing value. Throws `inference_input_invalid` naming row and column. */
export function matrixFromJson(matrix: Matrix, data: unknown): Float32Array {
  const { name, rows, columns } = matrix;
  if (!Array.isArray(data)) throw inputInvalid(`Input "${name}" has no data: an array is expected.`);
  const type = datatypeOf(matrix);
  const values = new Float32Array(rows * columns.length);
  if (!Array.isArray(data[0])) {
    checkLength(data.length, values.length, `Input "${name}" has`, matrix);
    for (let index = 0; index < values.length; index++) values[index] = cast(data[index], type, index, matrix);
    return values;
  }
  checkLength(data.length, rows, `Input "${name}" has, in rows,`, matrix);
  data.forEach((row: unknown, at) => {
    if (!Array.isArray(row))
      throw inputInvalid(`Input "${name}": row ${at} is not an array, as the rows before it are.`);
    checkLength(row.length, columns.length, `Input "${name}": row ${at} has`, matrix);
    const start = at * columns.length;
    row.forEach((value: unknown, column) => (values[start + column] = cast(value, type, start + column, matrix)));
  });
  return values;
}

/** NaN is a missing value here. Throws `inference_input_invalid`. */
export function matrixFromBytes(matrix: Matrix, bytes: Uint8Array): Float32Array {
  const type = datatypeOf(matrix);
  const values = new Float32Array(matrix.rows * matrix.columns.length);
  checkLength(bytes.byteLength, values.length * type.bytes, `Input "${matrix.name}" has, in bytes,`, matrix);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let index = 0; index < values.length; index++) {
    const value = type.read(view, index * type.bytes);
    values[index] = Number.isNaN(value) ? NaN : cast(value, type, index, matrix);
  }
  return values;
}

export function bytesOf(values: Float32Array): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  values.forEach((value, index) => bytes.writeFloatLE(value, index * 4));
  return bytes;
}

function datatypeOf({ name, datatype }: Matrix): Datatype {
  const type = datatypes[datatype];
  if (type) return type;
  throw inputInvalid(`Input "${name}" has datatype ${datatype}; accepted are ${Object.keys(datatypes).join(', ')}.`);
}

function cast(value: unknown, { whole }: Datatype, index: number, matrix: Matrix): number {
  if (value === null && !whole) return NaN;
  const problem = problemOf(value, whole);
  if (problem === null) return value as number;
  const row = Math.floor(index / matrix.columns.length);
  const column = matrix.columns[index % matrix.columns.length];
  throw inputInvalid(`Input "${matrix.name}", row ${row}, column "${column}": ${problem}.`, { row, column });
}

function problemOf(value: unknown, whole: boolean): string | null {
  if (value === null) return 'null stands for a missing value in FP32 and FP64 only';
  if (typeof value !== 'number') return `${(JSON.stringify(value) ?? 'undefined').slice(0, 40)} is not a number`;
  if (!Number.isFinite(value)) return `${value} is not finite; a missing value is null`;
  if (!Number.isFinite(Math.fround(value))) return `${value} is too large for FP32`;
  if (whole && !Number.isInteger(value)) return `${value} is not a whole number`;
  if (whole && Math.fround(value) !== value) return `${value} cannot be told from its neighbours in FP32`;
  return null;
}

function checkLength(found: number, wanted: number, place: string, { rows, columns }: Matrix): void {
  if (found === wanted) return;
  throw inputInvalid(`${place} ${found} values; shape [${rows},${columns.length}] needs ${wanted}.`, { found, wanted });
}
