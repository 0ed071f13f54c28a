import type { Column } from '../domain/features.js';
import type { OnlineShape } from '../domain/online.js';
import type { TableFile } from '../domain/tables.js';
import { quoteName } from './duckdb.js';
import { filesRelation } from './point-in-time.js';

/** What tells rows apart for point-in-time joins, before their content has to. */
export type Identity = Pick<OnlineShape, 'keys' | 'eventTime' | 'knownAt'>;

/**
 * The rows of `top`, and those of `base` that none of them stands above. A pushed row with the keys, event time and known-at of
 * another is a correction of it: the sources' rows lie below what was flushed, and that below what waits to be.
 */
export function overlay(base: string, top: string, { keys, eventTime, knownAt }: Identity): string {
  const same = [
    ...keys.map(({ name }) => `base.${quoteName(name)} = top.${quoteName(name)}`),
    `base.${quoteName(eventTime)} = top.${quoteName(eventTime)}`,
    ...(knownAt === null ? [] : [`${known('base', eventTime, knownAt)} = ${known('top', eventTime, knownAt)}`]),
  ];
  return `(SELECT * FROM ${top} UNION ALL BY NAME SELECT base.* FROM ${base} AS base ANTI JOIN ${top} AS top ON ${same.join(' AND ')})`;
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
