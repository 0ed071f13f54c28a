import type { Column } from './table.js';

/** One thing that `eider get` can list: where the API has it, and what a person sees of a row. */
export interface Listing {
  /** What must be named, e.g. the model of versions; null when nothing. */
  readonly of: string | null;
  readonly path: (name: string) => string;
  readonly columns: readonly Column<never>[];
}

export const listing = <Row>(
  of: string | null,
  path: (name: string) => string,
  columns: readonly Column<Row>[],
): Listing => ({ of, path, columns: columns as unknown as readonly Column<never>[] });
