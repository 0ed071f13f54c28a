import { DomainError } from './errors.js';
import type { Instant, ProjectName } from './ids.js';
import { instant, plusMicros } from './instants.js';
import type { OnlineShape, OnlineValue, PushedRow, PushTarget } from './online.js';
import { featuresText, keyText, valueOf } from './online-values.js';

export const pushRowsMax = 10_000;
/** Of a row's features as JSON. */
const rowBytesMax = 1_000_000;
/** How far a clock that stamps rows may be ahead of ours. */
const aheadMaxMicros = 300e6;

export interface Push {
  readonly project: ProjectName;
  readonly view: string;
  readonly rows: readonly PushedRow[];
  readonly to: PushTarget;
  /** Makes the push once: a repeat with the same rows gets the first answer. */
  readonly id: string;
}

export interface Pushed {
  readonly id: string;
  readonly view: string;
  readonly revision: number;
  readonly rows: number;
  /** Of the last of the rows. Joins that pin it, or a later one, see them. */
  readonly sequence: number;
  /** How many of the rows are now what readers see; the others were older than what is there. Null: offline only. */
  readonly applied: number | null;
  /** The generation that they were written to; null: offline only. */
  readonly generation: number | null;
}

/** A pushed row as it is stored. */
export interface StagedRow {
  readonly key: string;
  readonly eventTime: Instant;
  readonly knownAt: Instant | null;
  readonly features: string;
}

/** The rows in the form in which they are stored; throws `pushed_row_invalid` with the row and the column. */
export function stagedRowsOf(
  shape: OnlineShape,
  rows: readonly PushedRow[],
  to: PushTarget,
  now: Instant,
): StagedRow[] {
  if (rows.length > pushRowsMax)
    throw new DomainError('request_too_large', `A push has at most ${pushRowsMax} rows, not ${rows.length}.`);
  return rows.map((row, at) => stagedRow(shape, row, at, to === 'offline' ? null : plusMicros(now, aheadMaxMicros)));
}

function stagedRow(shape: OnlineShape, row: PushedRow, at: number, latest: Instant | null): StagedRow {
  const { keys, eventTime, knownAt, features } = shape;
  const times = [eventTime, ...(knownAt === null ? [] : [knownAt])];
  const columns = new Set([...keys, ...features].map(({ name }) => name).concat(times));
  const unknown = Object.keys(row).find((name) => !columns.has(name));
  if (unknown !== undefined) throw invalid(at, unknown, `is no column of the view; it has ${[...columns].join(', ')}`);
  const keyValues = keys.map((column) => required(row, column.name, column.type, at));
  const eventAt = instantOf(row, eventTime, at);
  const knownBy = knownAt === null || (row[knownAt] ?? null) === null ? null : instantOf(row, knownAt, at);
  const visibleAt = knownBy !== null && knownBy > eventAt ? knownBy : eventAt;
  if (latest !== null && visibleAt > latest)
    throw invalid(at, knownBy === visibleAt ? (knownAt ?? '') : eventTime, 'lies in the future; what is not yet true can be pushed with to: offline'); // prettier-ignore
  const values = features.map(({ name, type }) => {
    if (!(name in row)) throw invalid(at, name, 'is missing; a value that is not known is null');
    return checked(type, row[name], at, name);
  });
  const text = featuresText(values);
  if (text.length > rowBytesMax) throw invalid(at, 'features', `are longer than ${rowBytesMax} characters as JSON`);
  return { key: keyText(keys, keyValues) as string, eventTime: eventAt, knownAt: knownBy, features: text };
}

function instantOf(row: PushedRow, name: string, at: number): Instant {
  return instant(String(required(row, name, 'TIMESTAMP', at)));
}

function required(row: PushedRow, name: string, type: string, at: number): OnlineValue {
  const value = checked(type, row[name], at, name);
  return value === null ? invalidNow(at, name, 'is missing or null') : value;
}

function checked(type: string, value: unknown, at: number, name: string): OnlineValue {
  try {
    return valueOf(type, value);
  } catch (error) {
    throw invalid(at, name, (error as Error).message);
  }
}

function invalidNow(at: number, name: string, reason: string): never {
  throw invalid(at, name, reason);
}

const invalid = (row: number, column: string, reason: string): DomainError =>
  new DomainError('pushed_row_invalid', `rows.${row}.${column} ${reason.replace(/\.$/, '')}.`, { row, column });
