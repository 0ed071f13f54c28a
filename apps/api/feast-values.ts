import type { Instant } from '../../domain/ids.js';
import { fromMicros, toMicros } from '../../domain/instants.js';
import type { OnlineValue } from '../../domain/online.js';
import { mistake } from './feast-errors.js';
import type { JsonBytes } from './online-bytes.js';

/** What Feast's clients write for a value and what they read, by DuckDB's type of the column; between them is ours. */

const secondMicros = 1e6;
const wholeTypes = new Set(['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT']);
const isTime = (type: string): boolean => type === 'DATE' || type.startsWith('TIMESTAMP');

/** Feast's timestamps are whole seconds since 1970; a date is its midnight. */
export function fromFeast(type: string, value: unknown): OnlineValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'object') throw mistake('Lists and maps are not supported as values');
  if (isTime(type)) return timeOf(type, value as OnlineValue);
  // As Feast has it: int('7') is 7, str(7) is '7'. Unlike there 7.5 is not cut to 7.
  if (wholeTypes.has(type) && typeof value === 'string') return /^-?\d{1,15}$/.test(value) ? Number(value) : value;
  if (type === 'VARCHAR' && typeof value === 'number') return String(value);
  if (type === 'DOUBLE' || type === 'FLOAT') return numberOf(value as OnlineValue);
  return value as OnlineValue;
}

function timeOf(type: string, value: OnlineValue): OnlineValue {
  const seconds = typeof value === 'string' && /^-?\d{1,12}(\.\d+)?$/.test(value) ? Number(value) : value;
  if (typeof seconds !== 'number')
    return type === 'DATE' && typeof seconds === 'string' ? seconds.slice(0, 10) : seconds;
  if (Math.abs(seconds) > 1e11) throw mistake(`${seconds} is not a time in seconds since 1970`);
  const at = fromMicros(Math.round(seconds * secondMicros));
  return type === 'DATE' ? at.slice(0, 10) : at;
}

function numberOf(value: OnlineValue): OnlineValue {
  if (typeof value !== 'string' || !/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(value)) return value;
  return Number(value);
}

/** The JSON of a value as Feast's server writes it. */
export function feastJson(type: string, value: OnlineValue): string {
  if (value === null) return 'null';
  if (isTime(type) && typeof value === 'string') return String(secondsOf(value));
  // Digits that a number of JavaScript does not hold.
  if (wholeTypes.has(type) && typeof value === 'string') return value;
  return (type === 'DOUBLE' || type === 'FLOAT') && typeof value === 'number'
    ? floatJson(value)
    : JSON.stringify(value);
}

/** Writes a value of the online store, which is JSON already, as `feastJson` has it. */
export function feastWriter(type: string): (json: JsonBytes, bytes: Buffer, start: number, end: number) => void {
  if (isTime(type))
    return (json, bytes, start, end) =>
      json.text(feastJson(type, JSON.parse(bytes.toString('latin1', start, end)) as OnlineValue));
  if (wholeTypes.has(type))
    return (json, bytes, start, end) =>
      bytes[start] === quote ? json.copy(bytes, start + 1, end - 1) : json.copy(bytes, start, end);
  if (type !== 'DOUBLE' && type !== 'FLOAT') return (json, bytes, start, end) => json.copy(bytes, start, end);
  return (json, bytes, start, end) => {
    json.copy(bytes, start, end);
    if (isWhole(bytes, start, end)) json.all(pointZero);
  };
}

const quote = 0x22;
const pointZero = Buffer.from('.0');

/** A number of digits alone. */
function isWhole(bytes: Buffer, start: number, end: number): boolean {
  for (let at = end - 1; at > start; at--) {
    const byte = bytes[at] as number;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  // A minus sign.
  const first = bytes[start] as number;
  return first === 0x2d || (first >= 0x30 && first <= 0x39);
}

/** As Python writes it: the client takes 5 for a whole number and 5.0 for a float. */
function floatJson(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function secondsOf(time: string): number {
  const at = time.length === 10 ? (`${time}T00:00:00.000000Z` as Instant) : (time as Instant);
  return Math.floor(toMicros(at) / secondMicros);
}

const epoch = '"1970-01-01T00:00:00Z"';

/** RFC 3339 with Z and as many digits as there are: none, three or six. Where nothing was found it is 1970. */
export function feastTime(at: Instant | null): string {
  if (at === null) return epoch;
  const fraction = at.slice(20, 26);
  const digits = fraction === '000000' ? '' : fraction.endsWith('000') ? `.${fraction.slice(0, 3)}` : `.${fraction}`;
  return `"${at.slice(0, 19)}${digits}Z"`;
}
