import { bytesOfBits } from './bits.js';
import { childrenOf, decimalBytes, intervalBytes, type Layout, type PlannedColumn } from './layout.js';
import { alignUp, type BufferPlace } from './message.js';
import { childRun, spanOf, type Run } from './runs.js';

/** An array of the message: where its buffers go, and which runs go into them. */
export interface ArrayNode {
  readonly layout: Layout;
  /** For messages. */
  readonly column: string;
  readonly runs: readonly Run[];
  readonly rows: number;
  readonly validity: BufferPlace | null;
  readonly offsets: BufferPlace | null;
  readonly data: BufferPlace | null;
  readonly children: readonly ArrayNode[];
}

export interface BodyPlan {
  readonly columns: readonly ArrayNode[];
  /** In Arrow's order: each array before its children. */
  readonly buffers: readonly BufferPlace[];
  readonly bytes: number;
}

/** Where everything lies in the body of a record batch. */
export function planBody(plan: readonly PlannedColumn[], runsOf: (column: number) => readonly Run[]): BodyPlan {
  const buffers: BufferPlace[] = [];
  let bodyBytes = 0;

  function place(bytes: number): BufferPlace {
    const placed = { offset: bodyBytes, bytes };
    bodyBytes = alignUp(bodyBytes + bytes);
    buffers.push(placed);
    return placed;
  }

  function planArray(column: string, layout: Layout, runs: readonly Run[]): ArrayNode {
    const rows = runs.reduce((sum, run) => sum + run.rows, 0);
    const nullable = runs.some((run) => run.place.validity !== 0);
    const bitmap = layout.kind !== 'null' && layout.kind !== 'union';
    const validity = bitmap ? place(nullable ? bytesOfBits(rows) : 0) : null;
    const offsets = layout.kind === 'text' || layout.kind === 'list' ? place(4 * (rows + 1)) : null;
    const bytes = dataBytes(layout, rows, runs);
    const data = bytes === null ? null : place(bytes);
    const children = childrenOf(layout).map((child, index) =>
      planArray(
        column,
        child,
        runs.map((run) => childRun(layout, run, index)),
      ),
    );
    return { layout, column, runs, rows, validity, offsets, data, children };
  }

  const columns = plan.map(({ name, layout }, index) => planArray(name, layout, runsOf(index)));
  return { columns, buffers, bytes: bodyBytes };
}

/** Null: there is no such buffer. */
function dataBytes(layout: Layout, rows: number, runs: readonly Run[]): number | null {
  switch (layout.kind) {
    case 'plain':
      return layout.width * rows;
    case 'bits':
    case 'bools':
      return bytesOfBits(rows);
    case 'narrow':
      return decimalBytes * rows;
    case 'interval':
    case 'nanos':
      return intervalBytes * rows;
    case 'text':
      return runs.reduce((sum, run) => sum + spanOf(run).length, 0);
    case 'union':
      return rows;
    case 'null':
    case 'list':
    case 'fixedList':
    case 'struct':
      return null;
  }
}
