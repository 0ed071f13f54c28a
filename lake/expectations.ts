import { expectationName, isRowTest, type Expectation, type ExpectationResult } from '../domain/expectations.js';
import type { Column, Window } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { durationMicros, toMicros } from '../domain/instants.js';
import { quoteName, quoteText, typed, type Session } from './duckdb.js';

/** A table that holds the computed rows of many windows, and what its columns mean. */
export interface Judged {
  readonly relation: string;
  readonly columns: readonly Column[];
  readonly keys: readonly string[];
  readonly eventTime: string;
  readonly knownAt: string | null;
  readonly windowMicros: number;
  readonly expectations: readonly Expectation[];
}

/** Quarantined rows have the view's columns and this one: which expectations they break. */
export const reasonsColumn: Column = { name: 'reasons', type: 'VARCHAR' };
/** The temporary table that holds them. */
export const quarantined = 'quarantined';

const samplesMax = 5;

/** No column that can be declared is called like these. */
const windowColumn = '"#window"';
const rowColumn = '"#row"';
const flag = (position: number): string => `"#f${position}"`;

/** The columns that hold what could not be cast. */
const wrong = (position: number): string => `"eider wrong ${position}"`;

/** How a declared column is read: a `type` expectation wants to know of a value that is none of its type, not fail by it. */
export function typedColumns(columns: readonly Column[], expectations: readonly Expectation[]): string[] {
  const tried = expectations.flatMap((one, position) =>
    one.test === 'type' ? [{ column: one.column, position }] : [],
  );
  return [
    ...columns.map(({ name, type }) => {
      const cast = tried.some(({ column }) => column === name) ? 'TRY_CAST' : 'CAST';
      return `${typed(quoteName(name), type, cast)} AS ${quoteName(name)}`;
    }),
    ...tried.map(({ column, position }) => {
      const type = columns.find(({ name }) => name === column)?.type ?? 'VARCHAR';
      const value = quoteName(column);
      return `CASE WHEN ${value} IS NOT NULL AND ${typed(value, type, 'TRY_CAST')} IS NULL THEN ${value}::VARCHAR END AS ${wrong(position)}`;
    }),
  ];
}

/**
 * Tries every expectation on every window, in one scan; rows that are to be quarantined leave the table for `quarantined`,
 * which takes a scan more. Tests of rows look at all that was computed, tests of the window at what is left to be committed.
 */
export async function judge(
  session: Session,
  judged: Judged,
  windows: readonly Window[],
): Promise<Map<Instant, ExpectationResult[]>> {
  const { expectations, windowMicros } = judged;
  if (expectations.length === 0) return new Map();
  const aside = expectations.flatMap((one, at) => (one.severity === 'quarantine' ? [flag(at)] : []));
  const keep = aside.length === 0 ? 'true' : `NOT (${aside.join(' OR ')})`;
  const identity = [...judged.keys, judged.eventTime].map((name) => `${quoteName(name)} := ${quoteName(name)}`);
  const aggregates = expectations.map((one, at) =>
    isRowTest(one)
      ? `count_if(${flag(at)})::DOUBLE AS c${at}, min(struct_pack(${identity.join(', ')}), ${samplesMax}) FILTER (${flag(at)}) AS s${at}`
      : `${wholeSql(one, judged, keep)} AS c${at}`,
  );
  const rows = await session.rows<{ window: number; rows: number; kept: number } & Record<string, unknown>>(
    `SELECT ${windowColumn} AS window, count(*)::DOUBLE AS rows, count_if(${keep})::DOUBLE AS kept, ${aggregates.join(', ')} FROM ${flagged(judged)} GROUP BY ${windowColumn}`,
  );
  const found = new Map(rows.map((row) => [row.window, row]));
  if (aside.length > 0) await setAside(session, judged, aside);
  return new Map(
    windows.map((window) => {
      const row = found.get(toMicros(window.start) / windowMicros) ?? null;
      return [window.start, expectations.map((one, at) => resultOf(one, at, row, window))];
    }),
  );
}

/** The table with a flag for each expectation of rows: true breaks it. */
function flagged(judged: Judged): string {
  const flags = judged.expectations.flatMap((one, at) => (isRowTest(one) ? [`${breaks(one, at, judged)} AS ${flag(at)}`] : [])); // prettier-ignore
  return `(SELECT *, rowid AS ${rowColumn}, ${[windowSql(judged), ...flags].join(', ')} FROM ${judged.relation})`;
}

const cell = ({ eventTime, windowMicros }: Judged): string =>
  `floor(epoch_us(${quoteName(eventTime)}) / ${windowMicros})`;
const windowSql = (judged: Judged): string => `${cell(judged)}::DOUBLE AS ${windowColumn}`;

