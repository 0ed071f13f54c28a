import type { DatasetCheck, DatasetManifest } from '../domain/datasets.js';
import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import type { Principal } from '../domain/principal.js';
import { rowsOf } from '../domain/datasets.js';
import { recordLineage, type Edge, type Queries } from './db.js';

/** Digests of the parts of a training set's file: what was damaged is found by them. */
export interface FileParts {
  /** Of the whole file that they belong to: an erasure writes another. */
  readonly sha256: string;
  /** `digests[rowGroup][column]`, shortened; a row group's as a whole when there are too many. */
  readonly digests: readonly (readonly string[])[];
}

export async function recordTrainingSet(
  tx: Queries,
  project: ProjectName,
  manifest: DatasetManifest,
  parts: FileParts | null,
  principal: Principal,
): Promise<void> {
  const { name, model, modelRevision, asOf, rowHash, relabels } = manifest;
  await tx.query(
    `INSERT INTO training_sets (project, name, model, model_revision, as_of, row_hash, rows, manifest, relabels, parts, principal)
     VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)`,
    [
      ...[project, name, model, modelRevision, asOf, rowHash, rowsOf(manifest)],
      ...[JSON.stringify(manifest), relabels, parts === null ? null : JSON.stringify(parts), principal.name],
    ],
  );
  await recordLineage(tx, project, originsOf(manifest));
}

function originsOf({ name, sources, tables, views }: DatasetManifest): Edge[] {
  const to = ['training_set', name] as const;
  const from: Edge['from'][] = [
    ...sources.filter(({ revision }) => revision > 0).map((one) => ['source', `${one.name}@r${one.revision}`] as const),
    ...tables.map((one) =>
      one.schema === 'datasets'
        ? (['training_set', one.name] as const)
        : (['snapshot', `features/${one.name}@r${one.revision}@s${one.snapshot}`] as const),
    ),
    ...views.map((one) => ['snapshot', `features/${one.view}@r${one.revision}@s${one.snapshot}`] as const),
  ];
  return from.map((one) => ({ from: one, to }));
}

export async function findTrainingSet(
  db: Queries,
  project: ProjectName,
  name: string,
): Promise<DatasetManifest | null> {
  const rows = await db.query<{ manifest: DatasetManifest }>(
    'SELECT manifest FROM training_sets WHERE project = $1 AND name = $2',
    [project, name],
  );
  return rows[0]?.manifest ?? null;
}

/** Throws `table_unknown`. */
export async function getTrainingSet(db: Queries, project: ProjectName, name: string): Promise<DatasetManifest> {
  const manifest = await findTrainingSet(db, project, name);
  if (manifest) return manifest;
  throw new DomainError('table_unknown', `Project "${project}" has no training set "${name}".`, { name });
}

export async function findFileParts(db: Queries, project: ProjectName, name: string): Promise<FileParts | null> {
  const rows = await db.query<{ parts: FileParts | null }>(
    'SELECT parts FROM training_sets WHERE project = $1 AND name = $2',
    [project, name],
  );
  return rows[0]?.parts ?? null;
}

export async function listTrainingSets(db: Queries, project: ProjectName): Promise<DatasetManifest[]> {
  const rows = await db.query<{ manifest: DatasetManifest }>(
    'SELECT manifest FROM training_sets WHERE project = $1 ORDER BY as_of, name',
    [project],
  );
  return rows.map((row) => row.manifest);
}

/** The training sets that have its rows with other labels. */
export async function relabelsOf(db: Queries, project: ProjectName, name: string): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    'SELECT name FROM training_sets WHERE project = $1 AND relabels = $2 ORDER BY name',
    [project, name],
  );
  return rows.map((row) => row.name);
}

/** A file of a table as it is now, with the hash of its bytes. */
export interface HashedFile {
  readonly key: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

export async function filesOfTrainingSet(db: Queries, project: ProjectName, name: string): Promise<HashedFile[]> {
  return db.query<HashedFile>(
    `SELECT key, rows, bytes, sha256 FROM files WHERE project = $1 AND schema = 'datasets' AND name = $2 AND end_snapshot IS NULL ORDER BY key`,
    [project, name],
  );
}

const checkColumns = `id, kind, verdict, result, workflow_id AS "workflowId", checked_at AS "checkedAt", principal`;
const checksMax = 100;

/** Records what a check found, once a run of its workflow: a repeat of the step changes nothing. */
export async function recordCheck(
  db: Queries,
  project: ProjectName,
  { kind, verdict, result, workflowId, principal }: Omit<DatasetCheck, 'id' | 'checkedAt'>,
  runId: string,
): Promise<void> {
  await db.query(
    `INSERT INTO training_set_checks (project, training_set, kind, verdict, result, workflow_id, run_id, principal) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)
     ON CONFLICT (project, workflow_id, run_id) DO NOTHING`,
    [project, result.name, kind, verdict, JSON.stringify(result), workflowId, runId, principal],
  );
}

/** What was found whenever somebody looked, newest first. */
export async function listChecks(db: Queries, project: ProjectName, name: string): Promise<DatasetCheck[]> {
  return db.query<DatasetCheck>(
    `SELECT ${checkColumns} FROM training_set_checks WHERE project = $1 AND training_set = $2 ORDER BY id DESC LIMIT ${checksMax}`,
    [project, name],
  );
}
