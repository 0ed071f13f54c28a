import type { Materialized } from './features.js';
import type { Instant, ProjectName } from './ids.js';
import type { Published } from './publishing.js';

/** Input of the workflow that materializes a view and publishes it: what Feast calls to materialize. */
export interface RefreshView {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
  /** Null: from the first row on that the sources have. */
  readonly start: Instant | null;
  readonly end: Instant;
  readonly principal: string;
}

export interface Refreshed {
  readonly view: string;
  readonly revision: number;
  /** What was compared with the sources; null: they had no row by then. */
  readonly start: Instant | null;
  readonly end: Instant;
  readonly materialized: Materialized | null;
  /** Null too when another revision is live and this one does not reach as far yet. */
  readonly published: Published | null;
}
