import type { ArrayPlace } from './conversion.js';
import { decimalBytes, intervalBytes, type Layout } from './layout.js';
import { hold, library } from './library.js';

/** Rows in a row of one array, which stand in a message behind those of the run before. */
export interface Run {
  readonly place: ArrayPlace;
  readonly start: number;
  readonly rows: number;
}

const scratch = hold(4);

/** Where the text or the list of a row begins, counted in bytes or in rows of the child. */
function startOf({ offsets }: ArrayPlace, row: number): number {
  if (row === 0) return 0;
  library().memcpy(scratch.address, offsets + 4 * row, 4);
  return scratch.buffer.readInt32LE(0);
}

/** Of a text its bytes, of a list its child's rows, that belong to these rows. */
export function spanOf({ place, start, rows }: Run): { readonly start: number; readonly length: number } {
  const first = startOf(place, start);
  return { start: first, length: startOf(place, start + rows) - first };
}

/** The rows of a child that belong to these rows. */
export function childRun(layout: Layout, run: Run, child: number): Run {
  const place = run.place.children[child] as ArrayPlace;
  switch (layout.kind) {
    case 'list': {
      const { start, length } = spanOf(run);
      return { place, start, rows: length };
    }
    case 'fixedList':
      return { place, start: run.start * layout.size, rows: run.rows * layout.size };
    default:
      return { place, start: run.start, rows: run.rows };
  }
}

/** How many bytes of a message these rows take, without padding. */
export function bytesOfRows(layout: Layout, place: ArrayPlace, start: number, rows: number): number {
  const own = (place.validity === 0 ? 0 : rows / 8) + valueBytes(layout, { place, start, rows });
  if (!('children' in layout)) return own;
  return layout.children.reduce((sum, inner, index) => {
    const run = childRun(layout, { place, start, rows }, index);
    return sum + bytesOfRows(inner, run.place, run.start, run.rows);
  }, own);
}

function valueBytes(layout: Layout, run: Run): number {
  switch (layout.kind) {
    case 'plain':
      return layout.width * run.rows;
    case 'bits':
    case 'bools':
      return run.rows / 8;
    case 'narrow':
      return decimalBytes * run.rows;
    case 'interval':
    case 'nanos':
      return intervalBytes * run.rows;
    case 'text':
      return 4 * run.rows + spanOf(run).length;
    case 'list':
      return 4 * run.rows;
    case 'union':
      return run.rows;
    case 'null':
    case 'fixedList':
    case 'struct':
      return 0;
  }
}
