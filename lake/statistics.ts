import type { Column, Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { toMicros } from '../domain/instants.js';
import { bucketBase, bucketOffset, textMax, valuesMax, type ColumnStatistics } from '../domain/statistics.js';
import { quoteName, type Session } from './duckdb.js';

/** Columns of one statement: each costs a set of groups. */
const columnsMax = 32;

interface Slices {
  /** A table with the rows of many windows. */
  readonly relation: string;
  readonly eventTime: string;
  readonly windows: readonly Window[];
  readonly windowMicros: number;
}

type Measured = { -readonly [Name in keyof ColumnStatistics]: ColumnStatistics[Name] };

/**
 * Statistics of every window by its start, in two scans for every 32 columns: one for counts and bounds, one for the buckets
 * of all numbers; columns with NaN or infinities take one more. Only whole numbers are added up, so threads and the order of rows do not matter.
 */
export async function windowStatistics(
  session: Session,
  slices: Slices,
  columns: readonly Column[],
): Promise<Map<Instant, ColumnStatistics[]>> {
  const { windows, windowMicros } = slices;
  const found = new Map<number, Measured[]>(
    windows.map(({ start }) => [toMicros(start) / windowMicros, columns.map(nothing)]),
  );
  const put = (window: number, index: number, values: Partial<Measured>) => {
    const measured = found.get(window)?.[index];
    if (measured) Object.assign(measured, values);
  };
  for (let from = 0; from < columns.length; from += columnsMax) {
    const batch = columns.slice(from, from + columnsMax).map((column, at) => ({ column, index: from + at }));
    const reaches = await bounds(session, slices, batch, put);
    await numbers(session, slices, batch, reaches, put);
    for (const one of batch.filter(({ column }) => kindOf(column) === 'text')) await texts(session, slices, one, put);
  }
  return new Map(windows.map(({ start }) => [start, found.get(toMicros(start) / windowMicros) as Measured[]]));
}

interface Placed {
  readonly column: Column;
  readonly index: number;
}
type Put = (window: number, index: number, values: Partial<Measured>) => void;

function kindOf({ type }: Column): ColumnStatistics['kind'] {
  if (type === 'VARCHAR' || type === 'BOOLEAN') return 'text';
  return type.startsWith('TIMESTAMP') || type === 'DATE' ? 'time' : 'number';
}

const nothing = (column: Column): Measured => ({
  ...{ column: column.name, kind: kindOf(column), rows: 0, nulls: 0, min: null, max: null, nan: 0 },
  ...{ infinite: { positive: 0, negative: 0 }, buckets: {}, values: {}, other: 0 },
});

const windowOf = ({ eventTime, windowMicros }: Slices) =>
  `floor(epoch_us(${quoteName(eventTime)}) / ${windowMicros})::DOUBLE`;

/** Times in microseconds; what is neither number nor time has no bounds. Adding 0 makes a 0 of −0. */
function valueOf(column: Column): string {
  const name = quoteName(column.name);
  if (kindOf(column) === 'text') return `CASE WHEN ${name} IS NOT NULL THEN 0::DOUBLE END`;
  return kindOf(column) === 'time' ? `epoch_us(${name}::TIMESTAMP)::DOUBLE` : `(${name}::DOUBLE + 0)`;
}

/** What all values of a column have in common, NULLs aside: the more there is, the less has to be asked of each. */
type Reach = 'positive' | 'not negative' | 'finite' | 'any';

/** Looking for what is not finite costs several times as much as the bounds, which tell whether there is any: NaN is the greatest. */
async function bounds(
  session: Session,
  slices: Slices,
  batch: readonly Placed[],
  put: Put,
): Promise<ReadonlyMap<number, Reach>> {
  const rows = await grouped(session, slices, batch, (v, index) => [
    ...[`count(${v})::DOUBLE AS n${index}`, `min(${v}) AS a${index}`, `max(${v}) AS b${index}`],
    `isfinite(min(${v})) AND isfinite(max(${v})) AS f${index}`,
  ]);
  for (const row of rows)
    for (const { column, index } of batch) {
      const bound = (letter: string) => (kindOf(column) === 'text' ? null : ((row[letter + index] as number) ?? null));
      const nulls = row.rows - Number(row[`n${index}`]);
      put(row.w, index, { rows: row.rows, nulls, min: bound('a'), max: bound('b') });
    }
  const reaches = new Map(batch.map(({ index }) => [index, reachOf(rows, index)]));
  await notFinite(session, slices, batch.filter(({ index }) => reaches.get(index) === 'any'), put); // prettier-ignore
  return reaches;
}

function reachOf(rows: readonly WindowRow[], index: number): Reach {
  if (rows.some((row) => row[`f${index}`] === false)) return 'any';
  const least = Math.min(...rows.map((row) => Number(row[`a${index}`] ?? Infinity)));
  return least > 0 ? 'positive' : least === 0 ? 'not negative' : 'finite';
}

async function notFinite(session: Session, slices: Slices, batch: readonly Placed[], put: Put): Promise<void> {
  if (batch.length === 0) return;
  const rows = await grouped(session, slices, batch, (v, index) => [
    ...[`count_if(isnan(${v}))::DOUBLE AS x${index}`, `count_if(${v} = 'inf'::DOUBLE)::DOUBLE AS p${index}`],
    `count_if(${v} = '-inf'::DOUBLE)::DOUBLE AS m${index}`,
    ...['min', 'max'].map((bound) => `${bound}(${v}) FILTER (isfinite(${v})) AS ${bound}${index}`),
  ]);
  for (const row of rows)
    for (const { index } of batch) {
      const at = (name: string) => (row[name + index] as number | null) ?? null;
      const infinite = { positive: Number(at('p')), negative: Number(at('m')) };
      put(row.w, index, { nan: Number(at('x')), infinite, min: at('min'), max: at('max') });
    }
}

type WindowRow = { w: number; rows: number } & Record<string, number | boolean | null>;

/** One row a window, with aggregates of each column's `valueOf`. */
function grouped(
  session: Session,
  slices: Slices,
  batch: readonly Placed[],
  aggregates: (value: string, index: number) => readonly string[],
): Promise<WindowRow[]> {
  const columns = batch.flatMap(({ index }) => aggregates(`v${index}`, index));
  const values = batch.map(({ column, index }) => `${valueOf(column)} AS v${index}`);
  return session.rows<WindowRow>(
    `SELECT w, count(*)::DOUBLE AS rows, ${columns.join(', ')} FROM (SELECT ${windowOf(slices)} AS w, ${values.join(', ')} FROM ${slices.relation}) GROUP BY w`,
  );
}

/** Every column is a set of groups of one scan. The counts of a window come as one text: a row a bucket would cost more. */
async function numbers(
  session: Session,
  slices: Slices,
  batch: readonly Placed[],
  reaches: ReadonlyMap<number, Reach>,
  put: Put,
): Promise<void> {
  const columns = batch.filter(({ column }) => kindOf(column) === 'number');
  if (columns.length === 0) return;
  const names = columns.map(({ index }) => `b${index}`);
  const buckets = columns.map(({ column, index }) => `${bucketSql(valueOf(column), reaches.get(index) ?? 'any')} AS b${index}`); // prettier-ignore
  const rows = await session.rows<{ w: number; set: number; counts: string }>(
    `SELECT w, set, string_agg(b || ':' || n, ',') AS counts FROM (
       SELECT w, grouping_id(${names.join(', ')})::DOUBLE AS set, coalesce(${names.join(', ')}) AS b, count(*) AS n
       FROM (SELECT ${windowOf(slices)} AS w, ${buckets.join(', ')} FROM ${slices.relation}) GROUP BY GROUPING SETS (${names.map((name) => `(w, ${name})`).join(', ')})
     ) WHERE b IS NOT NULL GROUP BY w, set`,
  );
  // grouping_id has a bit for every column that is not in the set; the first column's is the highest.
  const all = 2 ** names.length - 1;
  const indexes = new Map(columns.map(({ index }, at) => [all - 2 ** (names.length - 1 - at), index]));
  for (const { w, set, counts } of rows)
    put(w, indexes.get(set) ?? -1, {
      buckets: Object.fromEntries(counts.split(',').map((one) => one.split(':') as [string, string]).map(([b, n]) => [b, Number(n)])), // prettier-ignore
    });
}

/** What `domain/statistics.ts: bucketOf` says; neither NaN nor infinity has a bucket. */
function bucketSql(value: string, reach: Reach): string {
  const bucket = (size: string) => `${bucketOffset} + ceil(ln(${size}) / ${bucketBase})::INTEGER`;
  if (reach === 'positive') return bucket(value);
  if (reach === 'not negative') return `CASE WHEN ${value} = 0 THEN 0 ELSE ${bucket(value)} END`;
  const finite = reach === 'finite' ? 'ELSE' : `WHEN isfinite(${value}) THEN`;
  return `CASE WHEN ${value} = 0 THEN 0 ${finite} sign(${value})::INTEGER * (${bucket(`abs(${value})`)}) END`;
}

async function texts(session: Session, slices: Slices, { column, index }: Placed, put: Put): Promise<void> {
  const name = quoteName(column.name);
  // PostgreSQL's JSON cannot hold the character zero.
  const value = column.type === 'BOOLEAN' ? `if(${name}, 'true', 'false')` : `replace(left(${name}, ${textMax}), chr(0), '')`; // prettier-ignore
  const rows = await session.rows<{ w: number; value: string | null; n: number }>(
    `SELECT w, CASE WHEN place <= ${valuesMax} THEN value END AS value, sum(n)::DOUBLE AS n FROM (
       SELECT w, value, n, row_number() OVER (PARTITION BY w ORDER BY sha256(value)) AS place FROM (
         SELECT ${windowOf(slices)} AS w, ${value} AS value, count(*) AS n FROM ${slices.relation} WHERE ${name} IS NOT NULL GROUP BY ALL))
     GROUP BY ALL`,
  );
  const counted = new Map<number, { named: [string, number][]; other: number }>();
  for (const { w, value: text, n } of rows) {
    const window = counted.get(w) ?? { named: [], other: 0 };
    if (text === null) window.other += n;
    else window.named.push([text, n]);
    counted.set(w, window);
  }
  for (const [w, { named, other }] of counted) put(w, index, { values: Object.fromEntries(named), other });
}
