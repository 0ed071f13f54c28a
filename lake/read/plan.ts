/** How a column lies in memory, in DuckDB's vector and in the message. Nested types will be further kinds. */
export type Layout =
  | { readonly kind: 'plain'; readonly width: 1 | 2 | 4 | 8 | 16 }
  | { readonly kind: 'bits' }
  | { readonly kind: 'interval' }
  | { readonly kind: 'text' };

export interface PlannedColumn {
  readonly name: string;
  /** `duckdb_type` of the vector that must arrive: another one would be copied with a wrong width. */
  readonly typeId: number;
  readonly layout: Layout;
  /** SQL types to go through, in order. */
  readonly casts: readonly string[];
}
