import { DomainError } from '../../domain/errors.js';
import { hold, holdHandle, library, pointerAt, setPointer, type Held, type Library, type Pointer } from './library.js';

/** Where the parts of one chunk's texts lie: `offsets` are int32, one more than rows, the first 0. */
export interface TextPlace {
  readonly offsets: Pointer;
  readonly data: Pointer;
}

/** One chunk's texts as Arrow arrays of DuckDB's own; they live until `release`. */
export interface ConvertedTexts {
  readonly places: readonly TextPlace[];
  release(): void;
}

export interface TextConverter {
  convert(vectors: readonly Pointer[], rows: number): ConvertedTexts;
  close(): void;
}

/** `struct ArrowArray` of Arrow's C data interface: where the fields lie that we read. */
const arrowArray = { bytes: 80, buffers: 40, children: 48, release: 64 } as const;
const pointerBytes = 8;

/**
 * Turns DuckDB's strings (16 bytes each: inline, or a pointer) into offsets and data at native speed, by DuckDB's own Arrow
 * conversion over a chunk of nothing but the text columns. It takes nested types as well.
 */
export function textConverter(result: Held, columns: readonly number[]): TextConverter {
  const duckdb = library();
  const options = holdHandle();
  setPointer(options, duckdb.arrowOptions(result.address));
  const texts = holdHandle();
  setPointer(texts, createChunk(duckdb, result, columns));
  const scratch = hold(arrowArray.bytes);
  const children = hold(columns.length * pointerBytes);

  /** The buffers of a text array are validity, offsets, data; the validity is read from the vector, as for every column. */
  function placeOf(child: Pointer): TextPlace {
    duckdb.memcpy(scratch.address, child, arrowArray.bytes);
    duckdb.memcpy(scratch.address, pointerAt(scratch, arrowArray.buffers), 3 * pointerBytes);
    return { offsets: pointerAt(scratch, pointerBytes), data: pointerAt(scratch, 2 * pointerBytes) };
  }

  return {
    convert(vectors, rows) {
      const chunk = pointerAt(texts);
      const array = hold(arrowArray.bytes);
      vectors.forEach((vector, index) => duckdb.referenceVector(duckdb.chunkVector(chunk, index), vector));
      duckdb.setChunkRows(chunk, rows);
      const failed = duckdb.chunkToArrow(pointerAt(options), chunk, array.address);
      duckdb.resetChunk(chunk);
      if (failed !== 0) throw conversionError(duckdb, failed);
      duckdb.memcpy(children.address, pointerAt(array, arrowArray.children), columns.length * pointerBytes);
      return {
        places: columns.map((_, index) => placeOf(pointerAt(children, index * pointerBytes))),
        release: () => duckdb.releaseArrow(pointerAt(array, arrowArray.release), array.address),
      };
    },
    close() {
      duckdb.destroyChunk(texts.address);
      duckdb.destroyArrowOptions(options.address);
    },
  };
}

function createChunk(duckdb: Library, result: Held, columns: readonly number[]): Pointer {
  const types = hold(columns.length * pointerBytes);
  columns.forEach((column, index) => {
    setPointer(types, duckdb.columnLogicalType(result.address, column), index * pointerBytes);
  });
  const chunk = duckdb.createChunk(types.address, columns.length);
  columns.forEach((_, index) => duckdb.destroyLogicalType(types.address + index * pointerBytes));
  return chunk;
}

function conversionError(duckdb: Library, data: Pointer): DomainError {
  const handle = holdHandle();
  setPointer(handle, data);
  const detail = duckdb.errorMessage(data) ?? 'DuckDB could not convert a text column to Arrow.';
  duckdb.destroyErrorData(handle.address);
  return new DomainError('query_failed', detail);
}
