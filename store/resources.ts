import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { digestOf } from '../domain/json.js';
import { referenceKey, referencesOf, type Reference } from '../domain/references.js';
import type { Kind, Resource, Revision, Spec } from '../domain/resources.js';
import type { Principal } from '../domain/principal.js';
import { recordAudit, type Database, type Queries } from './db.js';
import { requireKeysKept } from './entity-keys.js';

/** What `apply` did, or `plan` would do, to one resource. */
export interface Change {
  readonly kind: Kind;
  readonly name: string;
  readonly change: 'created' | 'updated' | 'restored' | 'unchanged';
  readonly revision: number;
  readonly hash: string;
  /** Top-level fields of the spec that differ from the active revision. */
  readonly fields: string[];
}

interface RevisionRow {
  kind: Kind;
  name: string;
  revision: number;
  hash: string;
  body: Spec;
  created_at: string;
  principal: string;
  description: string | null;
  owner: string | null;
}

const selectActive = `SELECT r.kind, r.name, r.revision, r.hash, r.body, r.created_at, r.principal, a.description, a.owner
  FROM resources a JOIN revisions r ON (r.project, r.kind, r.name, r.revision) = (a.project, a.kind, a.name, a.active)`;

const toRevision = (row: RevisionRow): Revision => ({
  kind: row.kind,
  name: row.name,
  revision: row.revision,
  hash: row.hash,
  spec: row.body,
  createdAt: row.created_at,
  principal: row.principal,
  ...(row.description === null ? {} : { description: row.description }),
  ...(row.owner === null ? {} : { owner: row.owner }),
});

export async function createProject(db: Queries, project: ProjectName, principal: Principal): Promise<void> {
  await db.query('INSERT INTO projects (name, principal) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    project,
    principal.name,
  ]);
}

export async function listProjects(db: Queries): Promise<{ name: string; createdAt: string }[]> {
  return db.query('SELECT name, created_at AS "createdAt" FROM projects ORDER BY name');
}

export async function requireProject(db: Queries, project: ProjectName): Promise<void> {
  const rows = await db.query('SELECT 1 FROM projects WHERE name = $1', [project]);
  if (rows.length === 0) throw new DomainError('project_unknown', `There is no project "${project}".`, { project });
}

/** All active resources of a kind (or of every kind), by kind and name. */
export async function listResources(db: Queries, project: ProjectName, kind?: Kind): Promise<Revision[]> {
  const rows = await db.query<RevisionRow>(
    `${selectActive} WHERE a.project = $1 AND ($2::text IS NULL OR a.kind = $2) ORDER BY a.kind, a.name`,
    [project, kind ?? null],
  );
  return rows.map(toRevision);
}

/** The active revision, or an older one by number; throws `resource_unknown`. */
export async function getResource<K extends Kind>(
  db: Queries,
  project: ProjectName,
  kind: K,
  name: string,
  revision?: number,
): Promise<Revision<K>> {
  const rows =
    revision === undefined
      ? await db.query<RevisionRow>(`${selectActive} WHERE a.project = $1 AND a.kind = $2 AND a.name = $3`, [
          project,
          kind,
          name,
        ])
      : await db.query<RevisionRow>(
          `SELECT r.*, NULL AS description, NULL AS owner FROM revisions r WHERE project = $1 AND kind = $2 AND name = $3 AND revision = $4`,
          [project, kind, name, revision],
        );
  const row = rows[0];
  if (row) return toRevision(row) as Revision<K>;
  const known = await db.query<{ name: string }>(
    'SELECT name FROM resources WHERE project = $1 AND kind = $2 ORDER BY name LIMIT 20',
    [project, kind],
  );
  const which = revision === undefined ? '' : ` in revision ${revision}`;
  throw new DomainError('resource_unknown', `There is no ${kind} "${name}"${which} in project "${project}".`, {
    kind,
    name,
    known: known.map((k) => k.name),
  });
}

export async function listRevisions(db: Queries, project: ProjectName, kind: Kind, name: string): Promise<Revision[]> {
  const rows = await db.query<RevisionRow>(
    'SELECT *, NULL AS description, NULL AS owner FROM revisions WHERE project = $1 AND kind = $2 AND name = $3 ORDER BY revision',
    [project, kind, name],
  );
  return rows.map(toRevision);
}

/** What applying would change. Refuses references to what neither exists nor is applied with it. */
export async function planResources(
  db: Queries,
  project: ProjectName,
  resources: readonly Resource[],
): Promise<Change[]> {
  const active = new Map((await listResources(db, project)).map((one) => [referenceKey(one), one]));
  const together = new Set(resources.map(referenceKey));
  const repeated = resources.map(referenceKey).filter((key, at, all) => all.indexOf(key) !== at);
  if (repeated.length > 0) throw new DomainError('resource_invalid', `${repeated[0]} is declared twice.`, { repeated });
  for (const resource of resources)
    for (const reference of referencesOf(resource))
      if (!active.has(referenceKey(reference)) && !together.has(referenceKey(reference)))
        throw new DomainError(
          'reference_unknown',
          `${referenceKey(resource)} refers to ${referenceKey(reference)}, which does not exist.`,
          { resource: referenceKey(resource), missing: referenceKey(reference) },
        );
  // One after the other: within a transaction there is one connection.
  const changes: Change[] = [];
  for (const resource of resources)
    changes.push(await planOne(db, project, resource, active.get(referenceKey(resource))));
  const planned = new Map<string, { resource: Resource | Revision; revision: number }>();
  for (const [key, one] of active) planned.set(key, { resource: one, revision: one.revision });
  for (const [at, resource] of resources.entries())
    planned.set(referenceKey(resource), { resource, revision: changes[at]?.revision ?? 0 });
  await requireKeysKept(db, project, active, planned);
  return changes;
}

