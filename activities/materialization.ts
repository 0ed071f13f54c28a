import { DomainError } from '../domain/errors.js';
import type { ExpectationResult } from '../domain/expectations.js';
import { failpoint } from '../domain/failpoints.js';
import type { MaterializeView, PlannedWindow, RefusedWindow, StagedWindow } from '../domain/features.js';
import type { ColumnStatistics } from '../domain/statistics.js';
import { quoteName, quoteText, type Session } from '../lake/duckdb.js';
import { judge } from '../lake/expectations.js';
import { writeWindow } from '../lake/snapshots.js';
import { requireUnchanged, versionOfAll, whileUnchanged, type PinnedSource } from '../lake/sources/index.js';
import { windowStatistics } from '../lake/statistics.js';
import type { Edge, Queries } from '../store/db.js';
import { recordExpectations } from '../store/expectations.js';
import { commitWindowIn, windowHeads, type TableRef, type WindowCommit } from '../store/snapshots.js';
import { recordStatistics } from '../store/statistics.js';
import { abandonStaged, commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { judgedOf, quarantineOf, refusal, stageQuarantine, warnings, type Quarantine } from './expectations.js';
import { currentWorkflowId } from './heartbeat.js';
import { checkLookback } from './lookback.js';
import { compute, fingerprintsOf, loadView, pinSources, rangeOf, type ViewParts } from './views.js';

export interface MaterializeWindows extends MaterializeView {
  readonly windows: readonly PlannedWindow[];
  /** What the plan was made with; null when a source cannot tell its version. */
  readonly sourceVersion: string | null;
}

export interface Made {
  readonly committed: number;
  readonly rows: number;
  readonly bytes: number;
  readonly quarantined: number;
  readonly refused: readonly RefusedWindow[];
}

type MaterializationDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'access'>;

/** Computes the windows by one query, judges their rows, and commits each that may be by itself. */
export async function materialize(
  dependencies: MaterializationDependencies,
  input: MaterializeWindows,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<Made> {
  const { db, engine, access } = dependencies;
  const parts = await loadView(db, input.project, input.view, input.revision);
  const heads = new Map((await windowHeads(db, parts.table, rangeOf(input.windows))).map((head) => [head.start, head]));
  const todo = input.windows.filter(
    (window) => heads.get(window.start)?.sourceFingerprint !== window.sourceFingerprint,
  );
  const made = { committed: input.windows.length - todo.length, rows: 0, bytes: 0, quarantined: 0 };
  const refused: RefusedWindow[] = [];
  if (todo.length === 0) return { ...made, refused };
  return engine.session(async (session) => {
    const pinned = await pinSources(session, parts, rangeOf(todo), access);
    if (versionOfAll(pinned.map(({ version }) => version)) !== input.sourceVersion) throw changed(parts);
    const windows = await asPinned(session, parts, input, todo, pinned);
    await whileUnchanged(pinned, () => compute(session, parts, rangeOf(windows), pinned));
    await failpoint('materialize.computed');
    await checkLookback(session, parts, windows, pinned);
    const batch = await judgeBatch(db, session, parts, windows);
    for (const planned of windows) {
      const results = batch.results.get(planned.start) ?? [];
      const refusedNow = refusal(planned, results);
      if (refusedNow) {
        refused.push(refusedNow);
        await recordExpectations(db, parts.table, planned, results, { commit: null, workflowId: currentWorkflowId() });
        continue;
      }
      const { rows, bytes, quarantined, commit } = await commitOne(dependencies, session, parts, input, planned, {
        ...batch,
        pinned,
      });
      made.committed += 1;
      made.rows += rows;
      made.bytes += bytes;
      made.quarantined += quarantined;
      beat({ committed: planned.start, commit });
    }
    return { ...made, refused };
  }, signal);
}

/** Of a source without a version rows may be others than those of the plan: what is committed are those that were pinned. */
async function asPinned(
  session: Session,
  parts: ViewParts,
  { sourceVersion }: MaterializeWindows,
  todo: readonly PlannedWindow[],
  pinned: readonly PinnedSource[],
): Promise<readonly PlannedWindow[]> {
  if (sourceVersion !== null) return todo;
  const prints = await fingerprintsOf(session, parts, todo, pinned);
  return todo.map((window, at) => ({ ...window, sourceFingerprint: prints[at] ?? window.sourceFingerprint }));
}

const changed = ({ view }: ViewParts): DomainError =>
  new DomainError('source_changed', `A source of "${view.name}" changed after its windows were planned.`, {
    view: view.name,
  });

/** What is known of a batch's windows before any of them is committed. */
interface Batch {
  readonly results: ReadonlyMap<string, readonly ExpectationResult[]>;
  readonly statistics: ReadonlyMap<string, readonly ColumnStatistics[]>;
  readonly quarantine: Quarantine | null;
}

async function judgeBatch(
  db: Queries,
  session: Session,
  parts: ViewParts,
  windows: readonly PlannedWindow[],
): Promise<Batch> {
  const judged = judgedOf(parts);
  const results = await judge(session, judged, windows);
  const features = new Set(parts.view.spec.features.map(({ name }) => name));
  const statistics = await windowStatistics(
    session,
    { ...judged, windows },
    parts.columns.filter(({ name }) => features.has(name)),
  );
  return { results, statistics, quarantine: await quarantineOf(db, parts, rangeOf(windows)) };
}

async function commitOne(
  dependencies: MaterializationDependencies,
  session: Session,
  parts: ViewParts,
  input: MaterializeWindows,
  planned: PlannedWindow,
  { results: all, statistics, quarantine, pinned }: Batch & { readonly pinned: readonly PinnedSource[] },
) {
  const { db, lake } = dependencies;
  const { table, columns, view, keys, sources } = parts;
  const results = all.get(planned.start) ?? [];
  const identity = [...keys.map((key) => key.name), view.spec.eventTime];
  const folder = `${table.project}/features/${table.name}@r${table.revision}`;
  const writer = { session, objects: lake, relation: 'computed', columns, orderBy: identity, folder };
  const window = await writeWindow(writer, view.spec.eventTime, planned);
  const aside = quarantine && (await stageQuarantine(dependencies, session, parts, quarantine, planned, results));
  const staged = aside ? [window, aside] : [window];
  // What was computed may mix two states of the source: it must not be committed under either.
  await requireUnchanged(pinned).catch(async (error: unknown) => {
    await abandonStaged(lake, staged);
    throw error;
  });
  const workflowId = currentWorkflowId();
  const tombstones = parts.tombstones.newest;
  const shared = { sourceVersion: input.sourceVersion ?? '', workflowId, principal: { name: input.principal }, tombstones }; // prettier-ignore
  const lineage = (to: TableRef): Edge[] =>
    sources.map(({ name, revision }) => ({
      from: ['source', `${name}@r${revision}`],
      to: ['table', `${to.schema}/${to.name}@r${to.revision}`],
    }));
  const asideCommit = quarantine && aside && { ...shared, ...asideOf(quarantine, aside), lineage: lineage(quarantine.table) }; // prettier-ignore
  const file = lake.path(window.files[0]?.key ?? '');
  const broken = warnings(results);
  const { commit } = await commitStaged(
    db,
    lake,
    {
      ...{ ...shared, table, columns, window, predecessor: planned.predecessor, lineage: lineage(table) },
      details: {
        distinct: await hasDistinctRows(session, file, identity),
        ...(broken.length > 0 ? { expectations: broken } : {}),
        ...(aside ? { quarantined: aside.rows } : {}),
      },
      also: async (tx, at) => {
        await recordExpectations(tx, table, planned, results, { commit: at.commit, workflowId });
        await recordStatistics(tx, at.commit, statistics.get(planned.start) ?? []);
        if (asideCommit) await commitWindowIn(tx, asideCommit);
      },
    },
    aside ? [aside] : [],
  );
  return { rows: window.rows, bytes: window.bytes, quarantined: aside?.rows ?? 0, commit };
}

const asideOf = (
  { table, columns, heads }: Quarantine,
  window: StagedWindow,
): Pick<WindowCommit, 'table' | 'columns' | 'window' | 'predecessor'> => ({
  ...{ table, columns, window },
  predecessor: heads.get(window.start)?.commit ?? null,
});

/** Whether keys and event time tell all rows apart: then a join needs no sort to choose between them. */
async function hasDistinctRows(session: Session, file: string, identity: readonly string[]): Promise<boolean> {
  const [row] = await session.rows<{ distinct: boolean }>(
    `SELECT count(*) = count(DISTINCT (${identity.map(quoteName).join(', ')})) AS distinct FROM read_parquet(${quoteText(file)})`,
  );
  return row?.distinct ?? false;
}
