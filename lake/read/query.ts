import { DomainError } from '../../domain/errors.js';
import { batchFrame, type Frame, type Piece } from './batch.js';
import { openChunk, type Chunk } from './chunk.js';
import { createConverter, type Converter } from './conversion.js';
import { dictionaryFrame } from './dictionary.js';
import { duckdbError } from './failure.js';
import { destroyPrepared, type Lent } from './connections.js';
import type { PlannedColumn } from './layout.js';
import { holdHandle, holdResult, library, pointerAt, type Pointer } from './library.js';
import { headerOnlyFrame, type HeadKind } from './message.js';
import type { Compression, ReadPlan } from './plan.js';
import { prepared } from './prepare.js';
import { schemaMessage } from './schema.js';
import type { TypeRow } from './type-row.js';
import { typeReader } from './types.js';

const batchRowsMax = 65_536;
/** So that the client has something to do while the second batch is made. */
const firstBatchRowsMax = 8_192;
/** Some gRPC clients accept no message over 4 MiB; larger ones are slower too. */
const batchBytesMax = 3 * 2 ** 20;

export interface QueryOptions {
  readonly plan: ReadPlan;
  readonly lakeRoot: string;
  readonly compression: Compression;
}

/** A query that is read batch by batch, on one connection of its own, by the thread that made it. */
export class Query {
  readonly #plan: ReadPlan;
  readonly #lakeRoot: string;
  readonly #head: HeadKind;
  readonly #columns: readonly PlannedColumn[];
  /** Messages that come before the rows. */
  readonly #heads: Frame[];
  readonly #cancelled: () => boolean;
  readonly #result = holdResult();
  readonly #fetchChunk: () => Pointer;
  #converter: Converter | null = null;
  #current: Chunk | null = null;
  #currentAt = 0;
  /** DuckDB must not be asked again after its last chunk. */
  #exhausted = false;
  #rowsSent = 0;

