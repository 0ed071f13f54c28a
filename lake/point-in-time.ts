import type { Column } from '../domain/features.js';
import type { FeatureNaming, JoinMode } from '../domain/point-in-time.js';
import { DomainError } from '../domain/errors.js';
import { inputColumn } from '../domain/resources.js';
import { quoteName, quoteText } from './duckdb.js';

/** A feature view as a join reads it: one snapshot's rows, and what their columns mean. */
export interface JoinView {
  /** What errors call it. */
  readonly name: string;
  /** An SQL relation that holds the rows; `filesRelation` makes one of files. */
  readonly relation: string;
  /** The view's keys and the columns of the spine that they are compared with; none: every row of the spine has them all. */
  readonly keys: readonly { readonly column: string; readonly type: string; readonly spine: string }[];
  readonly eventTime: string;
  /** The column that says when a value could be known; null: with its event time. */
  readonly knownAt: string | null;
  /** Null: a value never grows too old. */
  readonly ttlMicros: number | null;
  /** The features that are wanted, and what the result calls them. */
  readonly features: readonly { readonly column: string; readonly as: string }[];
  /** All features of the view, in its order: they decide between rows of the same instants, whichever are asked for. */
  readonly content: readonly string[];
  readonly mode: JoinMode;
  /** True when no two rows have the same keys and event time, which saves the sort that would choose between them. */
  readonly distinct: boolean;
}

/**
 * The point-in-time join as SQL. For each spine row and view: of the rows with equal keys (NULL equals nothing) that were
 * visible at the spine's instant, the one with the greatest (event time, known-at, content); NULL when it is older than the
 * TTL, whose bound is inclusive. Every spine row comes out once, with its columns untouched.
 *
 * A row is visible from greatest(event time, known-at) on. Along that instant the best row so far is a step function, so a
 * bitemporal join is an ordinary ASOF join on it: exact, without the range join that others need.
 */
export function pointInTimeJoin(spine: string, eventTime: string, views: readonly JoinView[]): string {
  const at = `spine.${quoteName(eventTime)}`;
  const features = views.flatMap((view, index) =>
    view.features.map((feature, number) => {
      const value = `CASE WHEN ${isValid(view, `v${index}`, at)} THEN v${index}.f${number} END`;
      return `, ${value} AS ${quoteName(feature.as)}`;
    }),
  );
  const joins = views.map((view, index) => {
    const keys = view.keys.map(
      ({ column, spine: asked }) => `spine.${quoteName(asked)} = v${index}.${quoteName(column)}`,
    );
    return `ASOF LEFT JOIN ${visibleRows(view)} AS v${index} ON ${[...keys, `${at} >= v${index}.visible_at`].join(' AND ')}`;
  });
  return `(SELECT spine.*${features.join('')} FROM ${spine} AS spine ${joins.join(' ')})`;
}

/**
 * Whether the row that was found counts. Several ASOF joins in a row let a NULL of the spine match now and then (DuckDB 1.5),
 * so that a key or instant that is NULL gets nothing is said here again.
 */
function isValid(view: JoinView, alias: string, at: string): string {
  const conditions = [at, ...view.keys.map((key) => `spine.${quoteName(key.spine)}`)].map(
    (asked) => `${asked} IS NOT NULL`,
  );
  // Whole microseconds: comparing INTERVALs costs several times as much.
  if (view.ttlMicros !== null) conditions.push(`epoch_us(${at}) - epoch_us(${alias}.event_time) <= ${view.ttlMicros}`);
  return conditions.join(' AND ');
}

/** The view as steps: keys, the instant from which a row is the best one, its event time, and its features as f0, f1, … */
function visibleRows(view: JoinView): string {
  const columns = view.keys.map(({ column }) => quoteName(column));
  const keys = columns.join(', ');
  const eventTime = quoteName(view.eventTime);
  const present = [...columns, eventTime].map((column) => `${column} IS NOT NULL`).join(' AND ');
  const source = `${view.relation} WHERE ${present}`;
  const numbered = (prefix = '') =>
    view.features.map(({ column }, at) => `${prefix}${quoteName(column)} AS f${at}`).join(', ');
  if (view.knownAt === null && view.distinct)
    return `(SELECT ${keys}, ${eventTime} AS visible_at, ${eventTime} AS event_time, ${numbered()} FROM ${source})`;
  const knownAt = view.knownAt === null ? eventTime : `coalesce(${quoteName(view.knownAt)}, ${eventTime})`;
  // Structs compare field by field, so the features themselves break a tie: the same rows give the same winner in any order.
  const features = view.features.map(({ column }) => `${quoteName(column)} := ${quoteName(column)}`);
  const row = `struct_pack(event_time := ${eventTime}, known_at := ${knownAt}, ${features.join(', ')})`;
  const rows = `(SELECT ${keys}, greatest(${eventTime}, ${knownAt}) AS visible_at, ${row} AS row FROM ${source})`;
  const best = `max(row) OVER (PARTITION BY ${keys} ORDER BY visible_at RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)`;
  const steps =
    view.knownAt === null
      ? `(SELECT ${keys}, visible_at, max(row) AS row FROM ${rows} GROUP BY ALL)`
      : `(SELECT DISTINCT ON (${keys}, visible_at) ${keys}, visible_at, ${best} AS row FROM ${rows})`;
  return `(SELECT ${keys}, visible_at, row.event_time AS event_time, ${numbered('row.')} FROM ${steps})`;
}

/** The files of a snapshot as a relation; a snapshot without files still has its columns. */
export function filesRelation(files: readonly string[], columns: readonly Column[]): string {
  if (files.length > 0) return `read_parquet([${files.map(quoteText).join(', ')}])`;
  return `(SELECT ${columns.map(({ name, type }) => `NULL::${type} AS ${quoteName(name)}`).join(', ')} WHERE false)`;
}

/** What the result calls each feature; throws when two would be called the same. */
export function nameFeatures(
  features: readonly string[],
  naming: FeatureNaming,
): { readonly feature: string; readonly column: string }[] {
  const named = features.map((feature) => ({
    feature,
    column: naming === 'full' ? inputColumn(feature) : feature.slice(feature.indexOf(':') + 1),
  }));
  const first = new Map<string, string>();
  for (const { feature, column } of named) {
    // DuckDB does not tell upper from lower case in names.
    const other = first.get(column.toLowerCase());
    if (other === undefined) first.set(column.toLowerCase(), feature);
    else
      throw new DomainError('feature_names_collide', `${other} and ${feature} would both be called ${column}.`, {
        column,
        features: [other, feature],
      });
  }
  return named;
}
