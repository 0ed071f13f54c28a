import type { Instant } from '../domain/ids.js';
import { earlier, fromMicros, later } from '../domain/instants.js';
import type { RefreshView } from '../domain/refresh.js';
import { quoteName, timestamp } from '../lake/duckdb.js';
import { withSources } from '../lake/sql.js';
import { tableSummary } from '../store/snapshots.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';
import { loadView, namedSources, pinSources, reachOf } from './views.js';

export type RefreshDependencies = Pick<Dependencies, 'db' | 'engine' | 'access'>;

export const refreshActivities = (dependencies: RefreshDependencies) => ({
  /** Reads only. */
  refreshStart: (input: RefreshView): Promise<{ start: Instant | null }> =>
    beating((signal) => refreshStart(dependencies, input, signal)),
});

/**
 * Where everything that the view has begins: at its first window, or at a row that has come since and lies before it. No
 * watermark is kept, so no row is too late; what did not change is not computed again. A row so old that its windows and all
 * since are more than are taken at once, such as one of 1970 among hours of today, is left to whoever asks for its time.
 */
async function refreshStart(
  { db, engine, access }: RefreshDependencies,
  { project, view, revision, end }: RefreshView,
  signal: AbortSignal,
): Promise<{ start: Instant | null }> {
  const parts = await loadView(db, project, view, revision);
  const { start: first } = await tableSummary(db, parts.table);
  const reach = reachOf(parts, end);
  const before = first === null ? end : earlier(first, end);
  if (before <= reach) return { start: first && later(first, reach) };
  const range = { start: reach, end: before };
  const time = quoteName(parts.view.spec.eventTime);
  const [found] = await engine.session(async (session) => {
    const pinned = await pinSources(session, parts, range, access);
    const relation = withSources(parts.view.spec.sql, namedSources(parts, range, pinned));
    return session.rows<{ micros: number | null }>(
      `SELECT epoch_us(min(${time}::TIMESTAMP))::DOUBLE AS micros FROM ${relation} WHERE ${time} >= ${timestamp(reach)} AND ${time} < ${timestamp(before)}`,
    );
  }, signal);
  const micros = found?.micros ?? null;
  return { start: micros === null ? first : fromMicros(micros) };
}
