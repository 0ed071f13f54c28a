import type { Candidate, Explanation } from '../domain/explanation.js';
import type { ProjectName } from '../domain/ids.js';
import { fromDate, toMicros } from '../domain/instants.js';
import type { OnlineStatus, OnlineValue } from '../domain/online.js';
import { quoteName, type Session } from '../lake/duckdb.js';
import { keyText } from '../lake/online.js';
import type { Queries } from '../store/db.js';
import { liveGeneration, readRows } from '../store/online.js';
import { pushOf } from '../store/provenance.js';
import type { ViewParts } from './views.js';

/** The key as the online store and the staging table have it; `literals` are in the order of the view’s keys. */
export async function onlineKey(session: Session, { keys }: ViewParts, literals: readonly string[]): Promise<string> {
  const columns = keys.map(({ name }, index) => `${literals[index]} AS ${quoteName(name)}`);
  const [row] = await session.rows<{ key: string }>(`SELECT ${keyText(keys)} AS key FROM (SELECT ${['1 AS one', ...columns].join(', ')})`); // prettier-ignore
  return row?.key ?? '';
}

/** What the online store answers at this moment. */
export async function onlineNow(
  db: Queries,
  project: ProjectName,
  view: string,
  key: string,
  feature: string,
): Promise<Explanation['online']> {
  const live = await liveGeneration(db, project, view);
  const rows = live && (await readRows(db, project, live, [key]));
  if (!live || !rows) return null;
  const { revision, generation, shape } = live;
  const [row] = rows;
  if (!row) return { value: null, status: 'NOT_FOUND', eventTime: null, revision, generation };
  const at = shape.features.findIndex(({ name }) => name === feature);
  const value = (JSON.parse(row.features) as OnlineValue[])[at] ?? null;
  const expired =
    shape.ttlMicros !== null && toMicros(fromDate(new Date())) - toMicros(row.eventTime) > shape.ttlMicros;
  const status: OnlineStatus = expired ? 'OUTSIDE_MAX_AGE' : value === null ? 'NULL_VALUE' : 'PRESENT';
  return { value: expired ? null : value, status, eventTime: row.eventTime, revision, generation };
}

/** The push that brought the row; null when its sources did. */
export async function pushBehind(
  db: Queries,
  { table }: ViewParts,
  key: string,
  winner: Candidate | null,
): Promise<Explanation['push']> {
  if (winner?.lane !== 'pushes') return null;
  return pushOf(db, table, { key, eventTime: winner.eventTime, knownAt: winner.knownAt });
}
