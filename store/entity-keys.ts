import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { digestOf } from '../domain/json.js';
import { referenceKey } from '../domain/references.js';
import type { Resource, Revision } from '../domain/resources.js';
import type { Queries } from './db.js';

/** What the project would hold: name, revision and spec of each resource, by `kind/name`. */
export type Planned = ReadonlyMap<string, { readonly resource: Resource | Revision; readonly revision: number }>;

/**
 * The keys of an Entity are columns of its views' tables, but not part of the views: refuses to change them under a view's
 * revision that has commits.
 */
export async function requireKeysKept(
  db: Queries,
  project: ProjectName,
  active: ReadonlyMap<string, Revision>,
  planned: Planned,
): Promise<void> {
  for (const { resource: entity } of planned.values()) {
    const before = active.get(referenceKey(entity));
    if (entity.kind !== 'Entity' || before?.kind !== 'Entity') continue;
    if (digestOf(before.spec) === digestOf(entity.spec)) continue;
    const users: string[] = [];
    for (const { resource: view, revision } of planned.values())
      if (view.kind === 'FeatureView' && 'entity' in view.spec && view.spec.entity === entity.name)
        if (await hasCommits(db, project, view.name, revision)) users.push(referenceKey(view));
    if (users.length > 0)
      throw new DomainError(
        'resource_in_use',
        `The keys of Entity "${entity.name}" are columns of ${users.join(', ')}, which has commits. Declare an Entity with a new name, and let the view refer to it.`,
        { users },
      );
  }
}

async function hasCommits(db: Queries, project: ProjectName, view: string, revision: number): Promise<boolean> {
  const rows = await db.query(
    "SELECT 1 FROM lake_tables WHERE project = $1 AND schema = 'features' AND name = $2 AND revision = $3 AND snapshot > 0",
    [project, view, revision],
  );
  return rows.length > 0;
}
