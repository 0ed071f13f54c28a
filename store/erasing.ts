import { namesThen } from '../domain/erasure.js';
import { DomainError } from '../domain/errors.js';
import type { Column, StagedFile } from '../domain/features.js';
import type { ProjectName } from '../domain/ids.js';
import { referenceKey } from '../domain/references.js';
import type { Revision } from '../domain/resources.js';
import type { ErasureCertificate, ErasedTable } from '../domain/snapshots.js';
import type { TableColumn } from '../domain/tables.js';
import { only, type Database, type Queries } from './db.js';
import { requireOpen, type ErasureKey } from './erasures.js';
import { tableId, type TableRef, tableValues, tableWhere } from './snapshots.js';

/** A table of the lake, with the ways in which its rows may hold the key: columns in the order of the key's. */
export interface ErasureTarget {
  readonly table: TableRef;
  readonly columns: readonly TableColumn[];
  readonly tuples: readonly (readonly string[])[];
}

interface Joining {
  readonly joins?: readonly { readonly view: string; readonly keys: Readonly<Record<string, string>> }[];
}

/**
 * Views of the entity hold the key in the columns that it had in the revision that they pin, and so does what was refused of
 * them; training sets, uploaded spines and predictions hold it in those of any revision, or in the columns that some join
 * compares with it. Throws `erasure_incomplete` when a view's rows have a key of other columns.
 */
export async function erasureTargets(
  db: Queries,
  project: ProjectName,
  { entity, keys }: Pick<ErasureKey, 'entity' | 'keys'>,
): Promise<ErasureTarget[]> {
  const ways = await keyNames(db, project, entity, keys);
  const pinned = await pinnedKeys(db, project, entity);
  const views = new Set(pinned.map(({ view }) => view));
  const renamed = (await joinsOf(db, project))
    .filter(({ view }) => views.has(view))
    .flatMap((join) => ways.map((way) => way.map((name) => join.keys[name] ?? name)));
  const tuples = [...new Map([...ways, ...renamed].map((tuple) => [tuple.join('\n'), tuple])).values()];
  const tables = await db.query<TableRef & { columns: TableColumn[]; filled: boolean }>(
    `SELECT project, schema, name, revision, columns, EXISTS (SELECT FROM files f
       WHERE (f.project, f.schema, f.name, f.revision) = (t.project, t.schema, t.name, t.revision) AND f.deleted_at IS NULL) AS filled
     FROM lake_tables t WHERE project = $1 ORDER BY schema, name, revision`,
    [project],
  );
  return tables.flatMap(({ columns, filled, ...table }) => {
    if (table.schema !== 'features' && table.schema !== 'quarantine') return [{ table, columns, tuples }];
    const made = pinned.find(({ view, revision }) => view === table.name && revision === table.revision);
    if (!made) return [];
    const own = namesThen(keys, made.keys);
    if (own) return [{ table, columns, tuples: [own] }];
    if (!filled) return [];
    const names = made.keys.map(({ name }) => name).join(', ');
    const message = `Rows of ${tableId(table)} have the key ${names}, which is not that of the active Entity "${entity}": nobody can say which are to be erased. Erase under the Entity that they were made with, or collect them as garbage first.`; // prettier-ignore
    throw new DomainError('erasure_incomplete', message, { table: tableId(table) });
  });
}

/** The names that the columns of a key have, and had in earlier revisions of its Entity. */
export async function keyNames(
  db: Queries,
  project: ProjectName,
  entity: string,
  keys: readonly Column[],
): Promise<(readonly string[])[]> {
  const revisions = await db.query<{ keys: Column[] }>(
    `SELECT body -> 'keys' AS keys FROM revisions WHERE project = $1 AND kind = 'Entity' AND name = $2 ORDER BY revision DESC`,
    [project, entity],
  );
  const ways = [keys, ...revisions.map((one) => one.keys)].map((then) => namesThen(keys, then));
  return [...new Map(ways.flatMap((way) => (way ? [[way.join('\n'), way] as const] : []))).values()];
}

/** Revisions of views of the entity, with the key that each was made with. */
async function pinnedKeys(db: Queries, project: ProjectName, entity: string) {
  return db.query<{ view: string; revision: number; keys: Column[] }>(
    `SELECT v.name AS view, v.revision, e.body -> 'keys' AS keys FROM revisions v
       JOIN revisions e ON e.project = v.project AND e.kind = 'Entity' AND e.name = $2 AND e.revision = (v.pins ->> $3)::int
     WHERE v.project = $1 AND v.kind = 'FeatureView' AND v.body ->> 'entity' = $2`,
    [project, entity, referenceKey({ kind: 'Entity', name: entity })],
  );
}

