import { DomainError } from '../domain/errors.js';
import { failpoint } from '../domain/failpoints.js';
import type { MaterializeView, PlannedWindow } from '../domain/features.js';
import type { ProjectName } from '../domain/ids.js';
import type { TableSchema } from '../domain/tables.js';
import { quoteName, quoteText, type Session } from '../lake/duckdb.js';
import { writeWindow } from '../lake/snapshots.js';
import type { Edge } from '../store/db.js';
import { tableState, touchHeads, windowHeads } from '../store/snapshots.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { checkLookback } from './lookback.js';
import { compute, fingerprintsOf, loadView, rangeOf, versionOf, windowsOf, type ViewParts } from './views.js';

export interface WindowPlan {
  readonly windows: PlannedWindow[];
  readonly total: number;
  readonly sourceVersion: string;
  readonly reason: string;
}

export interface MaterializeWindows extends MaterializeView {
  readonly windows: readonly PlannedWindow[];
  readonly sourceVersion: string;
}

export type FeatureDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'access'>;

export const featureActivities = (dependencies: FeatureDependencies) => ({
  /** Reads, and notes which windows were found current: may run any number of times. */
  planWindows: (input: MaterializeView): Promise<WindowPlan> => beating((signal) => plan(dependencies, input, signal)),

  /**
   * One query computes all windows, each is committed by itself. A repeat skips what was committed and abandons files that
   * were staged but not committed.
   */
  materializeWindows: (input: MaterializeWindows): Promise<Made> =>
    beating((signal, beat) => materialize(dependencies, input, signal, beat)),

  /** Reads only. */
  tableState: (table: { project: ProjectName; schema: TableSchema; name: string; revision: number }) =>
    tableState(dependencies.db, table),
});

async function plan(
  { db, engine, access }: FeatureDependencies,
  input: MaterializeView,
  signal: AbortSignal,
): Promise<WindowPlan> {
  const parts = await loadView(db, input.project, input.view, input.revision);
  const windows = windowsOf(parts, input);
  const sourceVersion = await versionOf(parts.sources, access);
  const total = windows.length;
  if (total === 0) return { windows: [], total, sourceVersion, reason: 'the range holds no window' };
  const heads = new Map((await windowHeads(db, parts.table, rangeOf(windows))).map((head) => [head.start, head]));
  if (windows.every((window) => heads.get(window.start)?.sourceVersion === sourceVersion))
    return {
      windows: [],
      total,
      sourceVersion,
      reason: 'nothing to do: no file of the sources changed since these windows were committed',
    };
  const prints = await engine.session((session) => fingerprintsOf(session, parts, windows, access), signal);
  const planned = windows.map((window, at) => ({
    ...window,
    sourceFingerprint: prints[at] as string,
    predecessor: heads.get(window.start)?.commit ?? null,
  }));
  const isCurrent = (window: PlannedWindow) => heads.get(window.start)?.sourceFingerprint === window.sourceFingerprint;
  const current = planned.filter(isCurrent).map((window) => window.start);
  if (current.length > 0) await touchHeads(db, parts.table, current, sourceVersion);
  const todo = planned.filter((window) => !isCurrent(window));
  return { windows: todo, total, sourceVersion, reason: reasonOf(todo, current.length) };
}

function reasonOf(todo: readonly PlannedWindow[], current: number): string {
  const fresh = todo.filter((window) => window.predecessor === null).length;
  if (todo.length === 0)
    return `nothing to do: the rows that reach these ${current} windows are the same as when they were committed`;
  const parts = [
    fresh > 0 ? `${fresh} never computed` : '',
    todo.length > fresh ? `${todo.length - fresh} reached by changed rows` : '',
    current > 0 ? `${current} current` : '',
  ];
  return parts.filter(Boolean).join(', ');
}

interface Made {
  readonly committed: number;
  readonly rows: number;
  readonly bytes: number;
}

async function materialize(
  dependencies: FeatureDependencies,
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
  const made = { committed: input.windows.length - todo.length, rows: 0, bytes: 0 };
  if (todo.length === 0) return made;
  return engine.session(async (session) => {
    await compute(session, parts, rangeOf(todo), access);
    await failpoint('materialize.computed');
    await checkLookback(session, parts, todo, access);
    for (const window of todo) {
      const { rows, bytes, commit } = await commitOne(dependencies, session, parts, input, window);
      made.committed += 1;
      made.rows += rows;
      made.bytes += bytes;
      beat({ committed: window.start, commit });
    }
    return made;
  }, signal);
}

async function commitOne(
  { db, lake, access }: FeatureDependencies,
  session: Session,
  parts: ViewParts,
  input: MaterializeWindows,
  planned: PlannedWindow,
) {
  const { table, columns, view, keys, sources } = parts;
  const identity = [...keys.map((key) => key.name), view.spec.eventTime];
  const folder = `${table.project}/features/${table.name}@r${table.revision}`;
  const window = await writeWindow(
    { session, objects: lake, relation: 'computed', columns, orderBy: identity, folder },
    view.spec.eventTime,
    planned,
  );
  const file = lake.path(window.files[0]?.key ?? '');
  // What was computed may mix two states of the source: it must not be committed under either.
  if ((await versionOf(sources, access)) !== input.sourceVersion) {
    await lake.remove(window.files[0]?.key ?? '');
    throw new DomainError('source_changed', `A source of "${view.name}" changed after its windows were planned.`, {
      view: view.name,
    });
  }
  const to: Edge['to'] = ['table', `features/${view.name}@r${view.revision}`];
  const { commit } = await commitStaged(db, lake, {
    ...{ table, columns, window, predecessor: planned.predecessor, sourceVersion: input.sourceVersion },
    workflowId: currentWorkflowId(),
    principal: { name: input.principal },
    details: { distinct: await hasDistinctRows(session, file, identity) },
    lineage: sources.map((source) => ({ from: ['source', `${source.name}@r${source.revision}`], to })),
  });
  return { rows: window.rows, bytes: window.bytes, commit };
}

/** Whether keys and event time tell all rows apart: then a join needs no sort to choose between them. */
async function hasDistinctRows(session: Session, file: string, identity: readonly string[]): Promise<boolean> {
  const [row] = await session.rows<{ distinct: boolean }>(
    `SELECT count(*) = count(DISTINCT (${identity.map(quoteName).join(', ')})) AS distinct FROM read_parquet(${quoteText(file)})`,
  );
  return row?.distinct ?? false;
}
