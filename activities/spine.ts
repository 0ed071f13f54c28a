import { DomainError, isDomainError } from '../domain/errors.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros, plusMicros } from '../domain/instants.js';
import { inputColumn, type Revision } from '../domain/resources.js';
import type { PinnedView } from '../domain/point-in-time.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import { describe, sourceFiles, sourceRelation, sourceVersion, type Source } from '../lake/sources.js';
import { withSources } from '../lake/sql.js';
import { pointInTimeJoin } from '../lake/point-in-time.js';
import { getResource } from '../store/resources.js';
import { rangeOfRows } from './coverage.js';
import type { Dependencies } from './dependencies.js';
import { resolveJoins } from './joins.js';
import { withUploads } from './labels.js';

export type SpineDependencies = Pick<Dependencies, 'db' | 'lake' | 'access'>;

/** A model's spine joined with the views that its inputs name, as one SQL relation, and what it was made of. */
export interface JoinedSpine {
  readonly relation: string;
  /** The spine's own columns, then one a feature. */
  readonly columns: readonly Column[];
  readonly views: readonly PinnedView[];
  readonly source: Source;
  readonly sourceVersion: string;
}

/**
 * The rows of a window. With an as-of instant only those whose label was known by then, as it was known then; without one
 * all, and their label is nobody's business. Rows of the source before the window make none in it: the spine is row by row.
 */
export async function joinSpine(
  dependencies: SpineDependencies,
  session: Session,
  project: ProjectName,
  model: Revision<'Model'>,
  window: Window,
  labelsAsOf: Instant | null,
): Promise<JoinedSpine> {
  const { db, access } = dependencies;
  const { spine, inputs, joins } = model.spec;
  const source = await getResource(db, project, 'Source', spine.source);
  const version = await sourceVersion(source, access);
  const rows = withSources(spine.sql, [
    { name: source.name, relation: sourceRelation(source, await sourceFiles(source, access), window) },
  ]);
  const eventTime = quoteName(spine.eventTime);
  const within = `(SELECT * FROM ${rows} WHERE ${eventTime} >= ${timestamp(window.start)} AND ${eventTime} < ${timestamp(window.end)})`;
  const labelled =
    labelsAsOf === null ? within : await knownBy(dependencies, session, project, model, within, labelsAsOf);
  const range = inputs.some((input) => input.includes(':'))
    ? await rangeOfRows(session, labelled, spine.eventTime)
    : null;
  const joined = await resolveJoins(dependencies, session, project, { features: inputs, joins }, { range });
  const relation = pointInTimeJoin(labelled, spine.eventTime, joined.views);
  return {
    relation,
    columns: await describe(session, relation),
    views: joined.pinned,
    source,
    sourceVersion: version,
  };
}

/**
 * Stages a file of what was joined. A source that changed meanwhile may have been read in two states: the file is removed
 * again, and the error is `source_changed`.
 */
export async function stageJoined<Staged extends { readonly file: { readonly key: string } }>(
  { lake, access }: Pick<SpineDependencies, 'lake' | 'access'>,
  { source, sourceVersion: joinedVersion }: JoinedSpine,
  stage: () => Promise<Staged>,
): Promise<Staged> {
  const changed = async () => (await sourceVersion(source, access)) !== joinedVersion;
  const failure = (cause?: unknown) =>
    new DomainError(
      'source_changed',
      `Source "${source.name}" changed while it was read.`,
      { source: source.name },
      { cause },
    );
  const staged = await stage().catch(async (error: unknown) => {
    // Half of a file that is being replaced cannot be read either.
    throw isDomainError(error) && error.code === 'query_failed' && (await changed()) ? failure(error) : error;
  });
  if (!(await changed())) return staged;
  await lake.remove(staged.file.key);
  throw failure();
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

/** Labelled rows that could be known by the as-of instant: nothing later may enter a training set. */
async function knownBy(
  dependencies: SpineDependencies,
  session: Session,
  project: ProjectName,
  model: Revision<'Model'>,
  rows: string,
  asOf: Instant,
): Promise<string> {
  const { spine } = model.spec;
  const labelled = await withUploads(dependencies, session, project, model, rows, asOf);
  return `(SELECT * FROM ${labelled} WHERE ${quoteName(spine.knownAt)} <= ${timestamp(asOf)} AND ${quoteName(spine.label)} IS NOT NULL)`;
}

/** The event time that a model looks back over, and where its held-out part begins. */
export function trainingWindow(
  { history, holdout }: Revision<'Model'>['spec'],
  asOf: Instant,
): { window: Window; holdoutStart: Instant } {
  return {
    window: { start: plusMicros(asOf, -durationMicros(history)), end: asOf },
    holdoutStart: plusMicros(asOf, -durationMicros(holdout)),
  };
}

export const inputColumns = (inputs: readonly string[]): string[] => inputs.map(inputColumn);
