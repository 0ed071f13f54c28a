import { randomBytes } from 'node:crypto';
import { DomainError } from '../domain/errors.js';
import type { Lane } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { sha256 } from '../domain/json.js';
import type { Corrections, PinnedTable, TableColumn, TableFile, TableReader, TableSchema } from '../domain/tables.js';
import { only, type Database, type Queries } from './db.js';
import { leaseSnapshot, promiseSnapshots } from './leases.js';
import { shapeOf } from './online-shapes.js';
import { getResource, requireProject } from './resources.js';
import { namePart } from './table-names.js';
import { snapshotAt } from './time-travel.js';

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
    const { base, raw } = namePart(name);
    const table = await find(db, project, schema, base, revision);
    return pin(db, project, table, known(table, snapshot), raw);
  };

  return {
    at,
    list: (project, schema) => list(db, project, schema),
    async resolve(project, schema, asked) {
      const name = schema === 'datasets' ? await namedByHash(db, project, asked) : asked;
      const { base, revision, snapshot, time, raw } = namePart(name);
      const table = await find(db, project, schema, base, revision);
      if (time === undefined) return pin(db, project, table, known(table, snapshot ?? table.snapshot), raw);
      return pin(db, project, table, await snapshotAt(db, { project, ...table }, time), raw);
    },
    promise: (pinned, forMs) => promiseSnapshots(db, pinned, forMs),
    lease: (ref, forMs) => leaseSnapshot(db, ref, 'stream', forMs),
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

const hashPattern = /^sha256:([0-9a-f]{64})$/;

/**
 * A training set may be named by its row hash, like the file of an image. Of several with the same rows any will do; one that
 * lost rows to an erasure is no longer what its hash says.
 */
async function namedByHash(db: Database, project: ProjectName, name: string): Promise<string> {
  const [, rowHash] = hashPattern.exec(name.toLowerCase()) ?? [];
  if (rowHash === undefined) return name;
  await requireProject(db, project);
  const [found] = await db.query<{ name: string }>(
    `SELECT name FROM training_sets t WHERE project = $1 AND row_hash = $2
     AND NOT EXISTS (SELECT FROM erased_training_sets e WHERE e.project = t.project AND e.training_set = t.name AND e.rows > 0)
     ORDER BY name LIMIT 1`,
    [project, rowHash],
  );
  if (found) return found.name;
  throw new DomainError('table_unknown', `Project "${project}" has no training set with these rows.`, {
    project,
    name,
  });
}

function known({ name, snapshot: newest }: TableRow, snapshot: number): number {
  if (snapshot >= 1 && snapshot <= newest) return snapshot;
  const message = `"${name}" has snapshots 1 to ${newest}, not ${snapshot}.`;
  throw new DomainError('snapshot_unknown', message, { name, snapshot });
}

interface PinnedFile extends Omit<TableFile, 'lane'> {
  readonly lane: Lane;
  readonly rowHash: string;
  readonly start: Instant;
  readonly collected: boolean;
}
interface Compaction extends TableFile {
  readonly first: Instant;
  readonly last: Instant;
}

async function pin(
  db: Database,
  project: ProjectName,
  table: TableRow,
  snapshot: number,
  raw = false,
): Promise<PinnedTable> {
  const { schema, name, revision, columns } = table;
  const values = [project, schema, name, revision, snapshot];
  const [files, compactions] = await Promise.all([
    db.query<PinnedFile>(
      `SELECT f.key, f.rows, f.bytes, c.row_hash AS "rowHash", f.window_start AS start, f.removed_at IS NOT NULL AS collected, f.lane
       FROM files f JOIN commits c ON c.id = f.commit_id
       WHERE f.project = $1 AND f.schema = $2 AND f.name = $3 AND f.revision = $4 AND f.begin_snapshot <= $5 AND (f.end_snapshot IS NULL OR f.end_snapshot > $5)
       ORDER BY f.window_start, f.lane DESC, f.key`,
      values,
    ),
    db.query<Compaction>(
      `SELECT key, rows, bytes, first_start AS first, last_start AS last FROM compactions
       WHERE project = $1 AND schema = $2 AND name = $3 AND revision = $4 AND begin_snapshot <= $5 AND (end_snapshot IS NULL OR end_snapshot > $5) AND removed_at IS NULL
       ORDER BY first_start, last_start DESC`,
      values,
    ),
  ]);
  if (files.some(({ collected }) => collected))
    throw new DomainError('snapshot_collected', `Garbage collection removed snapshot ${snapshot} of "${name}".`, {
      name,
      snapshot,
    });
  const fewer = fewerFiles(files, compactions);
  const pushed = fewer.some(isPushed);
  return {
    ...{ project, schema, name, revision, snapshot, columns },
    ...(pushed && raw ? { raw } : {}),
    ...(pushed && !raw ? { corrections: await correctionsOf(db, project, table, fewer) } : {}),
    // Of the windows, not of the files that are read: compaction changes nothing about a snapshot.
    rowHash: snapshotHash(files.map((file) => file.rowHash)),
    rows: files.reduce((sum, file) => sum + file.rows, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files: fewer.map(({ start: _, ...file }) => file),
  };
}

type PlacedFile = TableFile & { readonly start: Instant };
const isPushed = ({ lane, rows }: TableFile): boolean => lane === 'pushes' && rows > 0;

/** By what the view knows its rows, and the files of all windows from the first with pushed rows to the last. */
async function correctionsOf(
  db: Database,
  project: ProjectName,
  { name, revision }: TableRow,
  files: readonly PlacedFile[],
): Promise<Corrections> {
  const view = await getResource(db, project, 'FeatureView', name, revision);
  const { keys, eventTime, knownAt } = await shapeOf(db, project, view);
  const start = files.find(isPushed)?.start;
  const first = files.findIndex((file) => file.start === start);
  return { keys, eventTime, knownAt, first, end: files.findLastIndex(isPushed) + 1 };
}

/** The files in window order, with a compaction in the place of those that it stands for. */
function fewerFiles(files: readonly PinnedFile[], compactions: readonly Compaction[]): PlacedFile[] {
  const taken: (Omit<TableFile, 'lane'> & { readonly start: Instant; readonly lane?: Lane })[] = [];
  let at = 0;
  let covered: Instant | null = null;
  for (const { key, rows, bytes, first, last } of compactions) {
    // Of two that overlap the one that begins earlier, or is longer, is read.
    if (covered !== null && first <= covered) continue;
    for (let file = files[at]; file && file.start < first; file = files[++at]) taken.push(file);
    taken.push({ key, rows, bytes, start: first });
    while ((files[at]?.start ?? '~') <= last) at++;
    covered = last;
  }
  return [...taken, ...files.slice(at)].map(({ key, rows, bytes, start, lane }) => ({
    ...{ key, rows, bytes, start },
    ...(lane === 'pushes' ? { lane } : {}),
  }));
}

const selectTables = `t.name, t.schema, t.revision, t.snapshot, t.columns FROM lake_tables t
  LEFT JOIN resources r ON t.schema IN ('features', 'quarantine') AND (r.project, r.kind, r.name) = (t.project, 'FeatureView', t.name)
  LEFT JOIN revisions v ON (v.project, v.kind, v.name, v.revision) = (r.project, r.kind, r.name, t.revision)`;

/**
 * Which revision answers to a plain name. Of a feature view the active one, once it is complete; until then the last active
 * one that is: a new revision is backfilled window by window, and readers should not see it half. Of predictions the newest.
 */
export const answersFirst = `t.complete_at IS NOT NULL DESC, (t.revision = r.active) DESC NULLS LAST, v.activated_at DESC NULLS LAST, t.revision DESC`;

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
     ORDER BY ${answersFirst} LIMIT 1`,
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
     ORDER BY t.schema, t.name, ${answersFirst}`,
    [project, schema ?? null],
  );
  return Promise.all(rows.map((row) => pin(db, project, row, row.snapshot)));
}

/** The revision of a feature view that answers to its plain name; null while none has rows. */
export async function answeringRevision(db: Queries, project: ProjectName, view: string): Promise<number | null> {
  const [row] = await db.query<TableRow>(
    `SELECT ${selectTables} WHERE t.project = $1 AND t.schema = 'features' AND t.name = $2 AND t.snapshot > 0 ORDER BY ${answersFirst} LIMIT 1`,
    [project, view],
  );
  return row?.revision ?? null;
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
