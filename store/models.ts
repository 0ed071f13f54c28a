import { DomainError } from '../domain/errors.js';
import type { Instant, ProjectName, RunId } from '../domain/ids.js';
import type { Signature } from '../domain/serving.js';
import type { Principal } from '../domain/principal.js';
import { only, recordAudit, recordLineage, type Database, type Queries } from './db.js';
import type { Golden } from './training.js';

export interface ModelVersion {
  readonly model: string;
  readonly version: number;
  readonly run: RunId;
  /** SHA-256 of the ONNX file. */
  readonly digest: string;
  readonly modelKey: string;
  readonly signature: Signature;
  readonly golden: Golden;
  readonly lineage: { readonly trainingSet: string; readonly rowHash: string; readonly snapshots: readonly string[] };
  readonly createdAt: Instant;
  readonly principal: string;
}

export interface Alias {
  readonly alias: string;
  readonly version: number;
  readonly generation: number;
  /** Since when in data time. */
  readonly dataInstant: Instant;
}

const versionColumns = `model, version, run_id AS run, digest, model_key AS "modelKey", signature, golden, lineage, created_at AS "createdAt", principal`;

/** One version a run, numbered without gaps; registering again returns the recorded version. */
export async function registerVersion(
  db: Database,
  project: ProjectName,
  candidate: Omit<ModelVersion, 'version' | 'createdAt' | 'principal'>,
  principal: Principal,
): Promise<ModelVersion> {
  return db.transaction(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`versions/${project}/${candidate.model}`]);
    const [known] = await tx.query<ModelVersion>(
      `SELECT ${versionColumns} FROM versions WHERE project = $1 AND run_id = $2`,
      [project, candidate.run],
    );
    if (known) return known;
    const rows = await tx.query<ModelVersion>(
      `INSERT INTO versions (project, model, version, run_id, digest, model_key, signature, golden, lineage, principal)
       SELECT $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5, $6, $7, $8, $9 FROM versions WHERE project = $1 AND model = $2 RETURNING ${versionColumns}`,
      [
        project,
        candidate.model,
        candidate.run,
        candidate.digest,
        candidate.modelKey,
        JSON.stringify(candidate.signature),
        JSON.stringify(candidate.golden),
        JSON.stringify(candidate.lineage),
        principal.name,
      ],
    );
    const version = only(rows);
    await recordLineage(tx, project, [
      { from: ['run', candidate.run], to: ['version', `${version.model}/${version.version}`] },
    ]);
    await recordAudit(tx, project, principal, 'registered version', `${version.model}/${version.version}`, {
      digest: version.digest,
    });
    return version;
  });
}

export async function getVersion(
  db: Queries,
  project: ProjectName,
  model: string,
  version: number,
): Promise<ModelVersion> {
  const rows = await db.query<ModelVersion>(
    `SELECT ${versionColumns} FROM versions WHERE project = $1 AND model = $2 AND version = $3`,
    [project, model, version],
  );
  const found = rows[0];
  if (!found)
    throw new DomainError('version_unknown', `Model "${model}" has no version ${version}.`, { model, version });
  return found;
}

export async function listVersions(db: Queries, project: ProjectName, model?: string): Promise<ModelVersion[]> {
  return db.query<ModelVersion>(
    `SELECT ${versionColumns} FROM versions WHERE project = $1 AND ($2::text IS NULL OR model = $2) ORDER BY model, version`,
    [project, model ?? null],
  );
}

export async function findAlias(
  db: Queries,
  project: ProjectName,
  model: string,
  alias: string,
): Promise<Alias | null> {
  const rows = await db.query<Alias>(
    'SELECT alias, version, generation, data_instant AS "dataInstant" FROM aliases WHERE project = $1 AND model = $2 AND alias = $3',
    [project, model, alias],
  );
  return rows[0] ?? null;
}

export async function listAliases(db: Queries, project: ProjectName, model: string): Promise<Alias[]> {
  return db.query<Alias>(
    'SELECT alias, version, generation, data_instant AS "dataInstant" FROM aliases WHERE project = $1 AND model = $2 ORDER BY alias',
    [project, model],
  );
}

export interface AliasMove {
  readonly model: string;
  readonly alias: string;
  readonly version: number;
  /** The generation that the mover saw; 0 for an alias that does not exist yet. */
  readonly expected: number;
  readonly dataInstant: Instant;
  readonly reason: string;
  readonly workflowId: string;
}

/** Compare-and-set on the generation; throws `generation_moved`. Call it in the transaction of what it belongs to. */
export async function moveAlias(
  tx: Queries,
  project: ProjectName,
  move: AliasMove,
  principal: Principal,
): Promise<void> {
  const { model, alias, version, expected, dataInstant, reason, workflowId } = move;
  const rows = await tx.query(
    `INSERT INTO aliases (project, model, alias, version, generation, data_instant) SELECT $1,$2,$3,$4,1,$6 WHERE $5 = 0
     ON CONFLICT DO NOTHING RETURNING 1`,
    [project, model, alias, version, expected, dataInstant],
  );
  const moved =
    rows.length > 0
      ? rows
      : await tx.query(
          'UPDATE aliases SET version = $4, generation = generation + 1, data_instant = $6, updated_at = now() WHERE project = $1 AND model = $2 AND alias = $3 AND generation = $5 RETURNING 1',
          [project, model, alias, version, expected, dataInstant],
        );
  if (moved.length === 0)
    throw new DomainError(
      'generation_moved',
      `Alias "${alias}" of "${model}" is no longer at generation ${expected}.`,
      { model, alias, expected },
    );
  await tx.query(
    'INSERT INTO alias_history (project, model, alias, generation, version, data_instant, reason, workflow_id, principal) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9)',
    [project, model, alias, expected + 1, version, dataInstant, reason, workflowId, principal.name],
  );
  await recordAudit(tx, project, principal, 'moved alias', `${model}@${alias}`, { version, generation: expected + 1 });
}

export interface AliasChange extends Alias {
  readonly reason: string;
  readonly workflowId: string;
  readonly principal: string;
  readonly createdAt: Instant;
}

export async function aliasHistory(
  db: Queries,
  project: ProjectName,
  model: string,
  alias: string,
): Promise<AliasChange[]> {
  return db.query<AliasChange>(
    'SELECT alias, version, generation, data_instant AS "dataInstant", reason, workflow_id AS "workflowId", principal, created_at AS "createdAt" FROM alias_history WHERE project = $1 AND model = $2 AND alias = $3 ORDER BY generation',
    [project, model, alias],
  );
}
