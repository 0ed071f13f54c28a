import type { Column } from '../domain/features.js';
import type { OnlineShape } from '../domain/online.js';
import type { Identity, TableFile } from '../domain/tables.js';
import { quoteName } from './duckdb.js';
import { filesRelation } from './point-in-time.js';

/**
 * The rows of `top`, and those of `base` that none of them stands above. A pushed row with the keys, event time and known-at of
 * another is a correction of it: the sources' rows lie below what was flushed, and that below what waits to be.
 */
export const overlay = (base: string, top: string, identity: Identity): string =>
  `(SELECT * FROM ${top} UNION ALL BY NAME SELECT * FROM ${notBelow(base, top, identity)})`;

/** The rows of `base` that no row of `top` stands above. */
export function notBelow(base: string, top: string, { keys, eventTime, knownAt }: Identity): string {
  const same = [
    ...keys.map(({ name }) => `base.${quoteName(name)} = top.${quoteName(name)}`),
    `base.${quoteName(eventTime)} = top.${quoteName(eventTime)}`,
    ...(knownAt === null ? [] : [`${known('base', eventTime, knownAt)} = ${known('top', eventTime, knownAt)}`]),
  ];
  return `(SELECT base.* FROM ${base} AS base ANTI JOIN ${top} AS top ON ${same.join(' AND ')})`;
}

/** A known-at that is NULL is the event time. */
const known = (alias: string, eventTime: string, knownAt: string): string =>
  `coalesce(${alias}.${quoteName(knownAt)}, ${alias}.${quoteName(eventTime)})`;

/** A snapshot of a view as joins read it: what was pushed stands above what its sources gave. */
export function snapshotRelation(
  files: readonly TableFile[],
  columns: readonly Column[],
  path: (key: string) => string,
  identity: Identity,
): string {
  const of = (pushed: boolean) =>
    files.filter(({ lane }) => (lane === 'pushes') === pushed).map(({ key }) => path(key));
  const sources = filesRelation(of(false), columns);
  return of(true).length === 0 ? sources : overlay(sources, filesRelation(of(true), columns), identity);
}

/** Rows that were pushed to another revision of a view, as this one declares them; `features` are their places there, from 1 on. */
export function readAs(
  relation: string,
  pushed: OnlineShape,
  wanted: OnlineShape,
  features: readonly number[],
): string {
  const column = (from: Column | undefined, { name, type }: Column) =>
    `${quoteName(from?.name ?? name)}::${type} AS ${quoteName(name)}`;
  const known = pushed.knownAt === null ? 'NULL::TIMESTAMP' : quoteName(pushed.knownAt);
  const columns = [
    ...wanted.keys.map((key, at) => column(pushed.keys[at], key)),
    `${quoteName(pushed.eventTime)} AS ${quoteName(wanted.eventTime)}`,
    ...(wanted.knownAt === null ? [] : [`${known} AS ${quoteName(wanted.knownAt)}`]),
    ...wanted.features.map((feature, at) => column(pushed.features[(features[at] ?? 0) - 1], feature)),
  ];
  return `(SELECT ${columns.join(', ')} FROM ${relation})`;
}
