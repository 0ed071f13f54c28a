import type { DatasetSpec, PinnedLabels, PinnedRows, PinnedSource } from '../domain/datasets.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import type { Join } from '../domain/names.js';
import type { PinnedView } from '../domain/point-in-time.js';
import { spineLimits } from '../domain/spines.js';
import { splitColumn } from '../domain/splits.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import { rangeOfRows } from '../lake/coverage.js';
import { withService, type Selection, type ViewPin } from '../lake/joins.js';
import { pointInTimeJoin, type JoinView } from '../lake/point-in-time.js';
import { requireDistinct, requireFit } from '../lake/spine-fit.js';
import { describe, whileUnchanged, type PinnedSource as SourceInOneState, type Source } from '../lake/sources/index.js';
import { joinCatalogue } from '../store/joins.js';
import type { Dependencies } from './dependencies.js';
import { leaveOutErased } from './erased-rows.js';
import { resolveJoins } from './joins.js';
import { withLabels } from './labels.js';
import { readSpine } from './spine-rows.js';

export type SpineDependencies = Pick<Dependencies, 'db' | 'lake' | 'access' | 'scratch'>;

/** Numbers the rows of a spine in the order in which they came, from 1. No column that can be declared is called so. */
export const rowNumber = '#row';

/** The states in which something was read the first time, when it is to be read again. */
export interface Pins {
  readonly sources: readonly PinnedSource[];
  readonly tables: readonly PinnedRows[];
  readonly views: readonly PinnedView[];
  readonly labels: PinnedLabels | null;
}

/** A spine joined with the features that were asked for, as one SQL relation, and what it was made of. */
export interface JoinedSpine {
  readonly relation: string;
  /** The same with the column `rowNumber`. */
  readonly numbered: string;
  /** The spine's own columns, then one a feature. */
  readonly columns: readonly Column[];
  /** The spine's own. */
  readonly spine: readonly Column[];
  /** The features that were asked for, those of a service first, and their joins. */
  readonly features: readonly string[];
  readonly joins: readonly Join[];
  readonly views: readonly PinnedView[];
  readonly sources: readonly {
    readonly source: Source;
    readonly version: string;
    readonly pinned: SourceInOneState;
  }[];
  readonly tables: readonly PinnedRows[];
  readonly labels: PinnedLabels | null;
  /** From the first row's instant to just after the last one's; null when no row has one. */
  readonly range: Window | null;
}

const spineTable = 'spine_rows';

/**
 * The rows of a spine with their labels and features. The spine is read once, into a table of the session, which keeps the
 * order of its rows.
 */
export async function joinSpine(
  dependencies: SpineDependencies,
  session: Session,
  project: ProjectName,
  spec: DatasetSpec,
  pins?: Pins,
): Promise<JoinedSpine> {
  const read = await readSpine(dependencies, session, project, spec, pins);
  await numberRows(session, read.relation, spec);
  const selection = await withService(joinCatalogue(dependencies.db), project, spec);
  await leaveOutErased(dependencies.db, session, project, spineTable, selection.joins);
  const labelled = await withLabels(dependencies, session, project, spec, spineTable, pins?.labels);
  return joinFeatures(dependencies, session, project, { ...spec, ...selection }, { ...read, ...labelled }, pins);
}

/** What rows are joined with; the features and joins of a service are among these. */
type Joining = Pick<DatasetSpec, 'eventTime' | 'mode' | 'naming' | 'asOf' | 'systemTime' | 'split'> & Selection;

/** Rows that are there already, in a relation with the column `rowNumber`, with their features. */
export async function joinFeatures(
  dependencies: SpineDependencies,
  session: Session,
  project: ProjectName,
  { features: asked, joins, eventTime, mode, naming, asOf, systemTime, split }: Joining,
  { relation: rows, ...read }: Pick<JoinedSpine, 'relation' | 'sources' | 'tables' | 'labels'>,
  pins?: Pick<Pins, 'views'>,
): Promise<JoinedSpine> {
  const range = await rangeOfRows(session, rows, eventTime);
  const selection = { features: asked, joins, naming };
  const joined = await resolveJoins(dependencies, session, project, selection, {
    ...{ mode, range, systemTime },
    ...(pins ? { pins: pinsOf(pins.views) } : {}),
  });
  const late = asOf !== undefined && ((range !== null && range.end > asOf) || mode !== 'known_at');
  const views = late ? joined.views.map((view) => knownBy(view, asOf)) : joined.views;
  const spine = (await describe(session, rows)).filter(({ name }) => name !== rowNumber);
  const features = joined.columns.map(({ column }) => column);
  requireDistinct([...spine.map(({ name }) => name), ...features, ...(split ? [splitColumn] : [])]);
  requireFit(spine, eventTime, views);
  const numbered = pointInTimeJoin(rows, eventTime, views);
  const columns = (await describe(session, numbered)).filter(({ name }) => name !== rowNumber);
  return {
    ...{ ...read, numbered, columns, spine, range, views: joined.pinned },
    relation: `(SELECT * EXCLUDE (${quoteName(rowNumber)}) FROM ${numbered})`,
    ...{ features: joined.columns.map(({ feature }) => feature), joins },
  };
}

const pinsOf = (views: readonly PinnedView[]): Record<string, ViewPin> =>
  Object.fromEntries(views.map(({ view, ...pin }) => [view, pin]));

/** Without the rows that became known after the as-of instant, whatever the spine's rows may see. */
function knownBy(view: JoinView, asOf: Instant): JoinView {
  const eventTime = quoteName(view.eventTime);
  const knownAt = view.knownAt === null ? eventTime : `coalesce(${quoteName(view.knownAt)}, ${eventTime})`;
  const visible = `greatest(${eventTime}, ${knownAt}) <= ${timestamp(asOf)}`;
  return { ...view, relation: `(SELECT * FROM ${view.relation} WHERE ${visible})` };
}

async function numberRows(session: Session, rows: string, { eventTime, window }: DatasetSpec): Promise<void> {
  const at = quoteName(eventTime);
  const within = window ? ` WHERE ${at} >= ${timestamp(window.start)} AND ${at} < ${timestamp(window.end)}` : '';
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${spineTable} AS SELECT *, row_number() OVER () AS ${quoteName(rowNumber)} FROM ${rows}${within} LIMIT ${spineLimits.rows + 1}`,
  );
  const [count] = await session.rows<{ rows: number }>(`SELECT count(*)::DOUBLE AS rows FROM ${spineTable}`);
  if ((count?.rows ?? 0) > spineLimits.rows)
    throw new DomainError('request_too_large', `The spine has more than ${spineLimits.rows} rows.`, {
      limit: spineLimits.rows,
    });
}

/**
 * Stages a file of what was joined. A source that changed meanwhile may have been read in two states: the file is removed
 * again, and the error is `source_changed`.
 */
export async function stageJoined<Staged extends { readonly file: { readonly key: string } }>(
  { lake }: Pick<SpineDependencies, 'lake'>,
  { sources }: Pick<JoinedSpine, 'sources'>,
  stage: () => Promise<Staged>,
): Promise<Staged> {
  let staged: Staged | null = null;
  try {
    return await whileUnchanged(
      sources.map(({ pinned }) => pinned),
      async () => (staged = await stage()),
    );
  } catch (error) {
    if (staged) await lake.remove((staged as Staged).file.key);
    throw error;
  }
}

const attemptsMax = 5;

/** Does all of it again while a source changes under it; after five times the error is the last one's `source_changed`. */
export async function untilStill<Result>(work: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!isDomainError(error) || error.code !== 'source_changed' || attempt === attemptsMax) throw error;
    }
  }
}