async function planOne(
  db: Queries,
  project: ProjectName,
  resource: Resource,
  active: Revision | undefined,
): Promise<Change> {
  const { kind, name } = resource;
  const hash = digestOf(resource.spec);
  const base = { kind, name, hash, fields: changedFields(active?.spec, resource.spec) };
  if (active?.hash === hash) return { ...base, change: 'unchanged', revision: active.revision, fields: [] };
  const [same] = await db.query<{ revision: number }>(
    'SELECT revision FROM revisions WHERE project = $1 AND kind = $2 AND name = $3 AND hash = $4',
    [project, kind, name, hash],
  );
  if (same) return { ...base, change: 'restored', revision: same.revision };
  const [last] = await db.query<{ max: number | null }>(
    'SELECT max(revision) AS max FROM revisions WHERE project = $1 AND kind = $2 AND name = $3',
    [project, kind, name],
  );
  return { ...base, change: active ? 'updated' : 'created', revision: (last?.max ?? 0) + 1 };
}

function changedFields(before: object | undefined, after: object): string[] {
  const old = (before ?? {}) as Record<string, unknown>;
  const next = after as Record<string, unknown>;
  return [...new Set([...Object.keys(old), ...Object.keys(next)])]
    .filter((key) => digestOf(old[key]) !== digestOf(next[key]))
    .sort();
}

/** Applies all or nothing; an equal resource is left as it is, an earlier content makes its revision active again. */
export async function applyResources(
  db: Database,
  project: ProjectName,
  resources: readonly Resource[],
  principal: Principal,
): Promise<Change[]> {
  return db.transaction(async (tx) => {
    await requireProject(tx, project);
    await tx.query('SELECT 1 FROM projects WHERE name = $1 FOR UPDATE', [project]);
    const changes = await planResources(tx, project, resources);
    for (const [at, change] of changes.entries())
      await applyOne(tx, project, resources[at] as Resource, change, principal);
    return changes;
  });
}

async function applyOne(
  tx: Queries,
  project: ProjectName,
  resource: Resource,
  change: Change,
  principal: Principal,
): Promise<void> {
  const { kind, name, revision, hash } = change;
  if (change.change === 'created' || change.change === 'updated')
    await tx.query(
      'INSERT INTO revisions (project, kind, name, revision, hash, body, principal) VALUES ($1,$2,$3,$4,$5,$6,$7)',
      [project, kind, name, revision, hash, JSON.stringify(resource.spec), principal.name],
    );
  await tx.query(
    `INSERT INTO resources (project, kind, name, active, description, owner) VALUES ($1,$2,$3,$4,$5,$6)
     ON CONFLICT (project, kind, name) DO UPDATE SET active = $4, description = $5, owner = $6, updated_at = now(),
       generation = resources.generation + CASE WHEN resources.active = $4 THEN 0 ELSE 1 END`,
    [project, kind, name, revision, resource.description ?? null, resource.owner ?? null],
  );
  if (change.change === 'unchanged') return;
  await recordAudit(tx, project, principal, `${change.change} resource`, `${kind}/${name}@r${revision}`, {
    fields: change.fields,
  });
  if (kind === 'Monitor')
    await tx.query('INSERT INTO outbox (project, topic, payload) VALUES ($1, $2, $3)', [
      project,
      'monitor_changed',
      JSON.stringify({ monitor: name }),
    ]);
}

/** Deletes the name; its revisions stay for what was made with them. Refuses while something active refers to it. */
export async function deleteResource(
  db: Database,
  project: ProjectName,
  kind: Kind,
  name: string,
  principal: Principal,
): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.query('SELECT 1 FROM projects WHERE name = $1 FOR UPDATE', [project]);
    await getResource(tx, project, kind, name);
    const users = await usersOf(tx, project, { kind, name });
    if (users.length > 0)
      throw new DomainError('resource_in_use', `${kind} "${name}" is used by ${users.join(', ')}.`, { users });
    await tx.query('DELETE FROM resources WHERE project = $1 AND kind = $2 AND name = $3', [project, kind, name]);
    await recordAudit(tx, project, principal, 'deleted resource', `${kind}/${name}`);
    if (kind === 'Monitor')
      await tx.query('INSERT INTO outbox (project, topic, payload) VALUES ($1, $2, $3)', [
        project,
        'monitor_changed',
        JSON.stringify({ monitor: name }),
      ]);
  });
}

async function usersOf(db: Queries, project: ProjectName, target: Reference): Promise<string[]> {
  const all = await listResources(db, project);
  const referring = all.filter((one) =>
    referencesOf(one as unknown as Resource).some((reference) => referenceKey(reference) === referenceKey(target)),
  );
  const open = await db.query<{ id: string }>(
    `SELECT 'open rollout ' || id AS id FROM rollouts WHERE project = $1 AND status = 'open' AND (($2 = 'Endpoint' AND endpoint = $3) OR ($2 = 'Model' AND model = $3))
     UNION ALL SELECT 'running run ' || id FROM runs WHERE project = $1 AND status = 'running' AND $2 = 'Model' AND model = $3
     UNION ALL SELECT 'traffic of endpoint ' || endpoint FROM endpoint_traffic WHERE project = $1 AND $2 = 'Endpoint' AND endpoint = $3`,
    [project, target.kind, target.name],
  );
  return [...referring.map(referenceKey), ...open.map((row) => row.id)];
}
