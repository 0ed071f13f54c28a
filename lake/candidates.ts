import type { CandidateVerdict } from '../domain/explanation.js';
import type { Column } from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { quoteName, quoteText, timestamp, type Session } from './duckdb.js';
import { numberedRows } from './file-rows.js';
import { filesRelation, pointInTimeJoin, type JoinView } from './point-in-time.js';

/** What the join answers for one key and instant, and every row that it chose from. */
export interface Chosen {
  readonly answer: unknown;
  readonly rows: readonly CandidateRow[];
}

export interface CandidateRow {
  readonly verdict: CandidateVerdict;
  readonly eventMicros: number;
  readonly knownMicros: number;
  readonly value: unknown;
  /** Null: pushed, and in no file yet. */
  readonly file: string | null;
  readonly row: number | null;
  /** How many rows have this verdict; a few of them are listed. */
  readonly count: number;
}

export interface Question {
  /** As a join reads it: of what was pushed and what that stands above, only the former. */
  readonly view: JoinView;
  /** The files behind it, each row of which is named. */
  readonly files: readonly { readonly path: string; readonly pushed: boolean }[];
  /** Of the view, keys and instants included. */
  readonly columns: readonly Column[];
  readonly feature: string;
  /** An SQL literal for each key, in the order of the view’s keys. */
  readonly key: readonly string[];
  readonly at: Instant;
}

const listedMax = 10;
// No column that can be declared begins as columns of ours do, whatever a view calls its own.
/** The event time once more: the join knows it under its own name, and this one can be asked for like a feature. */
const eventCopy = '#event_time';

/**
 * The join itself says which row wins, once with the TTL for the answer and once without for the row; the others are then
 * named after the rule by which they lost.
 */
export async function chooseRow(session: Session, question: Question): Promise<Chosen> {
  const { view, feature, at } = question;
  const [found] = await session.rows<{ answer: unknown }>(
    `SELECT f0 AS answer FROM ${joined(question, view, [feature])}`,
  );
  const won = joined(question, { ...view, ttlMicros: null }, [...view.content, eventCopy]);
  const same = view.content.map((name, index) => `c.${quoteName(name)} IS NOT DISTINCT FROM w.f${index}`);
  const wonEvent = `w.f${view.content.length}`;
  const instant = timestamp(at);
  const near = `abs(epoch_us("#event") - epoch_us(${instant})), "#known" DESC, "#file", "#row"`;
  const rows = await session.rows<CandidateRow>(
    `WITH w AS (SELECT * FROM ${won}), c AS (SELECT *, max("#layer") OVER (PARTITION BY "#event", "#known") AS "#top" FROM ${candidates(question)}),
       same AS (SELECT c.*, "#layer" = "#top" AND "#event" = ${wonEvent} AND "#known" <= ${instant} AND ${same.join(' AND ')} AS "#equal", ${wonEvent} AS "#won_event" FROM c CROSS JOIN w),
       first AS (SELECT *, max("#known") FILTER ("#equal") OVER () AS "#won_known", row_number() OVER (PARTITION BY "#equal" ORDER BY "#known" DESC, "#file", "#row") AS "#place" FROM same),
       judged AS (SELECT *, CASE WHEN "#equal" AND "#place" = 1 THEN 'won' WHEN "#event" > ${instant} THEN 'future' WHEN "#known" > ${instant} THEN 'not_yet_known'
         WHEN "#layer" < "#top" THEN 'replaced' WHEN "#event" < "#won_event" THEN 'older' WHEN "#known" < "#won_known" THEN 'known_earlier' ELSE 'tie' END AS "#verdict" FROM first)
     SELECT "#verdict" AS verdict, ${micros('"#event"')} AS "eventMicros", ${micros('"#known"')} AS "knownMicros", ${quoteName(feature)} AS value,
       "#file" AS file, "#row"::DOUBLE AS row, (count(*) OVER (PARTITION BY "#verdict"))::DOUBLE AS count FROM judged
     QUALIFY row_number() OVER (PARTITION BY "#verdict" ORDER BY ${near}) <= ${listedMax} ORDER BY ${near}`,
  );
  return { answer: found?.answer ?? null, rows };
}

/** Infinity has no epoch. */
const micros = (column: string) => `CASE WHEN isfinite(${column}) THEN epoch_us(${column})::DOUBLE ELSE 0 END`;

/** The join of a spine of one row. */
function joined(question: Question, view: JoinView, columns: readonly string[]): string {
  const keys = question.key.map((literal, index) => `${literal} AS k${index}`);
  const spine = `(SELECT ${[...keys, `${timestamp(question.at)} AS asked_at`].join(', ')})`;
  const relation = `(SELECT *, ${quoteName(view.eventTime)} AS ${quoteName(eventCopy)} FROM ${ofKey(question, view.relation)})`;
  return pointInTimeJoin(spine, 'asked_at', [
    {
      ...{ ...view, relation },
      keys: view.keys.map((key, index) => ({ ...key, spine: `k${index}` })),
      features: columns.map((column, index) => ({ column, as: `f${index}` })),
    },
  ]);
}

function ofKey({ view, key }: Question, relation: string): string {
  const equal = view.keys.map(({ column }, index) => `${quoteName(column)} = ${key[index]}`);
  return `(SELECT * FROM ${relation} WHERE ${[...equal, `${quoteName(view.eventTime)} IS NOT NULL`].join(' AND ')})`;
}

/** The key's rows in the files, in layers as they stand above each other, and on top what waits to be in one. */
function candidates(question: Question): string {
  const { view, files, columns } = question;
  const list = columns.map(({ name }) => quoteName(name)).join(', ');
  const event = quoteName(view.eventTime);
  const known = view.knownAt === null ? event : `coalesce(${quoteName(view.knownAt)}, ${event})`;
  const pushed = files.filter((file) => file.pushed).map(({ path }) => quoteText(path));
  const layer = `("#file" IN (${["''", ...pushed].join(', ')}))::INTEGER`;
  const inFiles = ofKey(question, numbered(question));
  const waiting = `(SELECT ${list} FROM ${ofKey(question, view.relation)} EXCEPT ALL SELECT ${list} FROM ${inFiles})`;
  return `(SELECT *, ${event} AS "#event", ${known} AS "#known" FROM (SELECT ${list}, "#file", "#row", ${layer} AS "#layer" FROM ${inFiles}
    UNION ALL SELECT ${list}, NULL, NULL, 2 FROM ${waiting}))`;
}

/** The files as a relation whose rows say which file they are of, and their place in it. */
function numbered({ files, columns }: Question): string {
  const paths = files.map(({ path }) => path);
  const [file, number] = ['#file', '#row'] as const;
  if (paths.length > 0) return numberedRows({ paths, columns: columns.map(({ name }) => name), number, file });
  return filesRelation([], [...columns, { name: file, type: 'VARCHAR' }, { name: number, type: 'BIGINT' }]);
}
