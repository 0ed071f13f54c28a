import type { Column } from './features.js';
import { DomainError } from './errors.js';
import { instant } from './instants.js';
import type { KeyValues, OnlineValue } from './online.js';

/** Longest text, as a value or in a key. */
const textLengthMax = 65_536;
const integerBits = { TINYINT: 8, SMALLINT: 16, INTEGER: 32, BIGINT: 64 } as const;
const notNumbers = new Set(['NaN', 'Infinity', '-Infinity']);

/** A value as a column of this DuckDB type has it in JSON; throws a sentence that the caller completes with its place. */
export function valueOf(type: string, given: unknown): OnlineValue {
  if (given === null || given === undefined) return null;
  switch (type) {
    case 'BOOLEAN':
      return typeof given === 'boolean' ? given : refuse(type, 'true or false');
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
      return integerOf(type, given);
    case 'FLOAT':
    case 'DOUBLE':
      return numberOf(type, given);
    case 'DATE':
      return dateOf(type, given);
    case 'TIMESTAMP':
    case 'TIMESTAMP WITH TIME ZONE':
      return typeof given === 'string' ? instant(given) : refuse(type, 'an ISO 8601 instant');
    case 'VARCHAR':
      return textOf(type, given);
    default:
      return refuse(type, 'of a type that can be pushed and read online');
  }
}

function integerOf(type: keyof typeof integerBits, given: unknown): OnlineValue {
  if (typeof given === 'number' && !Number.isSafeInteger(given))
    refuse(type, 'a whole number, and as text where it is beyond 2^53');
  if (typeof given !== 'number' && !(typeof given === 'string' && /^-?\d{1,20}$/.test(given)))
    refuse(type, 'a whole number');
  const value = BigInt(given);
  if (BigInt.asIntN(integerBits[type], value) !== value) refuse(type, `within its ${integerBits[type]} bits`);
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
}

function numberOf(type: string, given: unknown): OnlineValue {
  if (typeof given === 'string' && notNumbers.has(given)) return given;
  if (typeof given !== 'number' || !Number.isFinite(given)) return refuse(type, 'a number, or NaN or Infinity as text');
  const value = type === 'FLOAT' ? Math.fround(given) : given;
  return Number.isFinite(value) ? value : refuse(type, 'within its range');
}

function dateOf(type: string, given: unknown): OnlineValue {
  if (typeof given !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(given)) return refuse(type, 'a date such as 2001-03-05');
  return instant(given).slice(0, 10);
}

function textOf(type: string, given: unknown): OnlineValue {
  if (typeof given !== 'string') return refuse(type, 'text');
  if (given.length > textLengthMax) refuse(type, `at most ${textLengthMax} characters`);
  // Neither PostgreSQL nor Arrow clients agree on what text ends where.
  if (given.includes('\0')) refuse(type, 'text without NUL characters');
  return /\p{Surrogate}/u.test(given) ? refuse(type, 'well-formed Unicode') : given;
}

function refuse(type: string, expected: string): never {
  throw new DomainError('request_invalid', `must be ${expected} (${type})`);
}

/**
 * The text of a key: what online tables are searched by, and what DuckDB makes of the same values (lake/online.ts). Null when
 * a value is NULL, which equals nothing.
 */
export function keyText(keys: readonly Column[], values: KeyValues): string | null {
  if (values.some((value) => value === null)) return null;
  return `[${keys.map(({ type }, at) => keyToken(type, values[at] as OnlineValue)).join(',')}]`;
}

function keyToken(type: string, value: OnlineValue): string {
  // Seventeen digits tell all doubles apart; minus zero is zero.
  if ((type === 'DOUBLE' || type === 'FLOAT') && typeof value === 'number')
    return (value + 0).toExponential(16).replace(/e([+-])(\d)$/, 'e$10$2');
  return JSON.stringify(value).replace(/\\u[0-9a-f]{4}/g, (code) => `\\u${code.slice(2).toUpperCase()}`);
}

/** The features of a row, in the order of the view. */
export const featuresText = (values: readonly OnlineValue[]): string => JSON.stringify(values);
