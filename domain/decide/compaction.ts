import type { Instant } from '../ids.js';
import type { CompactionRun } from '../snapshots.js';

/** A window of the newest snapshot, with all files of both lanes. */
export interface WindowFiles {
  readonly start: Instant;
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
  /** It has pushed rows, which a join tells from the others by their file. */
  readonly pushed: boolean;
}
/** A file that stands for the windows from `first` to `last`. */
export interface LiveCompaction {
  readonly first: Instant;
  readonly last: Instant;
}

export interface CompactionLimits {
  /** A file is large enough from half of this on, and is left alone. */
  readonly bytesMax: number;
  readonly filesMax: number;
  /** Fewer pieces are not worth a file. */
  readonly piecesMin: number;
}

/**
 * Which windows to write together: neighbours only, as rows stay in window order; large files stay as they are, so that what
 * is appended day by day is not written again and again. Windows with pushed rows stay by themselves.
 */
export function planRuns(
  windows: readonly WindowFiles[],
  compactions: readonly LiveCompaction[],
  { bytesMax, filesMax, piecesMin }: CompactionLimits,
): CompactionRun[] {
  const runs: CompactionRun[] = [];
  let run: CompactionRun | null = null;
  let pieces = 0;
  const end = () => {
    if (run && pieces >= piecesMin) runs.push(run);
    run = null;
    pieces = 0;
  };
  for (const piece of piecesOf(windows, compactions)) {
    if (piece.pushed || piece.bytes * 2 >= bytesMax) {
      end();
      continue;
    }
    if (run && (run.bytes + piece.bytes > bytesMax || run.files + piece.files > filesMax)) end();
    pieces += piece.compacted ? 1 : piece.files;
    run = joined(run, piece);
  }
  end();
  return runs;
}

type Piece = CompactionRun & { readonly compacted: boolean; readonly pushed: boolean };

/** What a reader opens: a compacted file stands for its windows as a whole, so a run takes all of them or none. */
function piecesOf(windows: readonly WindowFiles[], compactions: readonly LiveCompaction[]): Piece[] {
  const pieces: Piece[] = [];
  const longest = [...compactions].sort((a, b) => (a.first === b.first ? (a.last < b.last ? 1 : -1) : a.first < b.first ? -1 : 1)); // prettier-ignore
  let within: LiveCompaction | undefined;
  for (const { start, pushed, ...size } of windows) {
    const one = { ...size, first: start, last: start };
    const before = pieces.at(-1);
    if (within && before && start <= within.last) {
      pieces[pieces.length - 1] = { ...joined(before, one), compacted: true, pushed: false };
      continue;
    }
    within = longest.find(({ first, last }) => first <= start && start <= last);
    pieces.push({ ...one, compacted: within !== undefined, pushed });
  }
  return pieces;
}

const joined = (run: CompactionRun | null, { first, last, files, rows, bytes }: CompactionRun): CompactionRun => ({
  first: run?.first ?? first,
  last,
  files: (run?.files ?? 0) + files,
  rows: (run?.rows ?? 0) + rows,
  bytes: (run?.bytes ?? 0) + bytes,
});
