import type { Column } from '../domain/features.js';
import type { CandidateVerdict } from '../domain/explanation.js';
import type { Instant } from '../domain/ids.js';
import { quoteName, timestamp, type Session } from './duckdb.js';
import { pointInTimeJoin, type JoinView } from './point-in-time.js';

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
  readonly file: string | null;
  readonly row: number | null;
  /** How many rows have this verdict; a few of them are listed. */
  readonly count: number;
}

export interface Question {
  readonly view: JoinView;
  readonly feature: Column;
  /** Every other column of the view, which tells rows apart that agree in the feature. */
  readonly features: readonly Column[];
  /** An SQL literal for each key, in the order of the view’s keys. */
  readonly key: readonly string[];
  readonly at: Instant;
}

const listedMax = 10;
/** The event time once more: the join knows it under its own name, and this one can be asked for like a feature. */
const eventCopy = 'eider_event_time';

/**
 * The join itself says which row wins, once with the TTL for the answer and once without for the row; the others are then
 * named after the rule by which they lost. The view’s relation must have the columns `filename` and `file_row_number`.
 */
export async function chooseRow(session: Session, question: Question): Promise<Chosen> {
  const { view, feature, features, at } = question;
  const [found] = await session.rows<{ answer: unknown }>(
    `SELECT f0 AS answer FROM ${joined(question, view, [feature.name])}`,
  );
  const known = view.knownAt === null ? quoteName(view.eventTime) : coalesced(view);
  const won = joined(question, { ...view, ttlMicros: null }, [...features.map(({ name }) => name), eventCopy]);
  const same = features.map(({ name }, index) => `c.${quoteName(name)} IS NOT DISTINCT FROM w.f${index}`);
  const wonEvent = `w.f${features.length}`;
  const instant = timestamp(at);
  const rows = await session.rows<CandidateRow>(
    `WITH w AS (SELECT * FROM ${won}), c AS (SELECT *, ${eventCopy} AS event_at, ${known} AS known_at_or_event FROM ${ofKey(question)}),
       same AS (SELECT c.*, c.event_at = ${wonEvent} AND c.known_at_or_event <= ${instant} AND ${same.join(' AND ')} AS equal, ${wonEvent} AS won_event FROM c CROSS JOIN w),
       first AS (SELECT *, max(known_at_or_event) FILTER (equal) OVER () AS won_known, row_number() OVER (PARTITION BY equal ORDER BY known_at_or_event DESC, filename, file_row_number) AS place FROM same),
       judged AS (SELECT *, CASE WHEN equal AND place = 1 THEN 'won' WHEN event_at > ${instant} THEN 'future' WHEN known_at_or_event > ${instant} THEN 'not_yet_known'
         WHEN event_at < won_event THEN 'older' WHEN known_at_or_event < won_known THEN 'known_earlier' ELSE 'tie' END AS verdict FROM first)
     SELECT verdict, ${micros('event_at')} AS "eventMicros", ${micros('known_at_or_event')} AS "knownMicros", ${quoteName(feature.name)} AS value,
       filename AS file, file_row_number::DOUBLE AS row, (count(*) OVER (PARTITION BY verdict))::DOUBLE AS count FROM judged
     QUALIFY row_number() OVER (PARTITION BY verdict ORDER BY abs(epoch_us(event_at) - epoch_us(${instant})), known_at_or_event DESC, filename, file_row_number) <= ${listedMax}
     ORDER BY abs(epoch_us(event_at) - epoch_us(${instant})), known_at_or_event DESC`,
  );
  return { answer: found?.answer ?? null, rows };
}

const coalesced = ({ knownAt, eventTime }: JoinView) =>
  `coalesce(${quoteName(knownAt ?? eventTime)}, ${quoteName(eventTime)})`;
/** Infinity has no epoch. */
const micros = (column: string) => `CASE WHEN isfinite(${column}) THEN epoch_us(${column})::DOUBLE ELSE 0 END`;

/** The join of a spine of one row. */
function joined(question: Question, view: JoinView, columns: readonly string[]): string {
  const keys = question.key.map((literal, index) => `${literal} AS k${index}`);
  const spine = `(SELECT ${[...keys, `${timestamp(question.at)} AS asked_at`].join(', ')})`;
  return pointInTimeJoin(spine, 'asked_at', [
    {
      ...view,
      relation: ofKey(question),
      keys: view.keys.map((key, index) => ({ ...key, spine: `k${index}` })),
      features: columns.map((column, index) => ({ column, as: `f${index}` })),
    },
  ]);
}

const ofKey = ({ view, key }: Question): string => {
  const equal = view.keys.map(({ column }, index) => `${quoteName(column)} = ${key[index]}`);
  return `(SELECT *, ${quoteName(view.eventTime)} AS ${eventCopy} FROM ${view.relation} WHERE ${[...equal, `${quoteName(view.eventTime)} IS NOT NULL`].join(' AND ')})`;
};
