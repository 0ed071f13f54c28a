import type { Column } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import type { OnlineShape } from '../domain/online.js';
import { quoteName, quoteText, timestamp } from './duckdb.js';

/** Rows of the online store in DuckDB: the texts of domain/online-values.ts, written and read in SQL. */

/** `[…]` of the key values; NULL when one of them is. */
export function keyText(keys: readonly Column[], alias = ''): string {
  const tokens = keys.map(({ name, type }) => keyToken(type, `${alias}${quoteName(name)}`));
  return tokens.length === 0 ? `'[]'` : `('[' || ${tokens.join(` || ',' || `)} || ']')`;
}

/** `[…]` of the features, in their order. */
export function featuresText(features: readonly Column[]): string {
  const tokens = features.map(({ name, type }) => `coalesce(${token(type, quoteName(name))}, 'null')`);
  // One concat over all: joining them one by one costs twice as much.
  return `concat('[', ${tokens.join(`, ',', `)}, ']')`;
}

function keyToken(type: string, value: string): string {
  if (type !== 'DOUBLE' && type !== 'FLOAT') return token(type, value);
  return `CASE WHEN isfinite(${value}) THEN format('{:.16e}', ${value}::DOUBLE + 0.0) ELSE ${notNumber(value)} END`;
}

function token(type: string, value: string): string {
  switch (type) {
    case 'BIGINT':
      return `CASE WHEN ${value} BETWEEN -9007199254740991 AND 9007199254740991 THEN ${value}::VARCHAR ELSE '"' || ${value}::VARCHAR || '"' END`;
    case 'FLOAT':
    case 'DOUBLE':
      return `CASE WHEN isfinite(${value}) THEN ${value}::DOUBLE::VARCHAR ELSE ${notNumber(value)} END`;
    case 'VARCHAR':
      return `to_json(${value})::VARCHAR`;
    case 'DATE':
      return `'"' || ${value}::VARCHAR || '"'`;
    case 'TIMESTAMP':
    case 'TIMESTAMP WITH TIME ZONE':
      return `'"' || strftime(${value}, '%Y-%m-%dT%H:%M:%S.%fZ') || '"'`;
    default:
      return `${value}::VARCHAR`;
  }
}

/** NULL of NULL. */
const notNumber = (value: string): string =>
  `CASE WHEN isnan(${value}) THEN '"NaN"' WHEN ${value} > 0 THEN '"Infinity"' WHEN ${value} < 0 THEN '"-Infinity"' END`;

/** The columns of a file of texts: a key, two instants in microseconds since 1970, a sequence number and features. */
export function readTexts(file: string): string {
  const columns = `{'key': 'VARCHAR', 'event_us': 'BIGINT', 'known_us': 'BIGINT', 'sequence': 'BIGINT', 'features': 'VARCHAR'}`;
  return `read_csv(${quoteText(file)}, columns = ${columns}, auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', new_line = '\\n', max_line_size = ${lineBytesMax})`;
}
const lineBytesMax = 16 * 2 ** 20;

/** The typed columns of a view over such texts. A known-at that was not given stays NULL. */
export function typedColumns({ keys, eventTime, knownAt, features }: OnlineShape): string {
  return [
    ...typed('key', keys),
    `make_timestamp(event_us) AS ${quoteName(eventTime)}`,
    ...(knownAt === null ? [] : [`make_timestamp(known_us) AS ${quoteName(knownAt)}`]),
    ...typed('features', features),
  ].join(', ');
}

/** The text is taken apart once, however many columns there are. */
const typed = (text: string, columns: readonly Column[]): string[] =>
  columns.map(
    ({ name, type }, at) => `json_transform(${text}, '["VARCHAR"]')[${at + 1}]::${type} AS ${quoteName(name)}`,
  );

/** The names of the instants of the latest rows: none that a view's own column can have. */
export const latestInstants = { event: '#event_at', known: '#known_at' } as const;

/**
 * Of each key the row that holds at the instant: the greatest (event time, known-at, content) of those that could be known by
 * then, as the point-in-time join has it; its instants have the names of `latestInstants`. The newest
 * event time of each key is found first, so that only its rows are compared.
 */
export function latestRows(relation: string, shape: OnlineShape, at: Instant): string {
  const { keys, eventTime, knownAt, features } = shape;
  const [eventAt, knownAs] = [quoteName(latestInstants.event), quoteName(latestInstants.known)];
  const names = keys.map(({ name }) => quoteName(name));
  const event = quoteName(eventTime);
  const known = knownAt === null ? event : `coalesce(${quoteName(knownAt)}, ${event})`;
  // What has no finite time was true at no time.
  const present = [...names.map((column) => `${column} IS NOT NULL`), `isfinite(${event})`, `isfinite(${known})`];
  const visible = [...present, `${event} <= ${timestamp(at)}`, `${known} <= ${timestamp(at)}`].join(' AND ');
  const columns = features.map(({ name }) => quoteName(name));
  const rows = `(SELECT ${[...names, `${event} AS ${eventAt}`, `${known} AS ${knownAs}`, ...columns].join(', ')} FROM ${relation} WHERE ${visible})`;
  const newest = `(SELECT ${[...names, `max(${eventAt}) AS ${eventAt}`].join(', ')} FROM eider_rows ${groupBy(names)})`;
  const content = columns.map((column) => `${column} := ${column}`).join(', ');
  const best = `max(struct_pack(${knownAs} := ${knownAs}, ${content})) AS "#best"`;
  const bestOf = [...names, eventAt];
  const unpacked = [knownAs, ...columns].map((column) => `"#best".${column} AS ${column}`);
  return `(WITH eider_rows AS ${rows}, eider_newest AS ${newest}
    SELECT ${[...bestOf, ...unpacked].join(', ')}
    FROM (SELECT ${[...bestOf, best].join(', ')} FROM eider_rows JOIN eider_newest USING (${bestOf.join(', ')}) ${groupBy(bestOf)}))`;
}

const groupBy = (names: readonly string[]): string => (names.length === 0 ? '' : `GROUP BY ${names.join(', ')}`);
