import type { ProjectName } from './ids.js';
import type { OnlineShape } from './online.js';

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

/** What tells the rows of a view apart: a pushed row with that of another corrects it (lake/pushes.ts). */
export type Identity = Pick<OnlineShape, 'keys' | 'eventTime' | 'knownAt'>;

/** Where pushed rows are among a table's files: from place `first` up to `end`, with all rows that they may correct. */
export interface Corrections extends Identity {
  readonly first: number;
  readonly end: number;
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
  /** Of the files; with corrections, readers get as many fewer as those correct. */
  readonly rows: number;
  readonly bytes: number;
  readonly columns: readonly TableColumn[];
  /** In window order. */
  readonly files: readonly TableFile[];
  /** Readers get pushed rows in the place of what they correct. Absent: nothing was pushed, or the files are wanted as they are. */
  readonly corrections?: Corrections;
  /** There would be corrections, but `NAME@raw` was asked for: every row of the files. */
  readonly raw?: true;
}

/** Which rows a pinned table is. */
export type TableRef = Pick<PinnedTable, 'project' | 'schema' | 'name' | 'revision' | 'snapshot'>;

/** By which name TableReader.at gives the same rows again. */
export const nameAsRead = ({ name, raw }: Pick<PinnedTable, 'name' | 'raw'>): string => (raw ? `${name}@raw` : name);

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
   * a revision: `VIEW@r2@s41`; `@raw` behind any of them: with the rows that pushed ones correct. Of `datasets` also `sha256:…`, the row hash of a training set. Throws `project_unknown`, `table_unknown`, `snapshot_unknown` or `snapshot_collected`.
   */
  resolve(project: ProjectName, schema: TableSchema, name: string): Promise<PinnedTable>;
  /** Exactly what a ticket pinned, by `nameAsRead`; throws `snapshot_unknown` when it is gone. */
  at(project: ProjectName, schema: TableSchema, name: string, revision: number, snapshot: number): Promise<PinnedTable>;
  /** What tickets promise: garbage collection leaves these snapshots alone for so long. Throws `snapshot_collected`. */
  promise(tables: readonly TableRef[], forMs: number): Promise<void>;
  /** For a stream: as long as it is renewed every `forMs`, the snapshot stays. Throws `snapshot_collected`. */
  lease(table: TableRef, forMs: number): Promise<Lease>;
  /** The key that signs tickets, at least 32 bytes; the same for every process and after every restart. */
  ticketKey(): Promise<Buffer>;
}
