import { createHash } from 'node:crypto';
import type { Sha256 } from './ids.js';

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** Keys sorted, no white space: equal values have equal text (RFC 8785 without its number corner cases). */
export function canonicalJson(value: unknown): string {
  if (value === undefined) return 'null';
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalJson(inner)}`).join(',')}}`;
}

export const sha256 = (data: string | Buffer): Sha256 => createHash('sha256').update(data).digest('hex') as Sha256;
export const digestOf = (value: unknown): Sha256 => sha256(canonicalJson(value));