function breaks(expectation: Expectation, position: number, judged: Judged): string {
  switch (expectation.test) {
    case 'not_null':
      return `(${quoteName(expectation.column)} IS NULL)`;
    case 'type':
      return `(${wrong(position)} IS NOT NULL)`;
    case 'range': {
      // NaN lies in no range; NULL is for not_null to judge.
      const value = `${quoteName(expectation.column)}::DOUBLE`;
      const { min, max } = expectation;
      const outside = [
        `isnan(${value})`,
        ...(min === undefined ? [] : [`${value} < ${min}::DOUBLE`]),
        ...(max === undefined ? [] : [`${value} > ${max}::DOUBLE`]),
      ];
      return `coalesce(${outside.join(' OR ')}, false)`;
    }
    case 'domain': {
      const { column, values } = expectation;
      const type = judged.columns.find(({ name }) => name === column)?.type ?? 'VARCHAR';
      const list = values.map((value) => typed(quoteText(String(value)), type));
      return `coalesce(${quoteName(column)} NOT IN (${list.join(', ')}), false)`;
    }
    case 'unique':
      return isSurplus(expectation.columns ?? [...judged.keys, judged.eventTime], judged);
    default:
      return 'false';
  }
}

/** Every row of a group but the one that a point-in-time join would take: greatest event time, known-at, content. */
function isSurplus(columns: readonly string[], judged: Judged): string {
  const { eventTime, knownAt, columns: all } = judged;
  const names = columns.map(quoteName);
  const known = knownAt === null ? [] : [`coalesce(${quoteName(knownAt)}, ${quoteName(eventTime)}) DESC`];
  const content = all.map(({ name }) => `${quoteName(name)} := ${quoteName(name)}`).join(', ');
  const order = [`${quoteName(eventTime)} DESC`, ...known, `struct_pack(${content}) DESC`].join(', ');
  const place = `row_number() OVER (PARTITION BY ${[cell(judged), ...names].join(', ')} ORDER BY ${order})`;
  return `(${place} > 1 AND ${names.map((name) => `${name} IS NOT NULL`).join(' AND ')})`;
}

function wholeSql(expectation: Expectation, { eventTime }: Judged, keep: string): string {
  if (expectation.test === 'null_share')
    return `(count_if(${quoteName(expectation.column)} IS NULL AND ${keep}) / nullif(count_if(${keep}), 0))::DOUBLE`;
  if (expectation.test === 'freshness') return `epoch_us(max(${quoteName(eventTime)}) FILTER (${keep}))::DOUBLE`;
  return `count_if(${keep})::DOUBLE`;
}

async function setAside(session: Session, judged: Judged, aside: readonly string[]): Promise<void> {
  const names = judged.columns.map(({ name }) => quoteName(name)).join(', ');
  const reasons = judged.expectations.flatMap((one, at) => {
    if (!isRowTest(one)) return [];
    const name = quoteText(expectationName(one));
    return [
      `CASE WHEN ${flag(at)} THEN ${one.test === 'type' ? `${name} || ': ' || left(${wrong(at)}, 200)` : name} END`,
    ];
  });
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${quarantined} AS SELECT ${names}, concat_ws('; ', ${reasons.join(', ')}) AS ${reasonsColumn.name}, ${rowColumn} FROM ${flagged(judged)} WHERE ${aside.join(' OR ')}`,
  );
  await session.run(`DELETE FROM ${judged.relation} WHERE rowid IN (SELECT ${rowColumn} FROM ${quarantined})`);
}

interface WindowRow {
  readonly rows: number;
  readonly kept: number;
  readonly [column: string]: unknown;
}

function resultOf(
  expectation: Expectation,
  position: number,
  row: WindowRow | null,
  window: Window,
): ExpectationResult {
  const base = { position, expectation };
  const value = (row?.[`c${position}`] ?? null) as number | null;
  if (isRowTest(expectation)) {
    const samples = (row?.[`s${position}`] ?? []) as Record<string, unknown>[];
    return { ...base, passed: (value ?? 0) === 0, rows: row?.rows ?? 0, failed: value ?? 0, value: null, samples: samples.map(storable) }; // prettier-ignore
  }
  const whole = wholeResult(expectation, value, window);
  return { ...base, ...whole, rows: row?.kept ?? 0, failed: null, samples: [] };
}

function wholeResult(
  expectation: Expectation,
  found: number | null,
  window: Window,
): { passed: boolean; value: number | null } {
  switch (expectation.test) {
    case 'null_share':
      return { passed: (found ?? 0) <= expectation.max, value: found };
    case 'freshness': {
      // An empty window is as old as if its newest row lay at its start.
      const age = toMicros(window.end) - (found ?? toMicros(window.start));
      return { passed: age <= durationMicros(expectation.max), value: age / 1e6 };
    }
    case 'volume': {
      const { min = 0, max = Infinity } = expectation;
      const rows = found ?? 0;
      return { passed: rows >= min && rows <= max, value: rows };
    }
    default:
      return { passed: true, value: null };
  }
}

/** PostgreSQL's JSON cannot hold the character zero. */
const storable = (sample: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(sample).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.replaceAll('\0', '') : value,
    ]),
  );
