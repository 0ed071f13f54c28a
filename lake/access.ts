/** What this server may read sources from. */
export interface SourceAccess {
  /** Folders that files of sources must lie in, and `s3://BUCKET/PREFIX` for objects. */
  readonly roots: readonly string[];
  /** URLs of PostgreSQL databases, by the names that Sources know them by; they hold secrets. */
  readonly connections: Readonly<Record<string, string>>;
  /** How rows are copied that the engine cannot reach by itself. Without it, sources are local files. */
  readonly imports?: ImportAccess;
}

/** Extensions of DuckDB that sources need. */
export type ExtensionName = 'httpfs' | 'postgres_scanner' | 'delta' | 'avro' | 'iceberg' | 'ducklake';

export interface ImportAccess {
  /** A folder for copies; the engine may read it. */
  readonly scratch: string;
  /** The file of an extension; throws `extension_missing`. */
  readonly extension: (name: ExtensionName) => Promise<string>;
  readonly s3: S3Access;
  readonly threads: number;
  /** Of the engine that copies, in DuckDB's notation. */
  readonly memoryLimit: string;
}

export interface S3Access {
  /** Null: that of AWS. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly accessKeyId: string | null;
  readonly secretAccessKey: string | null;
  readonly sessionToken: string | null;
}
