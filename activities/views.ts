import { windowsIn, type Column, type Window } from '../domain/features.js';
import type { Tombstones } from '../domain/erasure.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros, fromMicros, instant, plusMicros, toMicros } from '../domain/instants.js';
import type { Revision } from '../domain/resources.js';
import type { SourceAccess } from '../lake/access.js';
import { quoteName, timestamp, typed, type Session } from '../lake/duckdb.js';
import { deleteErased } from '../lake/erased.js';
import { typedColumns } from '../lake/expectations.js';
import {
  blaming,
  bucketFingerprints,
  pinSource,
  sourceVersion,
  versionOfAll,
  windowFingerprint,
  type BucketFingerprints,
  type PinnedSource,
  type Source,
} from '../lake/sources/index.js';
import { withSources } from '../lake/sql.js';
import { asWriteFailure } from '../lake/snapshots.js';
import type { Queries } from '../store/db.js';
import { getPinned, getResource } from '../store/resources.js';
import type { TableRef } from '../store/snapshots.js';
import { tombstonesOf } from '../store/tombstones.js';

/** A feature view with everything that it is made of. */
export interface ViewParts {
  readonly view: Revision<'FeatureView'>;
  /** Null: the view has no keys. */
  readonly entity: Revision<'Entity'> | null;
  readonly keys: readonly Column[];
  readonly sources: readonly Source[];
  readonly table: TableRef;
  /** Keys, event time, known-at and features, with their declared types. */
  readonly columns: readonly Column[];
  /** Keys that were erased and must not come back. */
  readonly tombstones: Tombstones;
}

export async function loadView(db: Queries, project: ProjectName, name: string, revision: number): Promise<ViewParts> {
  const view = await getResource(db, project, 'FeatureView', name, revision);
  const entity = view.spec.entity === undefined ? null : await getPinned(db, project, view, 'Entity', view.spec.entity);
  const keys = entity?.spec.keys ?? [];
  const sources = await Promise.all(view.spec.sources.map((source) => getPinned(db, project, view, 'Source', source)));
  return {
    view,
    entity,
    keys,
    sources,
    table: { project, schema: 'features', name, revision },
    columns: viewColumns(view.spec, keys),
    tombstones: await tombstonesOf(db, project, view.spec.entity),
  };
}

export function viewColumns(view: Revision<'FeatureView'>['spec'], keys: readonly Column[]): Column[] {
  const times = [view.eventTime, ...(view.knownAt ? [view.knownAt] : [])].map((name) => ({ name, type: 'TIMESTAMP' }));
  return [...keys, ...times, ...view.features.map(({ name, type }) => ({ name, type }))];
}

/** Eleven years of hours. They are planned slice by slice, so the limit is what people mean, not what fits. */
const windowCountMax = 100_000;

/** The view's windows that the range touches. */
export function windowsOf({ view }: ViewParts, range: Window): Window[] {
  const size = durationMicros(view.spec.window);
  const count = Math.ceil(toMicros(range.end) / size) - Math.floor(toMicros(range.start) / size);
  if (count <= windowCountMax) return windowsIn(range, size);
  const message = `The range has ${count} windows of ${view.spec.window}; at most ${windowCountMax} are taken at once.`;
  throw new DomainError('request_invalid', message, { windows: count });
}

/** The earliest instant from which all windows up to the end can be taken at once. */
export function reachOf({ view }: ViewParts, end: Instant): Instant {
  const size = durationMicros(view.spec.window);
  const start = (Math.ceil(toMicros(end) / size) - windowCountMax) * size;
  return fromMicros(Math.max(start, toMicros(beginning)));
}

/** Before any row that somebody keeps; a lookback still fits before it. */
const beginning = instant('1000-01-01');

export const rangeOf = (windows: readonly Window[]): Window => ({
  start: windows.map(({ start }) => start).reduce((a, b) => (a < b ? a : b)),
  end: windows.map(({ end }) => end).reduce((a, b) => (a > b ? a : b)),
});

/** One version for all sources of a view: equal means that none of them changed. Null: one of them cannot tell. */
export const versionOf = async (sources: readonly Source[], access: SourceAccess): Promise<string | null> =>
  versionOfAll(await Promise.all(sources.map((source) => sourceVersion(source, access))));

const withLookback = ({ view }: ViewParts, { start, end }: Window): Window => ({
  start: plusMicros(start, -durationMicros(view.spec.lookback)) as Instant,
  end,
});

/** One state of each source, for these windows: from `lookback` before the first to the end of the last. */
export async function pinSources(
  session: Session,
  parts: ViewParts,
  range: Window,
  access: SourceAccess,
): Promise<PinnedSource[]> {
  const pinned: PinnedSource[] = [];
  for (const source of parts.sources) pinned.push(await pinSource(session, source, access, withLookback(parts, range)));
  return pinned;
}

/** The sources as the view's SQL may see them for these windows. */
export const namedSources = (parts: ViewParts, range: Window, pinned: readonly PinnedSource[]) =>
  pinned.map((one) => ({ name: one.source.name, relation: one.relation(withLookback(parts, range)) }));

/** The fingerprint of each window: equal to its head's means that its rows would come out the same. */
export async function fingerprintsOf(
  session: Session,
  parts: ViewParts,
  windows: readonly Window[],
  pinned: readonly PinnedSource[],
): Promise<string[]> {
  const slice = withLookback(parts, rangeOf(windows));
  const { window: size, lookback } = parts.view.spec;
  const grid = { windowMicros: durationMicros(size), lookbackMicros: durationMicros(lookback) };
  const prints: BucketFingerprints[] = [];
  for (const one of pinned) prints.push(await bucketFingerprints(session, one, slice, grid));
  return windows.map((window) => windowFingerprint(parts.view.hash, window, grid, prints));
}

/** Runs the view's SQL once for the whole range into the temporary table `computed`, with the declared types. */
export async function compute(
  session: Session,
  parts: ViewParts,
  range: Window,
  pinned: readonly PinnedSource[],
  into = 'computed',
): Promise<void> {
  const { view, columns } = parts;
  const eventTime = typed(quoteName(view.spec.eventTime), 'TIMESTAMP');
  const list = typedColumns(columns, view.spec.expectations).join(', ');
  const relation = withSources(view.spec.sql, namedSources(parts, range, pinned));
  await blaming(session, pinned, () =>
    session.run(
      `CREATE OR REPLACE TEMP TABLE ${into} AS SELECT ${list} FROM ${relation} WHERE ${eventTime} >= ${timestamp(range.start)} AND ${eventTime} < ${timestamp(range.end)}`,
    ),
  ).catch((error: unknown) => {
    throw unbound(parts, error);
  });
  await deleteErased(session, parts.tombstones, into, parts.keys);
}

/** The SQL was tried when it was applied: what it names now has gone from its sources since. */
function unbound({ view, sources }: ViewParts, error: unknown): unknown {
  if (!isDomainError(error) || error.code !== 'query_failed' || !error.message.startsWith('Binder Error'))
    // Rows that do not fit in memory go to a disk, which may be full.
    return asWriteFailure(error, view.name);
  const names = sources.map(({ name }) => `"${name}"`).join(', ');
  return new DomainError(
    'source_schema_changed',
    `View "${view.name}" finds no longer what it was declared with in ${names}: ${error.message}`,
    { view: view.name },
    { cause: error },
  );
}
