import type { ArrayPlace, Converted, Converter } from './conversion.js';
import { checkIntervals, hasNanos } from './intervals.js';
import { holdHandle, library, setPointer, type Pointer } from './library.js';
import type { PlannedColumn } from './layout.js';
import { bytesOfRows } from './runs.js';

/** One chunk of DuckDB's, at most 2,048 rows, held until it was copied into a message. */
export interface Chunk {
  readonly rows: number;
  readonly columns: readonly ArrayPlace[];
  /** What these rows take in a message, in bytes. */
  bytesOf(start: number, rows: number): number;
  release(): void;
}

/** Takes over the chunk, also when it throws. */
export function openChunk(pointer: Pointer, plan: readonly PlannedColumn[], converter: Converter | null): Chunk {
  const duckdb = library();
  const rows = duckdb.chunkRows(pointer);
  const vectors = plan.map((_, index) => duckdb.chunkVector(pointer, index));
  let converted: Converted | undefined;
  try {
    plan.forEach(({ name, layout, converted: through }, index) => {
      if (through && hasNanos(layout)) checkIntervals(name, layout, vectors[index] as Pointer, rows);
    });
    converted = converter?.convert(
      vectors.filter((_, index) => plan[index]?.converted),
      rows,
    );
  } catch (error) {
    destroyChunk(pointer);
    throw error;
  }
  let next = 0;
  const columns = plan.map((column, index) =>
    column.converted ? (converted?.places[next++] as ArrayPlace) : placeOfVector(vectors[index] as Pointer),
  );
  return {
    rows,
    columns,
    bytesOf: (start, count) =>
      plan.reduce((sum, { layout }, index) => sum + bytesOfRows(layout, columns[index] as ArrayPlace, start, count), 0),
    release() {
      converted?.release();
      destroyChunk(pointer);
    },
  };
}

const placeOfVector = (vector: Pointer): ArrayPlace => ({
  validity: library().vectorValidity(vector),
  offsets: 0,
  data: library().vectorData(vector),
  children: [],
});

const handle = holdHandle();

function destroyChunk(chunk: Pointer): void {
  setPointer(handle, chunk);
  library().destroyChunk(handle.address);
}
