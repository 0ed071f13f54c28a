import type { ProjectName } from './ids.js';

/** What readers may read, by the second element of a Flight path (and, later, the schema of a Flight SQL catalog). */
export const tableSchemas = ['features', 'datasets', 'inference', 'quarantine'] as const;
export type TableSchema = (typeof tableSchemas)[number];

/** A column with its DuckDB type name, e.g. `DOUBLE` or `DECIMAL(18,2)`. */
export interface TableColumn {
  readonly name: string;
  readonly type: string;
}

/** One immutable file; `key` is the object key relative to the root of the lake. */
export interface TableFile {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  /** Of rows that were pushed: above others with the same keys and instants (lake/pushes.ts). Absent: what sources gave. */
  readonly lane?: 'pushes';
}

/** One revision of a table at one snapshot: the same rows in the same order, however often and whenever it is read. */
export interface PinnedTable {
  readonly project: ProjectName;
  readonly schema: TableSchema;
  readonly name: string;
  readonly revision: number;
  readonly snapshot: number;
  /** Null when the rows were never hashed as a whole. */
  readonly rowHash: string | null;
  readonly rows: number;
  readonly bytes: number;
  readonly columns: readonly TableColumn[];
  /** In window order. */
  readonly files: readonly TableFile[];
}

/** Which rows a pinned table is. */
export type TableRef = Pick<PinnedTable, 'project' | 'schema' | 'name' | 'revision' | 'snapshot'>;

/** A snapshot stays readable until its lease is let go, or was not renewed in time. */
export interface Lease {
  renew(): Promise<void>;
  release(): Promise<void>;
}

/** What the Flight service needs to know about the lake: names to pinned tables. */
export interface TableReader {
  /** The newest snapshot of every table of the project, ordered by schema and name. */
  list(project: ProjectName, schema?: TableSchema): Promise<PinnedTable[]>;
  /**
   * `name` may be `VIEW`, `VIEW@r2`, `VIEW@s41` or `VIEW@t2026-11-23T10:00:00Z` (what was newest then), and the last two also of
   * a revision: `VIEW@r2@s41`; of `datasets` also `sha256:…`, the row hash of a training set. Throws `project_unknown`, `table_unknown`, `snapshot_unknown` or `snapshot_collected`.
   */
  resolve(project: ProjectName, schema: TableSchema, name: string): Promise<PinnedTable>;
  /** Exactly what a ticket pinned; throws `snapshot_unknown` when it is gone. */
  at(project: ProjectName, schema: TableSchema, name: string, revision: number, snapshot: number): Promise<PinnedTable>;
  /** What tickets promise: garbage collection leaves these snapshots alone for so long. Throws `snapshot_collected`. */
  promise(tables: readonly TableRef[], forMs: number): Promise<void>;
  /** For a stream: as long as it is renewed every `forMs`, the snapshot stays. Throws `snapshot_collected`. */
  lease(table: TableRef, forMs: number): Promise<Lease>;
  /** The key that signs tickets, at least 32 bytes; the same for every process and after every restart. */
  ticketKey(): Promise<Buffer>;
}
