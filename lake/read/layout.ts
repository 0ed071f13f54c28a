/**
 * How a column's values lie in memory: in DuckDB's vector, or in an Arrow array that DuckDB made of one. In the message each is
 * Arrow's.
 */
export type Layout =
  /** No buffers at all. */
  | { readonly kind: 'null' }
  /** The same in vector, array and message. */
  | { readonly kind: 'plain'; readonly width: 1 | 2 | 4 | 8 | 16; readonly check?: Check }
  /** A bit a value: booleans of an array. */
  | { readonly kind: 'bits' }
  /** A byte a value: booleans of a vector. */
  | { readonly kind: 'bools' }
  /** Signed integers of a vector, 16 bytes each in the message: decimals. */
  | { readonly kind: 'narrow'; readonly width: 2 | 4 | 8 }
  /** Months, days and microseconds of a vector; nanoseconds in the message. */
  | { readonly kind: 'interval' }
  /** Months, days and nanoseconds of an array. */
  | { readonly kind: 'nanos' }
  /** Offsets of 32 bits, and bytes. */
  | { readonly kind: 'text' }
  /** Offsets of 32 bits, and one child; a map is a list of its entries. */
  | { readonly kind: 'list'; readonly children: readonly [Layout] }
  | { readonly kind: 'fixedList'; readonly size: number; readonly children: readonly [Layout] }
  | { readonly kind: 'struct'; readonly children: readonly Layout[] }
  /** A sparse one: numbers of the members in a byte each, and every member with all rows. */
  | { readonly kind: 'union'; readonly children: readonly Layout[] };

/** What must be true of every value that is not null: the type in the message holds less than DuckDB's. */
export type Check = 'signed38' | 'unsigned38';

export interface PlannedColumn {
  readonly name: string;
  readonly layout: Layout;
  /** Through an Arrow array of DuckDB's making; otherwise straight from the vector. */
  readonly converted: boolean;
}

export const childrenOf = (layout: Layout): readonly Layout[] => ('children' in layout ? layout.children : []);

export const intervalBytes = 16;
export const decimalBytes = 16;
