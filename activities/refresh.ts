import type { Instant } from '../domain/ids.js';
import { earlier, fromMicros, instant } from '../domain/instants.js';
import type { RefreshView } from '../domain/refresh.js';
import { quoteName, timestamp } from '../lake/duckdb.js';
import { withSources } from '../lake/sql.js';
import { tableSummary } from '../store/snapshots.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';
import { loadView, namedSources, pinSources } from './views.js';

export type RefreshDependencies = Pick<Dependencies, 'db' | 'engine' | 'access'>;

/** Before any row that somebody keeps; a lookback still fits before it. */
const beginning = instant('1000-01-01');

export const refreshActivities = (dependencies: RefreshDependencies) => ({
  /** Reads only. */
  refreshStart: (input: RefreshView): Promise<{ start: Instant | null }> =>
    beating((signal) => refreshStart(dependencies, input, signal)),
});

/**
 * Where everything that the view has begins: at its first window, or at a row that has come since and lies before it. No
 * watermark is kept, so no row is too late; what did not change is not computed again.
 */
async function refreshStart(
  { db, engine, access }: RefreshDependencies,
  { project, view, revision, end }: RefreshView,
  signal: AbortSignal,
): Promise<{ start: Instant | null }> {
  const parts = await loadView(db, project, view, revision);
  const { start: first } = await tableSummary(db, parts.table);
  const before = first === null ? end : earlier(first, end);
  const range = { start: beginning, end: before };
  const time = quoteName(parts.view.spec.eventTime);
  const [found] = await engine.session(async (session) => {
    const pinned = await pinSources(session, parts, range, access);
    const relation = withSources(parts.view.spec.sql, namedSources(parts, range, pinned));
    return session.rows<{ micros: number | null }>(
      `SELECT epoch_us(min(${time}::TIMESTAMP))::DOUBLE AS micros FROM ${relation} WHERE ${time} < ${timestamp(before)}`,
    );
  }, signal);
  const micros = found?.micros ?? null;
  return { start: micros === null ? first : fromMicros(micros) };
}
