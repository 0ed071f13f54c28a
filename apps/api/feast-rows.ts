import type { Instant } from '../../domain/ids.js';
import { later, instant } from '../../domain/instants.js';
import type { PushedRow } from '../../domain/online.js';
import type { Revision } from '../../domain/resources.js';
import { mistake } from './feast-errors.js';
import type { Declared } from './feast-registry.js';
import { fromFeast } from './feast-values.js';

/** What Feast's client calls the two times, whatever the columns of the view are called. */
const feastTimes = { eventTime: 'event_timestamp', knownAt: 'created' } as const;

export type DataFrame = Readonly<Record<string, readonly unknown[]>>;

/**
 * The rows of a data frame for a view: keys, times and features, others are ignored as Feast ignores them. A row without
 * `created` could be known from now on, if its view says of rows when they could be known.
 */
export function rowsOf(
  declared: Declared,
  { name, spec }: Revision<'FeatureView'>,
  df: DataFrame,
  now: Instant,
): PushedRow[] {
  const lengths = new Set(Object.values(df).map((values) => values.length));
  if (lengths.size > 1) throw mistake('All arrays must be of the same length');
  const count = [...lengths][0] ?? 0;
  if (count === 0) return [];
  const keys = spec.entity === undefined ? [] : (declared.entities.get(spec.entity)?.spec.keys ?? []);
  const eventTime = columnOf(df, spec.eventTime, feastTimes.eventTime);
  if (!eventTime) throw missing(name, [feastTimes.eventTime]);
  const knownAt = spec.knownAt === undefined ? null : (columnOf(df, spec.knownAt, feastTimes.knownAt) ?? []);
  const columns = [...keys, ...spec.features].map(({ name, type }) => ({ name, type, values: columnOf(df, name) }));
  const absent = columns.filter(({ values }) => !values).map((column) => column.name);
  if (absent.length > 0) throw missing(name, absent);
  return Array.from({ length: count }, (_, row) => {
    const at = fromFeast('TIMESTAMP', eventTime[row]);
    const known = knownAt && (fromFeast('TIMESTAMP', knownAt[row]) ?? knownNow(at, now));
    return {
      ...Object.fromEntries(columns.map(({ name, type, values }) => [name, fromFeast(type, values?.[row])])),
      [spec.eventTime]: at,
      ...(spec.knownAt === undefined ? {} : { [spec.knownAt]: known }),
    };
  });
}

const columnOf = (df: DataFrame, ...names: string[]): readonly unknown[] | undefined =>
  names.filter((name) => Object.hasOwn(df, name)).map((name) => df[name])[0];

/** Nothing is known before it is true. */
function knownNow(eventTime: unknown, now: Instant): Instant {
  return typeof eventTime === 'string' ? later(instant(eventTime), now) : now;
}

const missing = (view: string, columns: readonly string[]) =>
  mistake(`The data frame for ${view} lacks the columns ${columns.join(', ')}`);
