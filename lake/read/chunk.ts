import { hold, holdHandle, library, setPointer, type Pointer } from './library.js';
import type { PlannedColumn } from './plan.js';
import type { ConvertedTexts, TextConverter, TextPlace } from './texts.js';

/** One chunk of DuckDB's, at most 2,048 rows, held until it was copied into a message. */
export interface Chunk {
  readonly rows: number;
  /** What these rows take in a message, in bytes. */
  bytesOf(start: number, rows: number): number;
  readonly columns: readonly ChunkColumn[];
  release(): void;
}

export interface ChunkColumn {
  /** The vector's values; for texts, see `text`. */
  readonly data: Pointer;
  /** DuckDB's bitmap, 0 when every value is valid. */
  readonly validity: Pointer;
  readonly text?: TextPlace;
}

/** Takes over the chunk, also when it throws. */
export function openChunk(pointer: Pointer, plan: readonly PlannedColumn[], converter: TextConverter | null): Chunk {
  const duckdb = library();
  const rows = duckdb.chunkRows(pointer);
  const vectors = plan.map((_, index) => duckdb.chunkVector(pointer, index));
  let texts: ConvertedTexts | undefined;
  try {
    const isText = (index: number): boolean => plan[index]?.layout.kind === 'text';
    texts = converter?.convert(
      vectors.filter((_, index) => isText(index)),
      rows,
    );
  } catch (error) {
    destroyChunk(pointer);
    throw error;
  }
  let next = 0;
  const columns = plan.map(({ layout }, index): ChunkColumn => {
    const vector = vectors[index] as Pointer;
    const text = layout.kind === 'text' ? texts?.places[next++] : undefined;
    return { data: duckdb.vectorData(vector), validity: duckdb.vectorValidity(vector), text };
  });
  const bytesPerRow = plan.reduce(
    (sum, { layout }, index) => sum + valueBytes(layout) + (columns[index]?.validity ? 1 / 8 : 0),
    0,
  );
  return {
    rows,
    columns,
    bytesOf: (start, count) =>
      columns.reduce((sum, { text }) => (text ? sum + textBytes(text, start, count) : sum), bytesPerRow * count),
    release() {
      texts?.release();
      destroyChunk(pointer);
    },
  };
}

const handle = holdHandle();

function destroyChunk(chunk: Pointer): void {
  setPointer(handle, chunk);
  library().destroyChunk(handle.address);
}

/** Of the values alone; a text takes the four bytes of its offset. */
const valueBytes = (layout: PlannedColumn['layout']): number =>
  ({ plain: layout.kind === 'plain' ? layout.width : 0, bits: 1 / 8, interval: 16, text: 4 })[layout.kind];

const scratch = hold(4);

/** The offset at which a row's text begins. */
export function textStart({ offsets }: TextPlace, row: number): number {
  if (row === 0) return 0;
  library().memcpy(scratch.address, offsets + 4 * row, 4);
  return scratch.buffer.readInt32LE(0);
}

const textBytes = (text: TextPlace, start: number, rows: number): number =>
  textStart(text, start + rows) - textStart(text, start);
