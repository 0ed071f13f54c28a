import { DomainError } from '../../domain/errors.js';
import { bitAt, bytesOfBits } from './bits.js';
import { childrenOf, intervalBytes, type Layout } from './layout.js';
import { hold, library, type Pointer } from './library.js';
import type { ArrayNode } from './places.js';

/** DuckDB: months int32, days int32, microseconds int64; Arrow: the same with nanoseconds, which reach 292 years only. */
export function microsToNanos({ column, rows }: ArrayNode, data: Buffer, validity: Buffer | null): void {
  for (let row = 0; row < rows; row++) {
    const at = row * intervalBytes + 8;
    const nanos = data.readBigInt64LE(at) * 1000n;
    const inRange = BigInt.asIntN(64, nanos) === nanos;
    if (!inRange && (validity === null || bitAt(validity, row))) throw tooLong(column);
    data.writeBigInt64LE(inRange ? nanos : 0n, at);
  }
}

const tooLong = (column: string): DomainError =>
  new DomainError('query_failed', `An interval in column "${column}" does not fit into 64 bits of nanoseconds.`);

export const hasNanos = (layout: Layout): boolean => layout.kind === 'nanos' || childrenOf(layout).some(hasNanos);

/** DuckDB's own conversion lets nanoseconds wrap around, so intervals inside of other values are looked at before it. */
export function checkIntervals(column: string, layout: Layout, vector: Pointer, rows: number): void {
  const duckdb = library();
  const check = (child: Pointer, index: number, count: number): void => {
    const inner = childrenOf(layout)[index] as Layout;
    if (hasNanos(inner)) checkIntervals(column, inner, child, count);
  };
  switch (layout.kind) {
    case 'nanos':
      return checkMicros(column, vector, rows);
    case 'list':
      return check(duckdb.listChild(vector), 0, duckdb.listChildRows(vector));
    case 'fixedList':
      return check(duckdb.arrayChild(vector), 0, rows * layout.size);
    case 'struct':
      return layout.children.forEach((_, index) => check(duckdb.structChild(vector, index), index, rows));
    case 'union': // A struct whose first child says which of the others counts.
      return layout.children.forEach((_, index) => check(duckdb.structChild(vector, index + 1), index, rows));
    default:
      return;
  }
}

function checkMicros(column: string, vector: Pointer, rows: number): void {
  const duckdb = library();
  const [data, validity] = [duckdb.vectorData(vector), duckdb.vectorValidity(vector)];
  const values = hold(rows * intervalBytes);
  const bits = hold(bytesOfBits(rows));
  if (rows > 0) duckdb.memcpy(values.address, data, rows * intervalBytes);
  if (rows > 0 && validity !== 0) duckdb.memcpy(bits.address, validity, bytesOfBits(rows));
  for (let row = 0; row < rows; row++) {
    const nanos = values.buffer.readBigInt64LE(row * intervalBytes + 8) * 1000n;
    if (BigInt.asIntN(64, nanos) === nanos) continue;
    if (validity === 0 || bitAt(bits.buffer, row)) throw tooLong(column);
  }
}
