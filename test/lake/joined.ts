import { fromMicros, instant, toMicros } from '../../domain/instants.js';
import type { Column, Window } from '../../domain/features.js';
import { quoteText } from '../../lake/duckdb.js';
import { filesRelation, pointInTimeJoin, type JoinView } from '../../lake/point-in-time.js';
import type { TestLake } from '../support/lake.js';
import { answer, type FeatureRow, type OracleView, type SpineRow } from './oracle.js';

/** Views and spines of the oracle as files and SQL, joined by the code under test. */

/** Where 0 of the oracle's microseconds lies. */
export const base = toMicros(instant('2001-03-25'));
const stamp = (micros: number | null) =>
  micros === null ? 'NULL::TIMESTAMP' : `make_timestamp(${base + micros}::BIGINT)`;
const literal = (value: string | number | null) => (value === null ? 'NULL' : typeof value === 'string' ? quoteText(value) : String(value)); // prettier-ignore
const keyTypes = ['INTEGER', 'VARCHAR'] as const;

export type Asked = 'value' | 'other';
export interface How {
  /** How many files hold the view's rows; what is staged beside them lies in none. */
  readonly parts?: number;
  readonly staged?: boolean;
  readonly asked?: readonly Asked[];
  /** Whether the join is told between which instants the spine lies. */
  readonly ranged?: boolean;
}

let files = 0;

function columnsOf({ keyCount, bitemporal }: OracleView): Column[] {
  return [
    ...keyTypes.slice(0, keyCount).map((type, at) => ({ name: `k${at}`, type })),
    { name: 'at', type: 'TIMESTAMP' },
    ...(bitemporal ? [{ name: 'known', type: 'TIMESTAMP' }] : []),
    { name: 'value', type: 'INTEGER' },
    { name: 'other', type: 'INTEGER' },
  ];
}

function select(view: OracleView, rows: readonly FeatureRow[]): string {
  const columns = columnsOf(view);
  const cells = ({ keys, at, known, value, other }: FeatureRow) =>
    [...keys.slice(0, view.keyCount).map(literal), stamp(at), ...(view.bitemporal ? [stamp(known)] : []), literal(value), literal(other)]; // prettier-ignore
  return `SELECT ${columns.map(({ name, type }, at) => `c${at}::${type} AS "${name}"`).join(', ')} FROM (VALUES ${rows
    .map((row) => `(${cells(row).join(', ')})`)
    .join(', ')}) v(${columns.map((_, at) => `c${at}`).join(', ')})`;
}

async function viewOf(lake: TestLake, view: OracleView, name: string, range: Window | null, { parts = 1, staged = false, asked = ['value'] }: How): Promise<JoinView> {
  const shares = Array.from({ length: parts + 1 }, (_, part) => view.rows.filter((_row, at) => at % (parts + 1) === part));
  const waiting = staged ? (shares[parts] ?? []) : [];
  const held = (staged ? shares.slice(0, parts) : [...shares.slice(1, parts), [...(shares[0] ?? []), ...(shares[parts] ?? [])]]).filter((rows) => rows.length > 0);
  const written = await Promise.all(held.map((rows) => lake.write(`view-${files++}.parquet`, select(view, rows))));
  const relation = filesRelation(written, columnsOf(view));
  return {
    name,
    relation: waiting.length === 0 ? relation : `(SELECT * FROM ${relation} UNION ALL ${select(view, waiting)})`,
    keys: keyTypes.slice(0, view.keyCount).map((type, at) => ({ column: `k${at}`, type, spine: view.renamed ? `e${at}` : `k${at}` })),
    ...{ eventTime: 'at', knownAt: view.bitemporal ? 'known' : null, ttlMicros: view.ttlMicros, mode: view.mode },
    features: asked.map((column) => ({ column, as: `${name}__${column}` })),
    ...{ content: ['value', 'other'], distinct: view.distinct ?? false, range },
  };
} // prettier-ignore

export interface Answered {
  readonly id: number;
  readonly passed: string | null;
  /** One a view: what was asked of it. */
  readonly values: readonly (readonly (number | null)[])[];
}

export async function join(lake: TestLake, spine: readonly SpineRow[], views: readonly OracleView[], how: How = {}): Promise<Answered[]> {
  const instants = spine.flatMap(({ at }) => (at === null ? [] : [base + at]));
  const range = how.ranged && instants.length > 0 ? { start: fromMicros(Math.min(...instants)), end: fromMicros(Math.max(...instants) + 1) } : null;
  const joined = await Promise.all(views.map((view, at) => viewOf(lake, view, `v${at}`, range, how)));
  const rows = spine.map((row, at) => `(${[at, ...[...row.keys, ...row.elsewhere].map(literal), stamp(row.at), literal(row.passed)].join(', ')})`);
  const values = rows.length > 0 ? rows.join(', ') : `(0, 0, '', 0, '', NULL, '')`;
  const relation = `(SELECT id, k0::INTEGER AS k0, k1::VARCHAR AS k1, e0::INTEGER AS e0, e1::VARCHAR AS e1, "at"::TIMESTAMP AS asked, passed::VARCHAR AS passed
    FROM (VALUES ${values}) s(id, k0, k1, e0, e1, "at", passed)${rows.length === 0 ? ' WHERE false' : ''})`;
  const found = await lake.query<Record<string, never>>(`SELECT * FROM ${pointInTimeJoin(relation, 'asked', joined)} ORDER BY id`);
  return found.map((row) => ({ id: row.id as never, passed: row.passed as never, values: joined.map(({ features }) => features.map(({ as }) => row[as] as never)) }));
} // prettier-ignore

export const expected = (
  spine: readonly SpineRow[],
  views: readonly OracleView[],
  asked: readonly Asked[] = ['value'],
): Answered[] =>
  spine.map((row, id) => ({
    id,
    passed: row.passed,
    values: views.map((view) => {
      const found = answer(row, view);
      return asked.map((feature) => found?.[feature] ?? null);
    }),
  }));