  /** `cancelled()` is asked between chunks; whoever cancels also interrupts the connection. */
  constructor(lent: Lent, { plan, lakeRoot, compression }: QueryOptions, cancelled: () => boolean) {
    this.#plan = plan;
    this.#lakeRoot = lakeRoot;
    this.#head = compression === 'none' ? {} : { codec: compression };
    this.#cancelled = cancelled;
    try {
      if (cancelled() && lent.prepared !== 0) destroyPrepared(lent.prepared);
      this.#checkCancelled();
      execute(lent, plan, lakeRoot, this.#result.address);
      this.#checkCancelled();
      const typed = typesOf(this.#result.address);
      this.#columns = typed.map(plannedColumn);
      const dictionaries = typed.flatMap(({ type }) => type.dictionaries);
      this.#heads = [headerOnlyFrame(schemaMessage(typed)), ...dictionaries.map(dictionaryFrame)];
      this.#fetchChunk = library().chunkFetcher(this.#result);
      const converted = this.#columns.flatMap((column, index) => (column.converted ? [{ ...column, index }] : []));
      if (converted.length > 0) this.#converter = createConverter(this.#result, converted);
    } catch (error) {
      this.close();
      this.#checkCancelled();
      throw error;
    }
  }

  /** The next batch, or null when all rows were sent; throws what DuckDB says, never ends early. */
  next(spare: ArrayBuffer | undefined): Frame | null {
    const head = this.#heads.shift();
    if (head) return head;
    const used: Chunk[] = [];
    try {
      const pieces = this.#gather(used);
      if (pieces.length > 0) {
        this.#rowsSent += pieces.reduce((sum, piece) => sum + piece.rows, 0);
        return batchFrame(this.#columns, pieces, spare, this.#head);
      }
    } finally {
      for (const chunk of used) chunk.release();
    }
    const { rows } = this.#plan;
    if (rows !== null && this.#rowsSent !== rows)
      throw new DomainError('object_corrupt', `The files hold ${this.#rowsSent} rows where ${rows} are recorded.`);
    return null;
  }

  /** Frees everything but the connection. */
  close(): void {
    this.#current?.release();
    this.#current = null;
    this.#converter?.close();
    this.#converter = null;
    library().destroyResult(this.#result.address); // Leaves zeros, so a second call does nothing.
  }

  #checkCancelled(): void {
    if (this.#cancelled()) throw new DomainError('cancelled', 'The read was cancelled.');
  }

  #fetch(): Chunk | null {
    const duckdb = library();
    this.#checkCancelled();
    const pointer = this.#fetchChunk();
    if (pointer !== 0) return openChunk(pointer, this.#columns, this.#converter);
    this.#checkCancelled();
    const failed = duckdb.resultError(this.#result.address);
    if (failed) throw duckdbError(failed, duckdb.resultErrorType(this.#result.address), this.#lakeRoot);
    this.#exhausted = true;
    return null;
  }

  /** Rows up to the limits of one message; chunks that are used up are added to `used`. */
  #gather(used: Chunk[]): Piece[] {
    const pieces: Piece[] = [];
    const rowsMax = this.#rowsSent === 0 ? firstBatchRowsMax : batchRowsMax;
    let rows = 0;
    let bytes = 0;
    while (rows < rowsMax && !(this.#exhausted && this.#current === null)) {
      const chunk = (this.#current ??= this.#fetch());
      if (chunk === null) break;
      const start = this.#currentAt;
      const wanted = Math.min(chunk.rows - start, rowsMax - rows);
      const fitting = rowsThatFit(chunk, start, wanted, batchBytesMax - bytes);
      const taken = pieces.length === 0 ? Math.max(1, fitting) : fitting;
      if (taken === 0) break;
      pieces.push({ columns: chunk.columns, start, rows: taken });
      rows += taken;
      bytes += chunk.bytesOf(start, taken);
      this.#advance(taken, used);
    }
    return pieces;
  }

  #advance(rows: number, used: Chunk[]): void {
    this.#currentAt += rows;
    if (this.#current === null || this.#currentAt < this.#current.rows) return;
    used.push(this.#current);
    this.#current = null;
    this.#currentAt = 0;
  }
}

function execute(lent: Lent, plan: ReadPlan, lakeRoot: string, result: Pointer): void {
  const duckdb = library();
  const statement = prepared(lent, plan, lakeRoot);
  const pending = holdHandle();
  try {
    if (duckdb.pendingStreaming(statement, pending.address) !== 0)
      throw duckdbError(duckdb.pendingError(pointerAt(pending)) ?? 'no reason', 0, lakeRoot);
    if (duckdb.executePending(pointerAt(pending), result) !== 0)
      throw duckdbError(duckdb.resultError(result) ?? 'no reason', duckdb.resultErrorType(result), lakeRoot);
  } finally {
    duckdb.destroyPending(pending.address);
    destroyPrepared(statement);
  }
}

interface TypedColumn {
  readonly name: string;
  readonly type: TypeRow;
}

function typesOf(result: Pointer): TypedColumn[] {
  const duckdb = library();
  const typeOf = typeReader();
  return Array.from({ length: duckdb.columnCount(result) }, (_, index) => {
    const name = duckdb.columnName(result, index) ?? '';
    return { name, type: typeOf(name, duckdb.columnLogicalType(result, index)) };
  });
}

const plannedColumn = ({ name, type }: TypedColumn): PlannedColumn => ({
  ...{ name, layout: type.vector ?? type.array, converted: type.vector === null },
});

/** The largest number of rows up to `wanted` whose bytes stay within the budget. */
function rowsThatFit(chunk: Chunk, start: number, wanted: number, budgetBytes: number): number {
  if (chunk.bytesOf(start, wanted) <= budgetBytes) return wanted;
  let [fits, tooMany] = [0, wanted];
  while (tooMany - fits > 1) {
    const middle = (fits + tooMany) >> 1;
    if (chunk.bytesOf(start, middle) <= budgetBytes) fits = middle;
    else tooMany = middle;
  }
  return fits > bitmapWord ? fits - (fits % bitmapWord) : fits;
}

/** Where rows begin at a multiple of 8, bitmaps are copied without shifting. */
const bitmapWord = 64;
