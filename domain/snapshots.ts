import type { Lane, Window } from './features.js';
import type { Instant, ProjectName, Sha256 } from './ids.js';
import type { TableSchema } from './tables.js';

/** A state of a table, as lists show it. */
export interface SnapshotRow {
  readonly snapshot: number;
  readonly committedAt: Instant;
  /** The window that this snapshot has anew, and what wrote it. */
  readonly changed: Window & { readonly lane: Lane; readonly commit: number };
  readonly windows: number;
  readonly rows: number;
  readonly rowHash: string;
  /** False: garbage collection removed files that it needs. */
  readonly readable: boolean;
}

/** Input of the workflow that makes few larger files of a table's many small ones. */
export interface CompactTable {
  readonly project: ProjectName;
  readonly schema: TableSchema;
  readonly name: string;
  readonly revision: number;
  readonly principal: string;
}

/** Windows that lie next to each other, whose files one file shall stand for. */
export interface CompactionRun {
  readonly first: Instant;
  readonly last: Instant;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

export interface Compacted {
  /** That readers open for the newest snapshot, before and after. */
  readonly filesBefore: number;
  readonly filesAfter: number;
  readonly written: number;
  readonly rows: number;
  readonly bytes: number;
  readonly reason: string;
}

/** Input of the workflow that removes what nobody needs any more. */
export interface CollectGarbage {
  readonly project: ProjectName;
  /** A snapshot that was the newest within this time stays readable. */
  readonly keep: string;
  readonly dryRun: boolean;
  readonly principal: string;
}

export interface Amount {
  readonly files: number;
  readonly bytes: number;
}

/** Files that garbage collection found, and left because of somebody. */
export interface Kept extends Amount {
  readonly reason: 'retention' | 'training_set' | 'lineage' | 'lease';
  /** The training set, the lineage node or the lease’s holder; the number of days for retention. */
  readonly holder: string;
  readonly snapshot: string;
}

export interface Collected {
  readonly dryRun: boolean;
  readonly keep: string;
  /** What was the newest snapshot before this instant may go. */
  readonly before: Instant;
  /** Of snapshots that nobody needs. */
  readonly snapshots: Amount;
  /** Compacted files that a commit or a larger one replaced. */
  readonly compactions: Amount;
  /** Staged by an attempt that never committed. */
  readonly orphans: Amount;
  /** Left in scratch folders by what died. */
  readonly scratch: Amount;
  /** Pushed rows whose snapshot holds them. */
  readonly pushedRows: number;
  /** The largest first, at most a hundred. */
  readonly kept: readonly Kept[];
}

/** Input of the workflow that erases an entity: the key itself stays out of Temporal. */
export interface EraseEntity {
  readonly project: ProjectName;
  readonly erasure: string;
  readonly principal: string;
}

export interface Erased {
  readonly erasure: string;
  /** Of the certificate. */
  readonly sha256: string;
  /** That were looked through in the end. */
  readonly files: number;
  readonly tables: number;
}

/** An erasure as lists show it. */
export interface ErasureRow {
  readonly id: string;
  readonly entity: string;
  /** HMAC-SHA256 of the key. */
  readonly keyDigest: string;
  readonly reason: string;
  /** `abandoned`: it erased nothing. */
  readonly status: 'open' | 'done' | 'abandoned';
  readonly workflowId: string;
  readonly openedAt: Instant;
  readonly endedAt: Instant | null;
  readonly principal: string;
}

/** What an erasure did to one table of the lake. */
export interface ErasedTable {
  /** As `features/VIEW@r1`. */
  readonly table: string;
  readonly rows: number;
  readonly files: readonly {
    readonly before: Sha256;
    readonly after: Sha256;
    readonly rowsBefore: number;
    readonly rowsAfter: number;
  }[];
}

/** What was removed where, when, for whom and why, without the key itself. */
export interface ErasureCertificate {
  readonly format: 'eider-erasure/1';
  readonly project: string;
  readonly erasure: string;
  readonly entity: string;
  readonly keyColumns: readonly string[];
  /** HMAC-SHA256 of the key: who has the key can ask whether it was this one. */
  readonly keyDigest: string;
  readonly reason: string;
  readonly principal: string;
  readonly openedAt: Instant;
  readonly endedAt: Instant;
  readonly tables: readonly ErasedTable[];
  /** Rows of PostgreSQL, by what they were. */
  readonly rows: Readonly<Record<string, number>>;
  readonly trainingSets: readonly {
    readonly name: string;
    readonly rows: number;
    readonly snapshots: readonly string[];
  }[];
  /** Models that learned from such a training set, as MODEL/VERSION: their weights are as they were. */
  readonly versions: readonly string[];
  /** Not ours to change: as long as these hold the key, they are read without it. */
  readonly sources: readonly string[];
  readonly verified: { readonly tables: number; readonly files: number; readonly rowsFound: 0 };
  /**
   * Files that no table has and nobody can read, with the key or unreadable: what attempts staged that work still or died.
   * From the instant on garbage collection removes what is left of them; null: there are none.
   */
  readonly staged: { readonly files: number; readonly collectableAt: Instant | null };
}

export interface SignedCertificate {
  readonly certificate: ErasureCertificate;
  /** Of the certificate as canonical JSON. */
  readonly sha256: Sha256;
  /** HMAC-SHA256 of the same by a key that never leaves the database. */
  readonly signature: string;
}
