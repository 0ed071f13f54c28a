import type { Instant } from './ids.js';

/** One half-open slice `[start, end)` of event time: a row stamped at `end` belongs to the next window. */
export interface Window {
  readonly start: Instant;
  readonly end: Instant;
}

export interface StagedFile {
  /** Relative to the lake's root; no attempt shares it. */
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** What one attempt made for a window and wants committed. */
export interface StagedWindow extends Window {
  readonly files: readonly StagedFile[];
  readonly rows: number;
  readonly bytes: number;
  /** Equality of content: independent of row order and of how the rows lie in files. */
  readonly rowHash: string;
  readonly sourceFingerprint: string;
  readonly durationMs: number;
}

/** A window that must be computed, and the head it was planned on. */
export interface PlannedWindow extends Window {
  readonly sourceFingerprint: string;
  readonly predecessor: number | null;
}

export interface LedgerRow extends Window {
  readonly commit: number;
  readonly snapshot: number;
  readonly rows: number;
  readonly bytes: number;
  readonly rowHash: string;
  readonly sourceFingerprint: string;
  readonly durationMs: number;
  readonly committedAt: string;
  readonly workflowId: string;
}

export interface Column {
  readonly name: string;
  /** DuckDB’s name of the type. */
  readonly type: string;
}
