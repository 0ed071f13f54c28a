import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { referenceKey, referencesOf, type Reference } from '../domain/references.js';
import type { Kind, Pins, Resource, Revision, Spec } from '../domain/resources.js';
import type { Principal } from '../domain/principal.js';
import { recordAudit, type Database, type Queries } from './db.js';
import { planAll, type Change, type Planned } from './resource-plans.js';

export type { Change };

interface RevisionRow {
  kind: Kind;
  name: string;
  revision: number;
  hash: string;
  body: Spec;
  created_at: string;
  principal: string;
  pins: Pins | null;
  description: string | null;
  owner: string | null;
}

const selectActive = `SELECT r.kind, r.name, r.revision, r.hash, r.body, r.created_at, r.principal, r.pins, a.description, a.owner
  FROM resources a JOIN revisions r ON (r.project, r.kind, r.name, r.revision) = (a.project, a.kind, a.name, a.active)`;

const toRevision = (row: RevisionRow): Revision => ({
  kind: row.kind,
  name: row.name,
  revision: row.revision,
  hash: row.hash,
  spec: row.body,
  createdAt: row.created_at,
  principal: row.principal,
  ...(row.pins === null ? {} : { pins: row.pins }),
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

/** What a feature view was made with: its Entity or one of its Sources, in the revision that it pins. */
export const getPinned = <K extends 'Entity' | 'Source'>(
  db: Queries,
  project: ProjectName,
  view: Revision<'FeatureView'>,
  kind: K,
  name: string,
): Promise<Revision<K>> => getResource(db, project, kind, name, view.pins?.[referenceKey({ kind, name })]);

export async function listRevisions(db: Queries, project: ProjectName, kind: Kind, name: string): Promise<Revision[]> {
  const rows = await db.query<RevisionRow>(
    'SELECT *, NULL AS description, NULL AS owner FROM revisions WHERE project = $1 AND kind = $2 AND name = $3 ORDER BY revision',
    [project, kind, name],
  );
  return rows.map(toRevision);
}

/** What applying would change, to what is given and to the feature views that depend on it. */
export async function planResources(
  db: Queries,
  project: ProjectName,
  resources: readonly Resource[],
): Promise<Change[]> {
  const planned = await planAll(db, project, resources, await listResources(db, project));
  return planned.map(({ change }) => change);
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
    const planned = await planAll(tx, project, resources, await listResources(tx, project));
    for (const one of planned) await applyOne(tx, project, one, principal);
    return planned.map(({ change }) => change);
  });
}

async function applyOne(
  tx: Queries,
  project: ProjectName,
  { resource, change, pins }: Planned,
  principal: Principal,
): Promise<void> {
  const { kind, name, revision, hash } = change;
  if (change.change !== 'unchanged')
    await tx.query(
      `INSERT INTO revisions (project, kind, name, revision, hash, body, principal, pins) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)
       ON CONFLICT (project, kind, name, revision) DO UPDATE SET activated_at = clock_timestamp()`,
      [
        project,
        kind,
        name,
        revision,
        hash,
        JSON.stringify(resource.spec),
        principal.name,
        pins ? JSON.stringify(pins) : null,
      ],
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
    because: change.because,
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
