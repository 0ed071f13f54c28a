import { DomainError } from '../../domain/errors.js';
import { batchFrame, type Frame, type Piece } from './batch.js';
import { openChunk, type Chunk } from './chunk.js';
import { duckdbError } from './failure.js';
import { holdHandle, holdResult, library, pointerAt, type Pointer } from './library.js';
import type { PlannedColumn } from './plan.js';
import { textConverter, type TextConverter } from './texts.js';

export interface QueryPlan {
  readonly sql: string;
  readonly columns: readonly PlannedColumn[];
  /** What the files are recorded to hold: a stream that ends with another number is an error. */
  readonly rows: number;
  readonly lakeRoot: string;
}

/** A query that is read batch by batch, on one connection of its own, by the thread that made it. */
export interface Query {
  /** The next batch, or null when all rows were sent; throws what DuckDB says, never ends early. */
  next(spare: ArrayBuffer | undefined): Frame | null;
  /** Frees everything but the connection. */
  close(): void;
}

const batchRowsMax = 65_536;
/** Some gRPC clients accept no message over 4 MiB; larger ones are slower too. */
const batchBytesMax = 3 * 2 ** 20;

/** `cancelled()` is asked between chunks; whoever cancels also interrupts the connection. */
export function openQuery(connection: Pointer, plan: QueryPlan, cancelled: () => boolean): Query {
  const duckdb = library();
  const result = holdResult();
  let fetchChunk: () => Pointer = () => 0;
  let converter: TextConverter | null = null;
  let current: Chunk | null = null;
  let currentAt = 0;
  let rowsSent = 0;
  /** DuckDB must not be asked again after its last chunk. */
  let exhausted = false;

  const checkCancelled = (): void => {
    if (cancelled()) throw new DomainError('cancelled', 'The read was cancelled.');
  };
  const close = (): void => {
    current?.release();
    current = null;
    converter?.close();
    converter = null;
    duckdb.destroyResult(result.address); // Leaves zeros, so a second call does nothing.
  };

  function fetch(): Chunk | null {
    checkCancelled();
    const pointer = fetchChunk();
    if (pointer !== 0) return openChunk(pointer, plan.columns, converter);
    const failed = duckdb.resultError(result.address);
    if (failed) throw duckdbError(failed, duckdb.resultErrorType(result.address), plan.lakeRoot);
    checkCancelled();
    exhausted = true;
    return null;
  }

  /** Rows up to the limits of one message; chunks that are used up are added to `used`. */
  function gather(used: Chunk[]): Piece[] {
    const pieces: Piece[] = [];
    let rows = 0;
    let bytes = 0;
    while (rows < batchRowsMax && !(exhausted && current === null)) {
      current ??= fetch();
      if (current === null) break;
      const wanted = Math.min(current.rows - currentAt, batchRowsMax - rows);
      const fitting = rowsThatFit(current, currentAt, wanted, batchBytesMax - bytes);
      const taken = pieces.length === 0 ? Math.max(1, fitting) : fitting;
      if (taken === 0) break;
      pieces.push({ chunk: current, start: currentAt, rows: taken });
      rows += taken;
      bytes += current.bytesOf(currentAt, taken);
      currentAt += taken;
      if (currentAt === current.rows) {
        used.push(current);
        current = null;
        currentAt = 0;
      }
    }
    return pieces;
  }

  function next(spare: ArrayBuffer | undefined): Frame | null {
    const used: Chunk[] = [];
    try {
      const pieces = gather(used);
      if (pieces.length > 0) {
        rowsSent += pieces.reduce((sum, piece) => sum + piece.rows, 0);
        return batchFrame(plan.columns, pieces, spare);
      }
    } finally {
      for (const chunk of used) chunk.release();
    }
    if (rowsSent !== plan.rows)
      throw new DomainError('object_corrupt', `The files hold ${rowsSent} rows where ${plan.rows} are recorded.`);
    return null;
  }

  try {
    checkCancelled();
    execute(connection, plan, result.address);
    checkCancelled();
    checkTypes(plan, result.address);
    fetchChunk = duckdb.chunkFetcher(result);
    const texts = plan.columns.flatMap(({ layout }, index) => (layout.kind === 'text' ? [index] : []));
    if (texts.length > 0) converter = textConverter(result, texts);
  } catch (error) {
    close();
    throw error;
  }
  return { next, close };
}

function execute(connection: Pointer, { sql, lakeRoot }: QueryPlan, result: Pointer): void {
  const duckdb = library();
  const prepared = holdHandle();
  const pending = holdHandle();
  try {
    if (duckdb.prepare(connection, sql, prepared.address) !== 0)
      throw duckdbError(duckdb.prepareError(pointerAt(prepared)) ?? 'no reason', 0, lakeRoot);
    if (duckdb.pendingStreaming(pointerAt(prepared), pending.address) !== 0)
      throw duckdbError(duckdb.pendingError(pointerAt(pending)) ?? 'no reason', 0, lakeRoot);
    if (duckdb.executePending(pointerAt(pending), result) !== 0)
      throw duckdbError(duckdb.resultError(result) ?? 'no reason', duckdb.resultErrorType(result), lakeRoot);
  } finally {
    duckdb.destroyPending(pending.address);
    duckdb.destroyPrepare(prepared.address);
  }
}

/** Copying goes by the plan's widths, so it must not begin with vectors of other types. */
function checkTypes({ columns }: QueryPlan, result: Pointer): void {
  const duckdb = library();
  const types = Array.from({ length: duckdb.columnCount(result) }, (_, index) => duckdb.columnType(result, index));
  if (types.length !== columns.length || columns.some(({ typeId }, index) => types[index] !== typeId))
    throw new DomainError('internal', 'DuckDB answers with other column types than were planned.', {
      planned: columns.map(({ name, typeId }) => [name, typeId]),
      types,
    });
}

/** The largest number of rows up to `wanted` whose bytes stay within the budget. */
function rowsThatFit(chunk: Chunk, start: number, wanted: number, budgetBytes: number): number {
  if (chunk.bytesOf(start, wanted) <= budgetBytes) return wanted;
  let [fits, tooMany] = [0, wanted];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (chunk.bytesOf(start, middle) <= budgetBytes) fits = middle;
    else tooMany = middle;
  }
  return fits;
}
