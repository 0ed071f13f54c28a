import type { TakenSpine } from './datasets.js';
import type { Column, StagedFile } from './features.js';
import type { ProjectName, Sha256 } from './ids.js';

/** An uploaded spine as a table of the lake, staged. */
export interface StagedSpine {
  readonly project: ProjectName;
  readonly spine: Sha256;
  readonly file: StagedFile & { readonly rowHash: string };
  readonly columns: readonly Column[];
  readonly durationMs: number;
  readonly principal: string;
}

/** What is known of uploaded spines. */
export interface SpineTables {
  find(project: ProjectName, spine: Sha256): Promise<TakenSpine | null>;
  /** Once for each spine: false when somebody else had committed the same, so that the file is nobody's. */
  commit(spine: StagedSpine): Promise<boolean>;
}
