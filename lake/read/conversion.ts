import { DomainError } from '../../domain/errors.js';
import { childrenOf, type Layout } from './layout.js';
import { hold, holdHandle, library, pointerAt, pointerBytes, setPointer, type Held, type Pointer } from './library.js';

/** Where the parts of one column of one chunk lie; they live as long as the chunk, or the conversion. */
export interface ArrayPlace {
  /** Bitmap, one bit a value; 0 when every value is valid. */
  readonly validity: Pointer;
  /** Of texts and lists: int32, one more than rows, the first is 0. */
  readonly offsets: Pointer;
  /** Values; bytes of texts; numbers of a union's members. */
  readonly data: Pointer;
  readonly children: readonly ArrayPlace[];
}

/** Some columns of one chunk as Arrow arrays of DuckDB's making; they live until `release`. */
export interface Converted {
  readonly places: readonly ArrayPlace[];
  release(): void;
}

export interface Converter {
  convert(vectors: readonly Pointer[], rows: number): Converted;
  close(): void;
}

export interface ConvertedColumn {
  readonly index: number;
  readonly layout: Layout;
}

/** `struct ArrowArray` of Arrow's C data interface: its size, and where the fields lie that we read. */
const arrowArray = { bytes: 80, nullCount: 8, bufferCount: 24, buffers: 40, children: 48, release: 64 } as const;

/**
 * Makes Arrow of DuckDB's strings (16 bytes each: inline, or a pointer) and nested types at native speed, by DuckDB's own
 * conversion over a chunk of nothing but these columns.
 */
export function createConverter(result: Held, columns: readonly ConvertedColumn[]): Converter {
  const duckdb = library();
  const options = holdHandle();
  setPointer(options, duckdb.arrowOptions(result.address));
  const own = holdHandle();
  setPointer(own, createChunk(result, columns));
  const chunk = pointerAt(own);
  const ownVectors = columns.map((_, index) => duckdb.chunkVector(chunk, index));

  return {
    convert(vectors, rows) {
      const array = hold(arrowArray.bytes);
      vectors.forEach((vector, index) => duckdb.referenceVector(ownVectors[index] as Pointer, vector));
      duckdb.setChunkRows(chunk, rows);
      const failed = duckdb.chunkToArrow(pointerAt(options), chunk, array.address);
      duckdb.resetChunk(chunk);
      if (failed !== 0) throw conversionError(failed);
      const children = childrenOfArray(array, columns.length);
      return {
        places: columns.map(({ layout }, index) => placeOf(children[index] as Pointer, layout)),
        release: () => duckdb.releaseArrow(pointerAt(array, arrowArray.release), array.address),
      };
    },
    close() {
      duckdb.destroyChunk(own.address);
      duckdb.destroyArrowOptions(options.address);
    },
  };
}

function createChunk(result: Held, columns: readonly ConvertedColumn[]): Pointer {
  const duckdb = library();
  const types = hold(columns.length * pointerBytes);
  columns.forEach(({ index }, at) => {
    setPointer(types, duckdb.columnLogicalType(result.address, index), at * pointerBytes);
  });
  const chunk = duckdb.createChunk(types.address, columns.length);
  columns.forEach((_, at) => duckdb.destroyLogicalType(types.address + at * pointerBytes));
  return chunk;
}

function conversionError(data: Pointer): DomainError {
  const duckdb = library();
  const handle = holdHandle();
  setPointer(handle, data);
  const detail = duckdb.errorMessage(data) ?? 'DuckDB could not convert a column to Arrow.';
  duckdb.destroyErrorData(handle.address);
  return new DomainError('query_failed', detail);
}

const scratch = hold(arrowArray.bytes);
const buffersMax = 3;
const buffers = hold(buffersMax * pointerBytes);

/** DuckDB's arrays begin at 0, so nothing is asked of `offset`. */
function placeOf(array: Pointer, layout: Layout): ArrayPlace {
  const { memcpy } = library();
  memcpy(scratch.address, array, arrowArray.bytes);
  const hasNulls = pointerAt(scratch, arrowArray.nullCount) !== 0;
  const count = Math.min(pointerAt(scratch, arrowArray.bufferCount), buffersMax);
  if (count > 0) memcpy(buffers.address, pointerAt(scratch, arrowArray.buffers), count * pointerBytes);
  const [first, second, third] = [0, 1, 2].map((index) => (index < count ? pointerAt(buffers, index * pointerBytes) : 0)) as [Pointer, Pointer, Pointer]; // prettier-ignore
  const layouts = childrenOf(layout);
  const children = childrenOfArray(scratch, layouts.length).map((child, index) => placeOf(child, layouts[index] as Layout)); // prettier-ignore
  if (layout.kind === 'union') return { validity: 0, offsets: 0, data: first, children };
  const validity = hasNulls ? first : 0;
  return layout.kind === 'text' || layout.kind === 'list'
    ? { validity, offsets: second, data: third, children }
    : { validity, offsets: 0, data: second, children };
}

/** All read before any is used, because the memory is needed again. */
function childrenOfArray(array: Held, count: number): Pointer[] {
  if (count === 0) return [];
  const children = hold(count * pointerBytes);
  library().memcpy(children.address, pointerAt(array, arrowArray.children), count * pointerBytes);
  return Array.from({ length: count }, (_, index) => pointerAt(children, index * pointerBytes));
}
