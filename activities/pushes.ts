import type { Window } from '../domain/features.js';
import { isDomainError } from '../domain/errors.js';
import { failpoint, type Failpoint } from '../domain/failpoints.js';
import { durationMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import type { OnlineShape } from '../domain/online.js';
import type { Flushed, FlushPushes } from '../domain/publishing.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import { withoutErasedKeys } from '../lake/erased.js';
import { typedColumns } from '../lake/online.js';
import { filesRelation } from '../lake/point-in-time.js';
import { overlay } from '../lake/pushes.js';
import { writeWindow } from '../lake/snapshots.js';
import { shapeOf } from '../store/online-shapes.js';
import { windowHeads, type Committed, type TableRef, type WindowCommit } from '../store/snapshots.js';
import { copyPushedNow, markFlushed, waitingPushes, waitingWindows, type WaitingPushes } from '../store/staged-rows.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { loadTexts } from './staged-rows.js';
import { loadView, type ViewParts } from './views.js';

export type PushDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'scratch'>;

export const pushActivities = (dependencies: PushDependencies) => ({
  /**
   * Each window is committed with the note that its rows are in it: a repeat finds only what still waits, and a file that was
   * not committed is abandoned.
   */
  flushPushes: (input: FlushPushes): Promise<Flushed> =>
    beating(async (signal, beat) => {
      const flushed = { rows: 0, windows: 0, snapshot: 0 };
      for (const waiting of await waitingPushes(dependencies.db, { project: input.project, view: input.view })) {
        const { windows, snapshot } = await flush(dependencies, input, waiting, signal, beat);
        flushed.rows += waiting.rows;
        flushed.windows += windows;
        flushed.snapshot = snapshot;
      }
      return flushed;
    }),
});

async function flush(
  { db, engine, lake, scratch }: PushDependencies,
  { project, view, principal }: FlushPushes,
  { revision, sequence }: WaitingPushes,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<{ windows: number; snapshot: number }> {
  const ref = { project, view, revision };
  const parts = await loadView(db, project, view, revision);
  const shape = await shapeOf(db, project, parts.view);
  const windows = await waitingWindows(db, ref, sequence, durationMicros(parts.view.spec.window));
  let snapshot = 0;
  await engine.session(async (session) => {
    const selection = { kind: 'waiting', sequence } as const;
    const staged = await loadTexts(session, scratch, typedColumns(shape), (rows) => copyPushedNow(db, ref, selection, rows)); // prettier-ignore
    for (const window of windows) {
      const committed = await commitPushed({ db, lake }, session, {
        ...{ parts, shape, window, principal, rows: staged, from: ['pushes', `${view}/${sequence}`] },
        ...{ details: { sequence }, staged: 'flush.staged' },
        also: (tx, at) => markFlushed(tx, ref, window, sequence, at.snapshot),
      });
      snapshot = committed.snapshot;
      beat({ flushed: window.start, commit: committed.commit });
    }
  }, signal);
  return { windows: windows.length, snapshot };
}

/** Rows on their way into the lane of pushed rows. */
export interface PushedWindow {
  readonly parts: ViewParts;
  readonly shape: OnlineShape;
  readonly window: Window;
  /** A relation; those of the window stand above what had been pushed to it before. */
  readonly rows: string;
  /** Where they come from, for lineage. */
  readonly from: readonly [kind: string, id: string];
  /** With it, what they are: the same upon the same head are the same commit. */
  readonly details: Record<string, unknown>;
  readonly principal: string;
  readonly staged: Failpoint;
  readonly also?: NonNullable<WindowCommit['also']>;
}

/** Flushes and hand-overs write the same lane: whoever is overtaken stages the window again, upon what the other has committed. */
const attemptsMax = 5;

/** Commits what had been pushed to the window before, with the rows above it. */
export async function commitPushed(
  { db, lake }: Pick<PushDependencies, 'db' | 'lake'>,
  session: Session,
  { parts, window, from, details, principal, staged, also, ...rows }: PushedWindow,
): Promise<Committed> {
  for (let attempt = 1; ; attempt++) {
    const made = await stageWindow({ db, lake }, session, { parts, window, from, details, ...rows });
    await failpoint(staged);
    try {
      return await commitStaged(db, lake, {
        ...{ table: parts.table, lane: 'pushes', columns: parts.columns, sourceVersion: '' },
        tombstones: parts.tombstones.newest,
        ...{ ...made, workflowId: currentWorkflowId(), principal: { name: principal }, details },
        lineage: [{ from, to: ['table', `features/${parts.view.name}@r${parts.view.revision}`] }],
        ...(also ? { also } : {}),
      });
    } catch (error) {
      if (!isDomainError(error) || error.code !== 'generation_moved' || attempt === attemptsMax) throw error;
    }
  }
}

async function stageWindow(
  { db, lake }: Pick<PushDependencies, 'db' | 'lake'>,
  session: Session,
  { parts, shape, window, rows, from, details }: Omit<PushedWindow, 'principal' | 'staged' | 'also'>,
) {
  const { view, table, columns, keys, tombstones } = parts;
  const predecessor = await headOf(db, table, window);
  const eventTime = quoteName(view.spec.eventTime);
  const within = `(SELECT * FROM ${rows} WHERE ${eventTime} >= ${timestamp(window.start)} AND ${eventTime} < ${timestamp(window.end)})`;
  const before = filesRelation((predecessor?.files ?? []).map((key) => lake.path(key)), columns); // prettier-ignore
  // An erasure that has begun may not have reached what was copied, or the file before, yet.
  const relation = await withoutErasedKeys(session, tombstones, overlay(before, within, shape), keys);
  const commit = predecessor?.commit ?? null;
  const sourceFingerprint = digestOf([...from, details, commit, window.start]);
  const folder = `${table.project}/features/${table.name}@r${table.revision}`;
  const orderBy = [...keys.map((key) => key.name), view.spec.eventTime];
  const made = await writeWindow({ session, objects: lake, relation, columns, orderBy, folder }, view.spec.eventTime, {
    ...window,
    sourceFingerprint,
    predecessor: commit,
  });
  return { window: made, predecessor: commit };
}

async function headOf(db: Dependencies['db'], table: TableRef, window: Window) {
  return (await windowHeads(db, table, window, 'pushes')).find(({ start }) => start === window.start) ?? null;
}