async function joinsOf(db: Queries, project: ProjectName): Promise<NonNullable<Joining['joins']>> {
  const rows = await db.query<{ spec: Joining }>(
    `SELECT body AS spec FROM revisions WHERE project = $1 AND kind IN ('Model', 'FeatureService')
     UNION ALL SELECT manifest -> 'spec' FROM training_sets WHERE project = $1`,
    [project],
  );
  return rows.flatMap(({ spec }) => spec?.joins ?? []);
}

export interface TableFileRow {
  readonly key: string;
  readonly commit: number;
  readonly sha256: string;
  readonly rows: number;
  readonly start: string;
  readonly end: string;
}

/** All files of a table that are not deleted, of every snapshot; compacted ones too, which have no commit. */
export async function filesOf(
  db: Queries,
  table: TableRef,
): Promise<{ files: TableFileRow[]; compactions: { key: string }[] }> {
  const [files, compactions] = await Promise.all([
    db.query<TableFileRow>(
      `SELECT f.key, f.commit_id AS commit, f.sha256, f.rows, c.window_start AS start, c.window_end AS "end" FROM files f JOIN commits c ON c.id = f.commit_id
       WHERE (f.project, f.schema, f.name, f.revision) = ($1, $2, $3, $4) AND f.deleted_at IS NULL ORDER BY f.window_start, f.key`,
      tableValues(table),
    ),
    db.query<{ key: string }>(
      `SELECT key FROM compactions WHERE ${tableWhere} AND deleted_at IS NULL`,
      tableValues(table),
    ),
  ]);
  return { files, compactions };
}

/** The other files of a commit, which its row hash covers as well. */
export async function commitFiles(db: Queries, commit: number): Promise<string[]> {
  return (await db.query<{ key: string }>('SELECT key FROM files WHERE commit_id = $1 ORDER BY key', [commit])).map(
    ({ key }) => key,
  );
}

export interface Rewritten {
  readonly table: TableRef;
  readonly erasure: string;
  readonly old: TableFileRow;
  readonly file: StagedFile;
  /** Of the commit with the new file in the place of the old one. */
  readonly rowHash: string;
  /** What must be true together with it. */
  readonly also?: (tx: Queries) => Promise<void>;
}

/**
 * The new file takes the place of the old one in every snapshot, with the commit's rows, bytes and row hash, and the old one is
 * noted to be deleted. False: somebody else replaced or removed the old file; the new one is abandoned.
 */
export async function swapFile(
  db: Database,
  { table, erasure, old, file, rowHash, also }: Rewritten,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await requireOpen(tx, table.project, erasure);
    await tx.query(`SELECT 1 FROM lake_tables WHERE ${tableWhere} FOR UPDATE`, tableValues(table));
    const [found] = await tx.query<{ rows: number; bytes: number; start: string }>(
      'UPDATE files f SET key = $2, rows = $3, bytes = $4, sha256 = $5 FROM files o WHERE f.key = $1 AND o.key = f.key AND f.removed_at IS NULL RETURNING o.rows, o.bytes, f.window_start AS start',
      [old.key, file.key, file.rows, file.bytes, file.sha256],
    );
    if (!found) return false;
    const { before } = only(
      await tx.query<{ before: string }>(
        `UPDATE commits c SET rows = c.rows + $2, bytes = c.bytes + $3, row_hash = $4 FROM commits o WHERE c.id = $1 AND o.id = c.id RETURNING o.row_hash AS before`,
        [old.commit, file.rows - found.rows, file.bytes - found.bytes, rowHash],
      ),
    );
    await tx.query(
      `INSERT INTO erased_files (project, schema, name, revision, erasure, commit_id, old_key, new_key, old_sha256, new_sha256, old_rows, new_rows, old_row_hash, new_row_hash)
       VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)`,
      [
        ...tableValues(table),
        ...[erasure, old.commit, old.key, file.key, old.sha256, file.sha256, found.rows, file.rows, before, rowHash],
      ],
    );
    // What stood for this window holds the rows too; its members are there without it.
    await tx.query(
      `UPDATE compactions SET removed_at = clock_timestamp(), removed_by = $6 WHERE ${tableWhere} AND first_start <= $5 AND last_start >= $5 AND removed_at IS NULL`,
      [...tableValues(table), found.start, erasure],
    );
    await also?.(tx);
    return true;
  });
}

/** A compacted file with rows of the key: readers go back to the files that it stood for. */
export async function dropCompaction(db: Queries, key: string, erasure: string): Promise<void> {
  await db.query(
    'UPDATE compactions SET removed_at = coalesce(removed_at, clock_timestamp()), removed_by = $2 WHERE key = $1',
    [key, erasure],
  );
}

