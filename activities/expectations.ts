import { DomainError } from '../domain/errors.js';
import { describeResult, isRowTest, type Expectation, type ExpectationResult } from '../domain/expectations.js';
import type {
  Column,
  PlannedWindow,
  QuarantinedRows,
  ReadQuarantine,
  RefusedWindow,
  StagedWindow,
  Window,
} from '../domain/features.js';
import { durationMicros } from '../domain/instants.js';
import type { FeatureViewSpec } from '../domain/resources.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { quarantined, reasonsColumn, type Judged } from '../lake/expectations.js';
import type { Objects } from '../lake/objects.js';
import { writeWindow } from '../lake/snapshots.js';
import type { Queries } from '../store/db.js';
import { tableState, windowHeads, type TableRef, type WindowHead } from '../store/snapshots.js';
import { getResource } from '../store/resources.js';
import { tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import type { ViewParts } from './views.js';

/** The computed rows of a view as its expectations see them. */
export const judgedOf = ({ view, keys, columns }: ViewParts): Judged => ({
  relation: 'computed',
  columns,
  keys: keys.map(({ name }) => name),
  eventTime: view.spec.eventTime,
  knownAt: view.spec.knownAt ?? null,
  windowMicros: durationMicros(view.spec.window),
  expectations: view.spec.expectations,
});

/** Null when nothing stands against the window's commit. */
export function refusal(window: Window, results: readonly ExpectationResult[]): RefusedWindow | null {
  const broken = results.filter(({ passed, expectation }) => !passed && expectation.severity === 'block');
  if (broken.length === 0) return null;
  return { start: window.start, end: window.end, reasons: broken.map(describeResult) };
}

/** What the ledger keeps with a commit: the expectations that it did not meet. */
export const warnings = (results: readonly ExpectationResult[]): string[] =>
  results.filter(({ passed }) => !passed).map(describeResult);

/** The table of a view's quarantined rows, and what it had before this work; null when no expectation quarantines. */
export interface Quarantine {
  readonly table: TableRef;
  readonly columns: readonly Column[];
  readonly heads: ReadonlyMap<string, WindowHead>;
}

export async function quarantineOf(db: Queries, parts: ViewParts, range: Window): Promise<Quarantine | null> {
  if (!parts.view.spec.expectations.some(({ severity }) => severity === 'quarantine')) return null;
  const table: TableRef = { ...parts.table, schema: 'quarantine' };
  const heads = await windowHeads(db, table, range);
  return {
    ...{ table, columns: [...parts.columns, reasonsColumn] },
    heads: new Map(heads.map((head) => [head.start, head])),
  };
}

/**
 * Stages the window's quarantined rows; null when there are none and none have to be replaced. The first window of the table
 * is staged in any case, so that it can be read.
 */
export async function stageQuarantine(
  { db, lake }: { db: Queries; lake: Objects },
  session: Session,
  parts: ViewParts,
  { table, columns, heads }: Quarantine,
  planned: PlannedWindow,
  results: readonly ExpectationResult[],
): Promise<StagedWindow | null> {
  const rejects = results.some(({ expectation, failed }) => expectation.severity === 'quarantine' && failed !== 0);
  if (!rejects && !heads.has(planned.start) && (await tableState(db, table)).snapshot > 0) return null;
  const { eventTime } = parts.view.spec;
  const folder = `${table.project}/quarantine/${table.name}@r${table.revision}`;
  const orderBy = [...parts.keys.map(({ name }) => name), eventTime];
  return writeWindow({ session, objects: lake, relation: quarantined, columns, orderBy, folder }, eventTime, planned);
}

/** Answers travel through Temporal, which refuses payloads of 2 MB. */
const answerBytesMax = 1_000_000;

export async function readQuarantine(
  { db, engine, lake }: Pick<Dependencies, 'db' | 'engine' | 'lake'>,
  { project, view, revision, start, end, limit }: ReadQuarantine,
): Promise<QuarantinedRows> {
  const { spec } = await getResource(db, project, 'FeatureView', view, revision);
  const { files } = await tables(db).resolve(project, 'quarantine', `${view}@r${revision}`);
  const eventTime = quoteName(spec.eventTime);
  const list = files.map(({ key }) => quoteText(lake.path(key))).join(', ');
  const within = [
    ...(start ? [`${eventTime} >= ${timestamp(start)}`] : []),
    ...(end ? [`${eventTime} < ${timestamp(end)}`] : []),
  ];
  const relation = `read_parquet([${list}])${within.length > 0 ? ` WHERE ${within.join(' AND ')}` : ''}`;
  return engine.session(async (session) => {
    const [counted] = await session.rows<{ total: number }>(`SELECT count(*)::DOUBLE AS total FROM ${relation}`);
    const found = await session.rows<Record<string, unknown>>(
      `SELECT * FROM ${relation} ORDER BY ${eventTime} LIMIT ${limit}`,
    );
    let bytes = 0;
    const rows = found.filter((row) => (bytes += Buffer.byteLength(JSON.stringify(row))) <= answerBytesMax);
    return { rows, total: counted?.total ?? 0 };
  });
}

const numeric = /^(TINYINT|SMALLINT|INTEGER|BIGINT|FLOAT|DOUBLE)$/;

/** Refuses expectations that cannot be tried: of columns that are not there, of bounds or values of another type. */
export async function checkExpectations(
  session: Session,
  spec: FeatureViewSpec,
  columns: readonly Column[],
): Promise<void> {
  for (const expectation of spec.expectations) {
    const problem = await problemOf(session, expectation, spec, columns);
    if (problem) throw new DomainError('resource_invalid', `${expectation.test}: ${problem}.`, { expectation });
  }
  if (
    columns.some(({ name }) => name === reasonsColumn.name) &&
    spec.expectations.some(({ severity }) => severity === 'quarantine')
  )
    // prettier-ignore
    throw new DomainError(
      'resource_invalid',
      `Quarantined rows have a column "${reasonsColumn.name}" that says why, so the view cannot have one.`,
    );
}

async function problemOf(
  session: Session,
  expectation: Expectation,
  { eventTime }: FeatureViewSpec,
  columns: readonly Column[],
): Promise<string | null> {
  const named = [
    ...('column' in expectation ? [expectation.column] : []),
    ...('columns' in expectation ? (expectation.columns ?? []) : []),
  ];
  const unknown = named.filter((name) => !columns.some((column) => column.name === name));
  if (unknown.length > 0) return `the view has no column ${unknown.join(', ')}`;
  if (!('column' in expectation)) return null;
  const type = columns.find(({ name }) => name === expectation.column)?.type ?? '';
  if (expectation.column === eventTime && isRowTest(expectation) && expectation.test !== 'domain')
    return `"${eventTime}" is the event time, and a row without one belongs to no window`;
  if (expectation.test === 'range' && !numeric.test(type))
    return `"${expectation.column}" is ${type}, and a range is of numbers`;
  if (expectation.test !== 'domain') return null;
  const list = expectation.values.map((value) => quoteText(String(value))).join(', ');
  const [row] = await session.rows<{ foreign: string | null }>(
    `SELECT min(value) FILTER (TRY_CAST(value AS ${type}) IS NULL) AS "foreign" FROM (SELECT unnest([${list}]) AS value)`,
  );
  return row?.foreign == null ? null : `"${row.foreign}" is no ${type}, which "${expectation.column}" is`;
}
