import { DomainError } from '../domain/errors.js';
import { windowsIn, type Window } from '../domain/features.js';
import { shortInstant, type Instant } from '../domain/ids.js';
import { durationMicros, fromMicros, later, plusMicros } from '../domain/instants.js';
import type { Revision } from '../domain/resources.js';
import { quoteName, type Session } from './duckdb.js';

/** More ranges than this make a sentence that nobody reads. */
const namedMax = 3;

/** From a relation's first instant to just after its last; null when it has no rows. */
export async function rangeOfRows(session: Session, relation: string, eventTime: string): Promise<Window | null> {
  const micros = (name: 'min' | 'max') => `epoch_us(${name}(${quoteName(eventTime)}::TIMESTAMP))::DOUBLE`;
  const [row] = await session.rows<{ first: number | null; last: number | null }>(
    `SELECT ${micros('min')} AS first, ${micros('max')} AS last FROM ${relation}`,
  );
  if (row?.first == null || row.last == null) return null;
  return around(row.first, row.last);
}

const yearOneMicros = Date.parse('0001-01-01T00:00:00Z') * 1000;
const yearTenThousandMicros = Date.UTC(10_000, 0, 1) * 1000;

/** Of the first and the last instant; throws `spine_invalid` for what no instant of ours can be. */
export function around(first: number, last: number): Window {
  if (first >= yearOneMicros && last < yearTenThousandMicros) return { start: fromMicros(first), end: fromMicros(last + 1) }; // prettier-ignore
  throw new DomainError('spine_invalid', 'Its event times are not all from the year 1 to the year 9999.');
}

/**
 * The view's windows that rows of this range need and that no head covers, neighbours as one. Rows may look back for the
 * view's TTL, or for ever; but nobody need materialize what lies before the view's own first window.
 */
export function missingWindows(
  spec: Revision<'FeatureView'>['spec'],
  heads: readonly Window[],
  rows: Window,
): Window[] {
  const first = heads.reduce<Instant | null>((at, { start }) => (at === null || start < at ? start : at), null);
  const lookback = spec.ttl === undefined ? first : plusMicros(rows.start, -durationMicros(spec.ttl));
  const start = first === null || lookback === null || rows.start < first ? rows.start : later(lookback, first);
  const covered = new Set(heads.map((head) => head.start));
  const missing: Window[] = [];
  for (const window of windowsIn({ start, end: rows.end }, durationMicros(spec.window))) {
    if (covered.has(window.start)) continue;
    const last = missing.at(-1);
    if (last?.end === window.start) missing[missing.length - 1] = { start: last.start, end: window.end };
    else missing.push(window);
  }
  return missing;
}

/** A feature that was never computed is not one that is absent: throws `features_not_materialized` with what to run. */
export function requireCovered(view: Revision<'FeatureView'>, heads: readonly Window[], rows: Window): void {
  const missing = missingWindows(view.spec, heads, rows);
  if (missing.length === 0) return;
  const commands = missing
    .slice(0, namedMax)
    .map(
      ({ start, end }) => `eider materialize ${view.name} --start ${shortInstant(start)} --end ${shortInstant(end)}`,
    );
  const more = missing.length > namedMax ? ` and ${missing.length - namedMax} ranges more` : '';
  throw new DomainError(
    'features_not_materialized',
    `View "${view.name}" revision ${view.revision} lacks windows of this range. Run ${commands.join(', ')}${more}.`,
    { view: view.name, missing },
  );
}