/** Training sets that lost rows, or that pin a snapshot which did: they are marked, and whoever verifies them is told. */
export async function markTrainingSets(db: Queries, project: ProjectName, erasure: string): Promise<void> {
  await db.query(
    `INSERT INTO erased_training_sets (project, training_set, erasure, rows, snapshots)
     SELECT t.project, t.name, $2, own.rows, pinned.snapshots FROM training_sets t
       CROSS JOIN LATERAL (SELECT coalesce(sum(e.old_rows - e.new_rows), 0)::bigint AS rows FROM erased_files e
         WHERE e.project = t.project AND e.erasure = $2 AND e.schema = 'datasets' AND e.name = t.name) own
       CROSS JOIN LATERAL (SELECT coalesce(jsonb_agg(DISTINCT v.id), '[]') AS snapshots FROM (
           SELECT s ->> 'view' AS view, (s ->> 'revision')::int AS revision, (s ->> 'snapshot')::bigint AS snapshot,
             'features/' || (s ->> 'view') || '@r' || (s ->> 'revision') || '@s' || (s ->> 'snapshot') AS id FROM jsonb_array_elements(t.manifest -> 'views') s) v
         WHERE EXISTS (SELECT FROM erased_files e JOIN files f ON f.key = e.new_key WHERE e.project = t.project AND e.erasure = $2 AND e.schema = 'features'
           AND e.name = v.view AND e.revision = v.revision AND f.begin_snapshot <= v.snapshot AND (f.end_snapshot IS NULL OR f.end_snapshot > v.snapshot))) pinned
     WHERE t.project = $1 AND (own.rows > 0 OR pinned.snapshots <> '[]')
     ON CONFLICT (project, training_set, erasure) DO UPDATE SET rows = EXCLUDED.rows, snapshots = EXCLUDED.snapshots`,
    [project, erasure],
  );
  // Bounds and counted texts may be values of the rows that are gone; the digests are those of a file that is.
  await db.query(
    `UPDATE training_sets t SET manifest = t.manifest || '{"statistics": []}', parts = NULL FROM erased_training_sets e
     WHERE t.project = $1 AND (e.project, e.training_set) = (t.project, t.name) AND e.erasure = $2 AND e.rows > 0`,
    [project, erasure],
  );
}

type Findings = Pick<ErasureCertificate, 'tables' | 'rows' | 'trainingSets' | 'versions' | 'sources'>;

/** Everything that an erasure did, from what it noted as it did it. */
export async function findingsOf(
  db: Queries,
  project: ProjectName,
  erasure: string,
  entity: string,
): Promise<Findings> {
  const values = [project, erasure];
  const [files, rows, trainingSets] = await Promise.all([
    db.query<TableRef & { before: string; after: string; rowsBefore: number; rowsAfter: number }>(
      `SELECT schema, name, revision, old_sha256 AS before, new_sha256 AS after, old_rows AS "rowsBefore", new_rows AS "rowsAfter"
       FROM erased_files WHERE project = $1 AND erasure = $2 ORDER BY schema, name, revision, old_key`,
      values,
    ),
    db.query<{ what: string; rows: number }>(
      'SELECT what, rows FROM erased_rows WHERE project = $1 AND erasure = $2 ORDER BY what',
      values,
    ),
    db.query<ErasureCertificate['trainingSets'][number]>(
      'SELECT training_set AS name, rows, snapshots FROM erased_training_sets WHERE project = $1 AND erasure = $2 ORDER BY 1',
      values,
    ),
  ]);
  const versions = await db.query<{ version: string }>(
    `SELECT v.model || '/' || v.version AS version FROM versions v JOIN runs r ON (r.project, r.id) = (v.project, v.run_id)
     JOIN erased_training_sets t ON (t.project, t.training_set) = (r.project, r.training_set) WHERE t.project = $1 AND t.erasure = $2 ORDER BY 1`,
    values,
  );
  const views = await db.query<Pick<Revision<'FeatureView'>, 'spec'>>(
    `SELECT DISTINCT body AS spec FROM revisions WHERE project = $1 AND kind = 'FeatureView' AND body ->> 'entity' = $2`,
    [project, entity],
  );
  const tables = new Map<string, ErasedTable>();
  for (const { schema, name, revision, before, after, rowsBefore, rowsAfter } of files) {
    const table = tableId({ project, schema, name, revision });
    const known = tables.get(table) ?? { table, rows: 0, files: [] };
    const file = { before, after, rowsBefore, rowsAfter } as ErasedTable['files'][number];
    tables.set(table, { table, rows: known.rows + rowsBefore - rowsAfter, files: [...known.files, file] });
  }
  return {
    tables: [...tables.values()],
    rows: Object.fromEntries(rows.map((row) => [row.what, row.rows])),
    trainingSets,
    versions: versions.map(({ version }) => version),
    sources: [...new Set(views.flatMap(({ spec }) => spec.sources))].sort(),
  };
}
