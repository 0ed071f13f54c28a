import { windowsIn, type Column, type Window } from '../domain/features.js';
import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros, plusMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import type { Revision } from '../domain/resources.js';
import type { SourceAccess } from '../lake/access.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import {
  bucketFingerprints,
  sourceFiles,
  sourceRelation,
  sourceVersion,
  unreadable,
  windowFingerprint,
  type BucketFingerprints,
  type Source,
} from '../lake/sources.js';
import { withSources, type NamedRelation } from '../lake/sql.js';
import type { Queries } from '../store/db.js';
import { getPinned, getResource } from '../store/resources.js';
import type { TableRef } from '../store/snapshots.js';

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
  };
}

export function viewColumns(view: Revision<'FeatureView'>['spec'], keys: readonly Column[]): Column[] {
  const times = [view.eventTime, ...(view.knownAt ? [view.knownAt] : [])].map((name) => ({ name, type: 'TIMESTAMP' }));
  return [...keys, ...times, ...view.features.map(({ name, type }) => ({ name, type }))];
}

const windowCountMax = 10_000;

/** The view's windows that the range touches. */
export function windowsOf({ view }: ViewParts, range: Window): Window[] {
  const windows = windowsIn(range, durationMicros(view.spec.window));
  if (windows.length <= windowCountMax) return windows;
  const message = `The range has ${windows.length} windows of ${view.spec.window}; at most ${windowCountMax} are taken at once.`;
  throw new DomainError('request_invalid', message, { windows: windows.length });
}

export const rangeOf = (windows: readonly Window[]): Window => ({
  start: windows.map(({ start }) => start).reduce((a, b) => (a < b ? a : b)),
  end: windows.map(({ end }) => end).reduce((a, b) => (a > b ? a : b)),
});

/** One version for all sources of a view: equal means that no file of any of them changed. */
export async function versionOf(sources: readonly Source[], access: SourceAccess): Promise<string> {
  return digestOf(await Promise.all(sources.map((source) => sourceVersion(source, access))));
}

const withLookback = ({ view }: ViewParts, { start, end }: Window): Window => ({
  start: plusMicros(start, -durationMicros(view.spec.lookback)) as Instant,
  end,
});

/** The sources as the view's SQL may see them for these windows: from `lookback` before the first to the end of the last. */
export async function sourcesFor(parts: ViewParts, range: Window, access: SourceAccess): Promise<NamedRelation[]> {
  const slice = withLookback(parts, range);
  return Promise.all(
    parts.sources.map(async (source) => ({
      name: source.name,
      relation: sourceRelation(source, await sourceFiles(source, access), slice),
    })),
  );
}

/** The fingerprint of each window: equal to its head's means that its rows would come out the same. */
export async function fingerprintsOf(
  session: Session,
  parts: ViewParts,
  windows: readonly Window[],
  access: SourceAccess,
): Promise<string[]> {
  const slice = withLookback(parts, rangeOf(windows));
  const { window: size, lookback } = parts.view.spec;
  const grid = { windowMicros: durationMicros(size), lookbackMicros: durationMicros(lookback) };
  const prints: BucketFingerprints[] = [];
  for (const source of parts.sources)
    prints.push(await bucketFingerprints(session, source, await sourceFiles(source, access), slice, grid));
  return windows.map((window) => windowFingerprint(parts.view.hash, window, grid, prints));
}

/** Runs the view's SQL once for the whole range into the temporary table `computed`, with the declared types. */
export async function compute(
  session: Session,
  parts: ViewParts,
  range: Window,
  access: SourceAccess,
  into = 'computed',
): Promise<void> {
  const { view, columns } = parts;
  const eventTime = quoteName(view.spec.eventTime);
  const list = columns.map(({ name, type }) => `${quoteName(name)}::${type} AS ${quoteName(name)}`).join(', ');
  const relation = withSources(view.spec.sql, await sourcesFor(parts, range, access));
  try {
    await session.run(
      `CREATE OR REPLACE TEMP TABLE ${into} AS SELECT ${list} FROM ${relation} WHERE ${eventTime} >= ${timestamp(range.start)} AND ${eventTime} < ${timestamp(range.end)}`,
    );
  } catch (error) {
    throw await blamed(session, parts, range, access, error);
  }
}

/** A source that cannot be read to its end is at fault, otherwise the SQL is. */
async function blamed(
  session: Session,
  parts: ViewParts,
  range: Window,
  access: SourceAccess,
  error: unknown,
): Promise<unknown> {
  for (const source of parts.sources) {
    const relation = sourceRelation(source, await sourceFiles(source, access), withLookback(parts, range));
    const broken = await session
      .run(`SELECT sum(hash(rows)) FROM ${relation} AS rows`)
      .catch((cause: unknown) => cause);
    if (broken) return unreadable(source, broken);
  }
  return error;
}
