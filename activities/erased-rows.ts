import { DomainError } from '../domain/errors.js';
import type { Column } from '../domain/features.js';
import type { ProjectName } from '../domain/ids.js';
import type { Join } from '../domain/names.js';
import { quoteName, quoteText, type Session } from '../lake/duckdb.js';
import { findErased, type KeyTuple } from '../lake/erased.js';
import { describe } from '../lake/sources/index.js';
import type { Queries } from '../store/db.js';
import { keyNames } from '../store/erasing.js';
import { getResource } from '../store/resources.js';
import { erasedEntities, tombstonesOf } from '../store/tombstones.js';

/**
 * Takes rows of erased keys out of a spine, which may read sources that still hold them. A key is recognised in columns of its
 * own names, and in those that a join compares with it; where rows have their key as JSON, in the members of these names.
 */
export async function leaveOutErased(
  db: Queries,
  session: Session,
  project: ProjectName,
  table: string,
  joins: readonly Join[],
  form: 'columns' | 'json' = 'columns',
): Promise<void> {
  const entities = await erasedEntities(db, project);
  if (entities.length === 0) return;
  const columns = new Set((await describe(session, table)).map(({ name }) => name));
  const cell = (name: string, type: string) =>
    `TRY_CAST(${form === 'json' ? `json_extract_string(${table}.key, ${quoteText(`$."${name}"`)})` : `${table}.${quoteName(name)}`} AS ${type})`;
  for (const entity of entities) {
    const keys = await keysOf(db, project, entity);
    const tombstones = await tombstonesOf(db, project, entity);
    for (const tuple of await tuplesOf(db, project, entity, keys, joins)) {
      if (form === 'columns' && !tuple.every((name) => columns.has(name))) continue;
      const cast = keys.map(({ name, type }, at) => `${cell(tuple[at] ?? '', type)} AS ${quoteName(name)}`);
      const found = await findErased(session, tombstones, `(SELECT ${cast.join(', ')} FROM ${table})`, keys);
      if (found === null) continue;
      const same = keys.map(({ name, type }, at) => `${cell(tuple[at] ?? '', type)} = erased.${quoteName(name)}`);
      await session.run(
        `DELETE FROM ${table} WHERE EXISTS (SELECT 1 FROM ${found} AS erased WHERE ${same.join(' AND ')})`,
      );
    }
  }
}

/** An entity that was deleted since has no column that anybody could name. */
async function keysOf(db: Queries, project: ProjectName, entity: string): Promise<readonly Column[]> {
  try {
    return (await getResource(db, project, 'Entity', entity)).spec.keys;
  } catch (error) {
    if (error instanceof DomainError && error.code === 'resource_unknown') return [];
    throw error;
  }
}

async function tuplesOf(
  db: Queries,
  project: ProjectName,
  entity: string,
  keys: readonly Column[],
  joins: readonly Join[],
): Promise<KeyTuple[]> {
  if (keys.length === 0) return [];
  const ways = await keyNames(db, project, entity, keys);
  const tuples = [...ways];
  for (const join of joins) {
    const view = await getResource(db, project, 'FeatureView', join.view);
    if (view.spec.entity === entity) tuples.push(...ways.map((way) => way.map((name) => join.keys[name] ?? name)));
  }
  return tuples;
}
