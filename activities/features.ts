import type { Found, MaterializeView, PlannedWindow, ReadQuarantine, Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { TableSchema } from '../domain/tables.js';
import { versionOfAll, whileUnchanged } from '../lake/sources/index.js';
import { completeTable, type Answering } from '../store/completeness.js';
import { tableState, touchHeads, windowHeads } from '../store/snapshots.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';
import { readQuarantine } from './expectations.js';
import { materialize, type Made, type MaterializeWindows } from './materialization.js';
import { fingerprintsOf, loadView, pinSources, rangeOf, versionOf, windowsOf } from './views.js';

export interface PlanWindows extends MaterializeView {
  /** Where the slice begins that is to be planned; default: with the range. */
  readonly from?: Instant;
}

/** One slice of a range: a plan is a payload, and payloads are bounded. */
export interface WindowPlan {
  /** Those to compute. */
  readonly windows: PlannedWindow[];
  /** Of the whole range. */
  readonly total: number;
  readonly found: Found;
  /** Where the next slice begins; null at the end of the range. */
  readonly next: Instant | null;
  readonly sourceVersion: string | null;
}

export type FeatureDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'access'>;

export const featureActivities = (dependencies: FeatureDependencies) => ({
  /** Reads, and notes which windows were found current: may run any number of times. */
  planWindows: (input: PlanWindows): Promise<WindowPlan> => beating((signal) => plan(dependencies, input, signal)),

  /**
   * One query computes all windows, each is committed by itself. A repeat skips what was committed and abandons files that
   * were staged but not committed.
   */
  materializeWindows: (input: MaterializeWindows): Promise<Made> =>
    beating((signal, beat) => materialize(dependencies, input, signal, beat)),

  /** Reads only, at most as many rows and bytes as an answer may have. */
  readQuarantine: (input: ReadQuarantine) => readQuarantine(dependencies, input),

  /** Lets the view's plain name mean this revision once it has all that the one before has; a repeat changes nothing. */
  completeTable: ({ project, view, revision }: MaterializeView): Promise<Answering> =>
    completeTable(dependencies.db, { project, schema: 'features', name: view, revision }),

  /** Reads only. */
  tableState: (table: { project: ProjectName; schema: TableSchema; name: string; revision: number }) =>
    tableState(dependencies.db, table),
});

const windowsPerSlice = 500;

async function plan(
  { db, engine, access }: FeatureDependencies,
  input: PlanWindows,
  signal: AbortSignal,
): Promise<WindowPlan> {
  const parts = await loadView(db, input.project, input.view, input.revision);
  const range = windowsOf(parts, input);
  const left = input.from === undefined ? range : range.filter(({ start }) => start >= (input.from as Instant));
  const windows = left.slice(0, windowsPerSlice);
  const newest = await versionOf(parts.sources, access);
  const slice = { total: range.length, next: left[windowsPerSlice]?.start ?? null, sourceVersion: newest };
  const nothing = { fresh: 0, changed: 0, current: 0, untouched: 0 };
  if (windows.length === 0) return { ...slice, windows: [], found: nothing };
  const heads = new Map((await windowHeads(db, parts.table, rangeOf(windows))).map((head) => [head.start, head]));
  const isUntouched = ({ start }: Window) => heads.get(start)?.sourceVersion === newest;
  if (newest !== null && windows.every(isUntouched))
    return { ...slice, windows: [], found: { ...nothing, untouched: windows.length } };
  // What is compared is what was pinned, which may be newer than what was asked for before.
  const { prints, sourceVersion } = await engine.session(async (session) => {
    const pinned = await pinSources(session, parts, rangeOf(windows), access);
    const prints = await whileUnchanged(pinned, () => fingerprintsOf(session, parts, windows, pinned));
    return { prints, sourceVersion: versionOfAll(pinned.map(({ version }) => version)) };
  }, signal);
  const planned = windows.map((window, at) => ({
    ...window,
    sourceFingerprint: prints[at] as string,
    predecessor: heads.get(window.start)?.commit ?? null,
  }));
  const isCurrent = (window: PlannedWindow) => heads.get(window.start)?.sourceFingerprint === window.sourceFingerprint;
  const current = planned.filter(isCurrent).flatMap(({ predecessor }) => predecessor ?? []);
  if (current.length > 0 && sourceVersion !== null) await touchHeads(db, parts.table, current, sourceVersion);
  const todo = planned.filter((window) => !isCurrent(window));
  const fresh = todo.filter((window) => window.predecessor === null).length;
  return {
    ...{ ...slice, sourceVersion, windows: todo },
    found: { fresh, changed: todo.length - fresh, current: current.length, untouched: 0 },
  };
}
