import type { Instant } from '../domain/ids.js';
import type { OnlineShape } from '../domain/online.js';
import type { DifferenceKind } from '../domain/publishing.js';
import { quoteName, quoteText, timestamp, type Session } from './duckdb.js';
import { featuresText, keyText, latestInstants, readTexts } from './online.js';
import { pointInTimeJoin, type JoinView } from './point-in-time.js';

/** What should be online, computed by the join that training sets are made with, and held against what is. */

/** Keys whose hash lies below this are compared; null: all. */
export interface Sample {
  readonly seed: number;
  readonly below: string | null;
}

const expected = 'eider_expected';
const { event: eventAt, known: knownAs } = latestInstants;
const [event, known] = [quoteName(eventAt), quoteName(knownAs)];
const askedAt = '#asked_at';

export interface Expectation {
  readonly relation: string;
  readonly shape: OnlineShape;
  /** Null: nothing of the lake is online. */
  readonly watermark: Instant | null;
  /** The texts of rows that were pushed after the generation had been planned. */
  readonly pushed: string;
  readonly sample: Sample;
}

/** Makes the temporary table of the rows that should be online, as texts, in the forms in which they were written. */
export async function expectRows(
  session: Session,
  { relation, shape, watermark, pushed, sample }: Expectation,
): Promise<void> {
  const since = `SELECT key, event_us, coalesce(known_us, event_us) AS known_us, sequence, features FROM ${readTexts(pushed)}`;
  const base =
    watermark === null
      ? ''
      : `SELECT ${keyText(shape.keys)} AS key, epoch_us(${event}) AS event_us, epoch_us(${known}) AS known_us, 0 AS sequence, ${featuresText(shape.features)} AS features
         FROM ${answers(relation, shape, watermark, sample)} WHERE ${event} IS NOT NULL UNION ALL `;
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${expected} AS SELECT DISTINCT ON (key) * FROM (${base}${since}) WHERE ${sampled('key', sample)}
     ORDER BY key, event_us DESC, known_us DESC, sequence DESC`,
  );
}

/** The point-in-time answer of every key at the watermark, with the instants of the row that it came from. */
function answers(relation: string, shape: OnlineShape, watermark: Instant, sample: Sample): string {
  const { keys, eventTime, knownAt, features } = shape;
  const names = keys.map(({ name }) => quoteName(name));
  const knownOrEvent =
    knownAt === null ? quoteName(eventTime) : `coalesce(${quoteName(knownAt)}, ${quoteName(eventTime)})`;
  const rows = `(SELECT *, ${quoteName(eventTime)} AS ${event}, ${knownOrEvent} AS ${known} FROM ${relation})`;
  const asked = `${timestamp(watermark)} AS ${quoteName(askedAt)}`;
  const spine =
    names.length === 0
      ? `(SELECT ${asked})`
      : `(SELECT DISTINCT ${names.join(', ')}, ${asked} FROM ${relation} WHERE ${sampled(keyText(keys), sample)})`;
  const view: JoinView = {
    ...{ name: 'online', relation: rows, eventTime, knownAt, ttlMicros: null, mode: 'known_at', distinct: false },
    keys: keys.map(({ name, type }) => ({ column: name, type, spine: name })),
    features: [...features.map(({ name }) => name), eventAt, knownAs].map((column) => ({ column, as: column })),
    content: features.map(({ name }) => name),
  };
  return pointInTimeJoin(spine, askedAt, [view]);
}

/** PostgreSQL says the same of its texts: store/online-reports.ts. */
const sampled = (key: string, { seed, below }: Sample): string =>
  below === null ? `${key} IS NOT NULL` : `md5('${seed}:' || ${key}) < ${quoteText(below)}`;

export interface Bucket {
  readonly bucket: string;
  readonly rows: number;
  /** A sum over the rows' hashes, which does not mind their order. */
  readonly hash: string;
}

export const expectedBuckets = (session: Session): Promise<Bucket[]> =>
  session.rows<Bucket>(
    `SELECT substr(md5(key), 1, 2) AS bucket, count(*)::DOUBLE AS rows,
       sum(('0x' || substr(md5(concat_ws('|', key, event_us, known_us, features)), 1, 15))::BIGINT)::VARCHAR AS hash
     FROM ${expected} GROUP BY bucket ORDER BY bucket`,
  );

export interface DifferingRow {
  readonly key: string;
  readonly why: DifferenceKind;
  readonly features: readonly string[];
  readonly online: TextRow | null;
  readonly offline: TextRow | null;
}
export interface TextRow {
  readonly eventMicros: number;
  readonly knownMicros: number;
  readonly sequence: number;
  readonly features: string;
}

/** The exact keys of these buckets that differ, and why: `online` is a file of texts. Texts of equal values are no difference. */
export async function differingRows(
  session: Session,
  shape: OnlineShape,
  buckets: readonly string[],
  online: string,
  rowsMax: number,
): Promise<{ rows: DifferingRow[]; counts: Map<DifferenceKind, number> }> {
  const inBuckets = `substr(md5(key), 1, 2) IN (${buckets.map(quoteText).join(', ')})`;
  await session.run(
    `CREATE OR REPLACE TEMP TABLE eider_differences AS SELECT * FROM (
       SELECT coalesce(a.key, b.key) AS key, ${different(shape)} AS features, ${columnsOf('a')}, ${columnsOf('b')},
         CASE WHEN a.key IS NULL THEN 'missing_online' WHEN b.key IS NULL THEN 'missing_offline'
           WHEN (a.event_us, a.known_us) < (b.event_us, b.known_us) THEN 'stale' WHEN (a.event_us, a.known_us) > (b.event_us, b.known_us) THEN 'ahead'
           WHEN len(${different(shape)}) > 0 THEN 'values_differ' END AS why
       FROM ${readTexts(online)} a FULL JOIN (SELECT * FROM ${expected} WHERE ${inBuckets}) b ON a.key = b.key) WHERE why IS NOT NULL`,
  );
  const counts = await session.rows<{ why: DifferenceKind; count: number }>(
    'SELECT why, count(*)::DOUBLE AS count FROM eider_differences GROUP BY why',
  );
  const rows = await session.rows<Record<string, never> & { key: string; why: DifferenceKind; features: string[] }>(
    `SELECT * FROM eider_differences ORDER BY key LIMIT ${rowsMax}`,
  );
  return {
    counts: new Map(counts.map(({ why, count }) => [why, count])),
    rows: rows.map((row) => ({
      ...{ key: row.key, why: row.why },
      features: row.why === 'missing_online' || row.why === 'missing_offline' ? [] : row.features,
      online: textRow(row, 'a'),
      offline: textRow(row, 'b'),
    })),
  };
}

const columnsOf = (side: 'a' | 'b'): string =>
  ['event_us', 'known_us', 'sequence', 'features'].map((column) => `${side}.${column} AS ${side}_${column}`).join(', ');

function textRow(row: Readonly<Record<string, unknown>>, side: 'a' | 'b'): TextRow | null {
  const features = row[`${side}_features`];
  if (typeof features !== 'string') return null;
  const [eventMicros, knownMicros, sequence] = ['event_us', 'known_us', 'sequence'].map((name) => Number(row[`${side}_${name}`])) as [number, number, number]; // prettier-ignore
  return { eventMicros, knownMicros, sequence, features };
}

/** The names of the features whose typed values differ. What is no JSON any more has no values. */
function different({ features }: OnlineShape): string {
  const list = (side: string) =>
    `CASE WHEN json_valid(${side}.features) THEN json_transform(${side}.features, '["VARCHAR"]') END`;
  const each = features.map(({ name, type }, at) => {
    const [a, b] = [`${list('a')}[${at + 1}]`, `${list('b')}[${at + 1}]`];
    return `CASE WHEN (${a} IS NULL) <> (${b} IS NULL) OR TRY_CAST(${a} AS ${type}) IS DISTINCT FROM TRY_CAST(${b} AS ${type}) THEN ${quoteText(name)} END`;
  });
  return `list_filter([${each.join(', ')}]::VARCHAR[], lambda one: one IS NOT NULL)`;
}
