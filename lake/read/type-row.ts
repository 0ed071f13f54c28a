import { Field } from 'apache-arrow/schema';
import type { DataType } from 'apache-arrow/type';
import type { Layout } from './layout.js';
import type { Pointer } from './library.js';

/** What a DuckDB type is in Arrow, and how it gets there. */
export interface TypeRow {
  /** DuckDB's name. */
  readonly sql: string;
  readonly arrow: DataType;
  /** Of the field. */
  readonly metadata?: ReadonlyMap<string, string>;
  /** As it lies in DuckDB's vector; null when only DuckDB's own conversion makes Arrow of it. */
  readonly vector: Layout | null;
  /** As it lies in an Arrow array of DuckDB's making. */
  readonly array: Layout;
  /** Of an enum: the values that its codes stand for, by the id of the dictionary. */
  readonly dictionaries: readonly EnumDictionary[];
}

export interface EnumDictionary {
  readonly id: number;
  readonly values: readonly string[];
}

/** What knows the type of a column while its parts are looked at. */
export interface TypeReading {
  /** The column's name, for messages. */
  readonly column: string;
  /** Of the next enum. Counted through a schema, so that the same columns always get the same ones. */
  nextDictionary(): number;
  /** Takes over the logical type. */
  read(logical: Pointer): TypeRow;
}

export const fieldOf = (name: string, { arrow, metadata }: TypeRow, nullable = true): Field =>
  new Field(name, arrow, nullable, metadata && new Map(metadata));
