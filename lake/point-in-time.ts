import type { Column, Window } from '../domain/features.js';
import { fromMicros, toMicros } from '../domain/instants.js';
import type { FeatureNaming, JoinMode } from '../domain/point-in-time.js';
import { DomainError } from '../domain/errors.js';
import { inputColumn } from '../domain/resources.js';
import { quoteName, quoteText, timestamp } from './duckdb.js';

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
  /** True when no two rows have the same keys, event time and known-at, which saves the choice between them. */
  readonly distinct: boolean;
  /** Between which instants all rows of the spine lie, where that is known: what none of them can see is not read. */
  readonly range?: Window | null;
}

/**
 * The point-in-time join as SQL. For each spine row and view: of the rows with equal keys (NULL equals nothing) that were
 * visible at the spine's instant, the one with the greatest (event time, known-at, content); NULL when it is older than the
 * TTL, whose bound is inclusive. Every spine row comes out once, with its columns untouched, in no order: whoever wants one
 * numbers the spine's rows before and sorts by the number.
 *
 * A row is visible from greatest(event time, known-at) on. Along that instant the best row so far is a step function, so a
 * bitemporal join is an ordinary ASOF join on it: exact, without the range join that others need.
 */
export function pointInTimeJoin(spine: string, eventTime: string, views: readonly JoinView[]): string {
  const at = `spine.${quoteName(eventTime)}`;
  const features = views.flatMap((view, index) =>
    view.features.map(({ column, as }) => {
      const value = `v${index}.${names.feature(view, column)}`;
      return `, CASE WHEN ${isValid(view, `v${index}`, at)} THEN ${value} END AS ${quoteName(as)}`;
    }),
  );
  const joins = views.map((view, index) => {
    const keys = view.keys.map((key, number) => `${spineKey(key)} = v${index}.${names.key(number)}`);
    return `ASOF LEFT JOIN ${steps(view)} AS v${index} ON ${[...keys, `${at} >= v${index}.visible_at`].join(' AND ')}`;
  });
  return `(SELECT spine.*${features.join('')} FROM ${spine} AS spine ${joins.join(' ')})`;
}

/** What columns are called inside of a join, so that no name of a view means something else there. */
const names = {
  key: (number: number) => `k${number}`,
  feature: (view: JoinView, column: string) => `f${contentOf(view).indexOf(column)}`,
};

const contentOf = ({ content, features }: JoinView): string[] => [
  ...new Set([...content, ...features.map(({ column }) => column)]),
];

/**
 * The spine's value in the type of the key, NULL when it is no such value. Compared as DuckDB would, in the floating-point type
 * of the spine, whole numbers beyond its digits were equal to their neighbours. Where the types are one, only the column is left.
 */
function spineKey({ spine, type }: JoinView['keys'][number]): string {
  const column = `spine.${quoteName(spine)}`;
  if (!/^(TINY|SMALL|BIG)?INT(EGER)?$/.test(type)) return column;
  const value = `TRY_CAST(${column} AS ${type})`;
  return `CASE WHEN typeof(${column}) = ${quoteText(type)} OR ${value} = ${column} THEN ${value} END`;
}

/**
 * Whether the row that was found counts. Several ASOF joins in a row let a NULL of the spine match now and then (DuckDB 1.5),
 * so that a key or instant that is NULL gets nothing is said here again.
 */
function isValid(view: JoinView, alias: string, at: string): string {
  const conditions = [finite(at), ...view.keys.map((key) => `${spineKey(key)} IS NOT NULL`)];
  const ttlMicros = ttlIn(view.mode, view.ttlMicros);
  // Whole microseconds: comparing INTERVALs costs several times as much.
  if (ttlMicros !== null) conditions.push(`epoch_us(${at}) - epoch_us(${alias}.event_time) <= ${ttlMicros}`);
  return conditions.join(' AND ');
}

/** Neither NULL nor infinite: what has no instant was true at none. */
const finite = (instant: string): string => `isfinite(${instant}::TIMESTAMP)`;

/** Feast's SQL engines cut a TTL to whole seconds, and take what is left of less than one for none at all. */
export function ttlIn(mode: JoinMode, ttlMicros: number | null): number | null {
  if (mode !== 'feast' || ttlMicros === null) return ttlMicros;
  const seconds = Math.floor(ttlMicros / 1e6);
  return seconds === 0 ? null : seconds * 1e6;
}

/**
 * The view as steps: keys, the instant from which a row is the best one, its event time and its features. Sorted by (visible
 * at, event time, known-at, content), a row is the best so far unless an earlier one has a later event time; so a running
 * maximum of the event time tells, and of those that begin at the same instant the last one stays.
 */
function steps(view: JoinView): string {
  const { keys, distinct, knownAt } = view;
  const rows = presentRows(view);
  if (distinct && knownAt === null) return rows;
  const partition = keys.length === 0 ? '' : `PARTITION BY ${keys.map((_, number) => names.key(number)).join(', ')} `;
  const content = distinct ? [] : contentOf(view).map((column) => names.feature(view, column));
  const order = ['visible_at', 'event_time', 'known_at', ...content].join(', ');
  const isLast = 'lead(visible_at) OVER steps IS DISTINCT FROM visible_at';
  const isBest = 'event_time >= max(event_time) OVER (steps ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)';
  return `(SELECT * FROM ${rows} WINDOW steps AS (${partition}ORDER BY ${order}) QUALIFY ${looksAtKnownAt(view) ? `${isBest} AND ${isLast}` : isLast})`;
}

/** The rows of the view that may match, with the names that they have inside of a join. */
function presentRows(view: JoinView): string {
  // With its table's name a column is never taken for one of those that are named here.
  const of = (column: string) => `held.${quoteName(column)}`;
  const event = of(view.eventTime);
  const known = view.knownAt === null ? event : `coalesce(${of(view.knownAt)}, ${event})`;
  const columns = [
    ...view.keys.map(({ column }, number) => `${of(column)} AS ${names.key(number)}`),
    ...[`${looksAtKnownAt(view) ? `greatest(${event}, ${known})` : event} AS visible_at`],
    ...[`${event} AS event_time`, `${known} AS known_at`],
    ...contentOf(view).map((column) => `${of(column)} AS ${names.feature(view, column)}`),
  ];
  const conditions = [
    ...view.keys.map(({ column }) => `${of(column)} IS NOT NULL`),
    ...(view.knownAt === null ? [event] : [event, known]).map(finite),
    ...reach(view, event),
  ];
  return `(SELECT ${columns.join(', ')} FROM ${view.relation} AS held WHERE ${conditions.join(' AND ')})`;
}

const looksAtKnownAt = ({ mode, knownAt }: JoinView): boolean => mode === 'known_at' && knownAt !== null;

const yearOneMicros = -62_135_596_800e6;

/**
 * A row after the last of the spine is seen by none of it; one that is older than the TTL even for the first is too old
 * whenever it is the best. Parquet's statistics then say which parts of the files need not be read.
 */
function reach({ range, mode, ttlMicros }: JoinView, event: string): string[] {
  if (!range) return [];
  const ttl = ttlIn(mode, ttlMicros);
  const first = ttl === null ? -Infinity : toMicros(range.start) - ttl;
  return [
    `${event} < ${timestamp(range.end)}`,
    ...(first < yearOneMicros ? [] : [`${event} >= ${timestamp(fromMicros(first))}`]),
  ];
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
