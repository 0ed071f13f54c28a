import { createHmac, randomBytes } from 'node:crypto';
import { keyDigest, type Tombstones } from '../domain/erasure.js';
import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { canonicalJson } from '../domain/json.js';
import { only, type Queries } from './db.js';

const secretBytes = 32;

/** A key that never leaves the database and our processes, made by whoever needs it first. */
export async function secretNamed(db: Queries, name: string): Promise<Buffer> {
  const find = () => db.query<{ value: Buffer }>('SELECT value FROM secrets WHERE name = $1', [name]);
  const [made] = await find();
  if (made) return made.value;
  await db.query('INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    name,
    randomBytes(secretBytes),
  ]);
  return only(await find()).value;
}

/** Tells contents apart to us only: a digest without a key would say what they were to whoever tries some. */
export async function keyedDigest(
  db: Queries,
  purpose: 'pushes' | 'idempotency_keys',
  content: unknown,
): Promise<string> {
  return createHmac('sha256', await secretNamed(db, purpose))
    .update(canonicalJson(content))
    .digest('hex');
}

export const keySecret = (db: Queries): Promise<Buffer> => secretNamed(db, 'erased_keys');

/** The erased keys of an entity; no digest for almost every one. A view without entity has none. */
export async function tombstonesOf(
  db: Queries,
  project: ProjectName,
  entity: string | null | undefined,
): Promise<Tombstones> {
  const rows = await db.query<{ digest: string }>('SELECT digest FROM tombstones WHERE project = $1 AND entity = $2', [
    project,
    entity ?? '',
  ]);
  return {
    ...{ project, entity: entity ?? '', newest: await newestTombstone(db, project) },
    digests: rows.map(({ digest }) => digest),
    secret: rows.length === 0 ? null : await keySecret(db),
  };
}

/** Entities of which any key was ever erased; none in almost every project. */
export async function erasedEntities(db: Queries, project: ProjectName): Promise<string[]> {
  const rows = await db.query<{ entity: string }>(
    'SELECT DISTINCT entity FROM tombstones WHERE project = $1 ORDER BY entity',
    [project],
  );
  return rows.map(({ entity }) => entity);
}

/** Before what is computed without erased keys is read: 0 while nothing was ever erased. */
export async function newestTombstone(db: Queries, project: ProjectName): Promise<number> {
  const rows = await db.query<{ newest: number }>(
    'SELECT coalesce(max(id), 0)::bigint AS newest FROM tombstones WHERE project = $1',
    [project],
  );
  return only(rows).newest;
}

const lockOf = (project: ProjectName): string => `erasure/${project}`;

/** In the transaction of a commit: nothing that was computed before an erasure began may be committed after it. Throws `erased_meanwhile`. */
export async function requireNoNewer(tx: Queries, project: ProjectName, seen: number): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))', [lockOf(project)]);
  if ((await newestTombstone(tx, project)) === seen) return;
  throw new DomainError('erased_meanwhile', 'A key was erased after these rows were computed.');
}

/** From here on nobody commits what they computed without knowing of the tombstone; commits under way are waited for. */
export async function setTombstone(
  tx: Queries,
  { project, entity, digest, erasure }: { project: ProjectName; entity: string; digest: string; erasure: string },
): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lockOf(project)]);
  // A second erasure of a key moves its tombstone: what was computed in between is refused as well.
  await tx.query('DELETE FROM tombstones WHERE project = $1 AND entity = $2 AND digest = $3', [
    project,
    entity,
    digest,
  ]);
  await tx.query('INSERT INTO tombstones (project, entity, digest, erasure) VALUES ($1, $2, $3, $4)', [
    project,
    entity,
    digest,
    erasure,
  ]);
}

/**
 * The key may come back, unless another erasure of it has ended: then it stays out on that one's account. False: it stays out.
 * What is computed while this is decided is refused at its commit, as if a key had been erased, and computed again.
 */
export async function liftTombstone(tx: Queries, project: ProjectName, erasure: string): Promise<boolean> {
  await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lockOf(project)]);
  const [kept] = await tx.query(
    `UPDATE tombstones t SET erasure = e.id FROM erasures e WHERE t.project = $1 AND t.erasure = $2 AND e.status = 'done'
       AND (e.project, e.entity, e.key_digest) = (t.project, t.entity, t.digest) RETURNING 1`,
    [project, erasure],
  );
  if (kept) return false;
  await tx.query('DELETE FROM tombstones WHERE project = $1 AND erasure = $2', [project, erasure]);
  await tx.query('UPDATE tombstones SET id = DEFAULT WHERE id = (SELECT max(id) FROM tombstones WHERE project = $1)', [
    project,
  ]);
  return true;
}

/** Of rows that are pushed to a view those whose key was not erased; in the transaction that writes them, so that no erasure is missed. */
export async function withoutErased<Row extends { readonly key: string }>(
  tx: Queries,
  project: ProjectName,
  view: string,
  rows: readonly Row[],
): Promise<Row[]> {
  await tx.query('SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))', [lockOf(project)]);
  const erased = await tx.query<{ entity: string; digest: string }>(
    `SELECT entity, digest FROM tombstones WHERE project = $1 AND entity IN (
       SELECT body ->> 'entity' FROM revisions WHERE project = $1 AND kind = 'FeatureView' AND name = $2)`,
    [project, view],
  );
  if (erased.length === 0) return [...rows];
  const secret = await keySecret(tx);
  const digests = new Set(erased.map(({ digest }) => digest));
  const entities = [...new Set(erased.map(({ entity }) => entity))];
  return rows.filter(({ key }) => !entities.some((entity) => digests.has(keyDigest(secret, { project, entity }, key))));
}
