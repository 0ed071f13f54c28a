import type { Column } from '../domain/features.js';
import { firstPart, type Split, type TimePart } from '../domain/splits.js';
import { quoteName, quoteText, timestamp } from './duckdb.js';
import { canonicalRow } from './rows.js';

export interface Divided {
  readonly split: Split;
  readonly eventTime: string;
  /** Where a split by time cuts, in order of time. */
  readonly cuts: readonly TimePart[];
  /** The columns that a split at random or by group goes by, with their types. */
  readonly by: readonly Column[];
}

/**
 * The part of a row as SQL. By time it is decided by the row's instant, a row without one being of the first part; else by a
 * number between 0 and 2^52 made of the seed and the row's own values, so neither order nor number of rows matter, and it is the same everywhere.
 */
export function splitExpression({ split, eventTime, cuts, by }: Divided): string {
  if (split.by === 'time') {
    const at = quoteName(eventTime);
    const cases = [...cuts]
      .reverse()
      .map(({ name, from }) => `WHEN ${at} >= ${timestamp(from)} THEN ${quoteText(name)}`);
    return `CASE ${cases.join(' ')} ELSE ${quoteText(firstPart)} END`;
  }
  const text = `concat(${quoteText(`eider-split/1|${split.seed}|`)}, ${canonicalRow(by)})`;
  const number = `('0x' || substring(sha256(${text}), 1, 13))::UBIGINT`;
  let share = 0;
  const cases = split.parts.slice(0, -1).map((part) => {
    share += part.share;
    return `WHEN ${number} < ${Math.round(share * 2 ** 52)} THEN ${quoteText(part.name)}`;
  });
  return `CASE ${cases.join(' ')} ELSE ${quoteText(split.parts.at(-1)?.name ?? firstPart)} END`;
}
