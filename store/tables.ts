import { randomBytes } from 'node:crypto';
import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { sha256 } from '../domain/json.js';
import type { PinnedTable, TableColumn, TableFile, TableReader, TableSchema } from '../domain/tables.js';
import { only, type Database } from './db.js';
import { requireProject } from './resources.js';

interface TableRow {
  name: string;
  schema: TableSchema;
  revision: number;
  snapshot: number;
  columns: TableColumn[];
}

/** Names of the lake, pinned: which files a snapshot of a table is. */
export function tables(db: Database): TableReader {
  const at: TableReader['at'] = async (project, schema, name, revision, snapshot) => {
    const table = await find(db, project, schema, name, revision);
    if (snapshot < 1 || snapshot > table.snapshot)
      throw new DomainError('snapshot_unknown', `"${name}" has snapshots 1 to ${table.snapshot}, not ${snapshot}.`, {
        name,
        snapshot,
      });
    return pin(db, project, table, snapshot);
  };

  return {
    at,
    list: (project, schema) => list(db, project, schema),
    async resolve(project, schema, name) {
      const match = /^(?<base>[^@]+)(?:@(?<kind>[rs])(?<number>\d{1,9}))?$/.exec(name);
      if (!match?.groups)
        throw new DomainError('table_unknown', `"${name}" is not NAME, NAME@r2 or NAME@s41.`, { name });
      const { base, kind, number } = match.groups as { base: string; kind?: string; number?: string };
      const table = await find(db, project, schema, base, kind === 'r' ? Number(number) : undefined);
      if (kind === 's') return at(project, schema, base, table.revision, Number(number));
      return pin(db, project, table, table.snapshot);
    },
    async ticketKey() {
      await db.query('INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
        'flight_tickets',
        randomBytes(32),
      ]);
      return only(await db.query<{ value: Buffer }>('SELECT value FROM secrets WHERE name = $1', ['flight_tickets']))
        .value;
    },
  };
}

async function pin(db: Database, project: ProjectName, table: TableRow, snapshot: number): Promise<PinnedTable> {
  const files = await db.query<TableFile & { rowHash: string }>(
    `SELECT f.key, f.rows, f.bytes, c.row_hash AS "rowHash" FROM files f JOIN commits c ON c.id = f.commit_id
     WHERE f.project = $1 AND f.schema = $2 AND f.name = $3 AND f.revision = $4 AND f.begin_snapshot <= $5 AND (f.end_snapshot IS NULL OR f.end_snapshot > $5)
     ORDER BY f.window_start, f.lane DESC, f.key`,
    [project, table.schema, table.name, table.revision, snapshot],
  );
  const { schema, name, revision, columns } = table;
  return {
    ...{ project, schema, name, revision, snapshot, columns },
    rowHash: snapshotHash(files.map((file) => file.rowHash)),
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files: files.map(({ key, rows, bytes }) => ({ key, rows, bytes })),
  };
}

const selectTables = `t.name, t.schema, t.revision, t.snapshot, t.columns FROM lake_tables t
  LEFT JOIN resources r ON t.schema = 'features' AND (r.project, r.kind, r.name) = (t.project, 'FeatureView', t.name)`;

/** A feature view's plain name means its active revision, that of predictions the newest; datasets have one revision. */
async function find(
  db: Database,
  project: ProjectName,
  schema: TableSchema,
  name: string,
  revision?: number,
): Promise<TableRow> {
  await requireProject(db, project);
  const [row] = await db.query<TableRow>(
    `SELECT ${selectTables}
     WHERE t.project = $1 AND t.schema = $2 AND t.name = $3 AND ($4::int IS NULL OR t.revision = $4) AND t.snapshot > 0
     ORDER BY (t.revision = r.active) DESC NULLS LAST, t.revision DESC LIMIT 1`,
    [project, schema, name, revision ?? null],
  );
  if (row) return row;
  const which = revision === undefined ? '' : ` in revision ${revision}`;
  throw new DomainError('table_unknown', `Project "${project}" has nothing named "${name}"${which} under ${schema}.`, {
    ...{ project, schema, name },
  });
}

async function list(db: Database, project: ProjectName, schema?: TableSchema): Promise<PinnedTable[]> {
  await requireProject(db, project);
  const rows = await db.query<TableRow>(
    `SELECT DISTINCT ON (t.schema, t.name) ${selectTables}
     WHERE t.project = $1 AND ($2::text IS NULL OR t.schema = $2) AND t.snapshot > 0
     ORDER BY t.schema, t.name, (t.revision = r.active) DESC NULLS LAST, t.revision DESC`,
    [project, schema ?? null],
  );
  return Promise.all(rows.map((row) => pin(db, project, row, row.snapshot)));
}

/** The newest revision of a table, 1 while it has none. */
export async function newestRevision(
  db: Database,
  { project, schema, name }: { readonly project: ProjectName; readonly schema: TableSchema; readonly name: string },
): Promise<number> {
  const rows = await db.query<{ revision: number }>(
    'SELECT coalesce(max(revision), 1) AS revision FROM lake_tables WHERE project = $1 AND schema = $2 AND name = $3',
    [project, schema, name],
  );
  return only(rows).revision;
}

/** A snapshot's row hash: over its windows' row hashes in window order, so equal windows make equal snapshots. */
export const snapshotHash = (windowHashes: readonly string[]): string => sha256(windowHashes.join('\n'));
