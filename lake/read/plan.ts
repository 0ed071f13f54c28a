/** One SELECT of ours over pinned files; what a client wrote has gone through `lake/statements/` before it is part of one. */
export interface ReadPlan {
  /** Statements that are run on the connection first: temporary views of the pinned tables. */
  readonly setup: readonly string[];
  readonly sql: string;
  /** Absolute paths of all files that it reads: what was encoded of them is forgotten when one of them is gone. */
  readonly files: readonly string[];
  /** What the files are recorded to hold: a stream that ends with another number is an error. Null: not known before. */
  readonly rows: number | null;
  /** A client wrote it: what DuckDB has against it is the client's to mend, and says where. */
  readonly ofClient?: true;
  /** It is nothing but files one after the other. */
  readonly scan?: boolean;
  /** How long DuckDB may work on it, without the time in which the client takes nothing. Default: no limit. */
  readonly timeMaxMs?: number;
}

/** How the buffers of record batches are compressed; a client asks for it. */
export const compressions = ['none', 'lz4', 'zstd'] as const;
export type Compression = (typeof compressions)[number];

/** What DuckDB says of a plan that it prepared and did not run. */
export interface Description {
  /** The bare flatbuffer Message of the Arrow schema. */
  readonly schema: Buffer;
  /** Names and DuckDB's names of the types. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  /** DuckDB's name of the type of each parameter, by position; `UNKNOWN` where the statement does not tell. */
  readonly parameters: readonly string[];
}
