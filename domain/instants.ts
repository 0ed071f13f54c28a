import type { Instant } from './ids.js';
import { DomainError } from './errors.js';

/**
 * Instants are UTC strings with six fraction digits, because a JavaScript `Date` loses microseconds; durations are whole
 * microseconds. Both are exact: 2^53 microseconds are 285 years.
 */
const instantPattern = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?)?(Z|[+-]\d{2}:?\d{2})?$/;

/** Reads ISO 8601, naive meaning UTC; throws `request_invalid`. */
export function instant(text: string): Instant {
  const match = instantPattern.exec(text.trim());
  if (!match) throw new DomainError('request_invalid', `"${text}" is not an ISO 8601 instant.`, { text });
  const [, day, minutes = '00:00', seconds = '00', fraction = '', zone = 'Z'] = match;
  const offset = zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const ms = Date.parse(`${day}T${minutes}:${seconds}${offset}`);
  // Date.parse takes February 30 for March 2.
  if (Number.isNaN(ms) || new Date(`${day}T00:00Z`).toISOString().slice(0, 10) !== day)
    throw new DomainError('request_invalid', `"${text}" is not a real date.`, { text });
  return fromMicros(ms * 1000 + Number(fraction.padEnd(6, '0')));
}

export function fromMicros(micros: number): Instant {
  const ms = Math.floor(micros / 1000);
  const rest = String(micros - ms * 1000).padStart(3, '0');
  return new Date(ms).toISOString().replace('Z', `${rest}Z`) as Instant;
}

/** Microseconds since 1970-01-01T00:00:00Z. */
export const toMicros = (at: Instant): number => Date.parse(at.slice(0, 23) + 'Z') * 1000 + Number(at.slice(23, 26));

export const fromDate = (date: Date): Instant => fromMicros(date.getTime() * 1000);
export const toDate = (at: Instant): Date => new Date(Math.floor(toMicros(at) / 1000));
export const plusMicros = (at: Instant, micros: number): Instant => fromMicros(toMicros(at) + micros);
/** Instants of this form sort as strings. */
export const earlier = (a: Instant, b: Instant): Instant => (a < b ? a : b);
export const later = (a: Instant, b: Instant): Instant => (a < b ? b : a);

const unitMicros = { us: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6, d: 86_400e6, w: 604_800e6 } as const;
export const durationPattern = /^(\d+)(us|ms|s|m|h|d|w)$/;

/** `90m`, `3h`, `7d` … to microseconds. Days are 24 hours: everything is UTC. */
export function durationMicros(text: string): number {
  const match = durationPattern.exec(text);
  if (!match) throw new DomainError('request_invalid', `"${text}" is not a duration such as 90m, 3h or 7d.`, { text });
  return Number(match[1]) * unitMicros[match[2] as keyof typeof unitMicros];
}
