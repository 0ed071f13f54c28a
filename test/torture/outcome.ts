import { readFile } from 'node:fs/promises';
import type { ProjectName } from '../../domain/ids.js';
import { digestOf, sha256 } from '../../domain/json.js';
import type { Queries } from '../../store/db.js';

/** What is left of a project’s work, without what differs from run to run: two runs of the same work have the same outcome. */
export interface Outcome {
  /** One row a window and lane, with the rows that its head holds. */
  readonly heads: readonly object[];
  /** How many commits each window and lane ever had. */
  readonly commits: readonly object[];
  /** Of each window’s commits, in order, how many files are there, are marked as garbage, and were deleted. */
  readonly files: readonly object[];
  readonly compactions: readonly object[];
  /** Of each view the live generation’s number and rows. */
  readonly online: readonly object[];
  readonly pushes: readonly object[];
  readonly staged: readonly object[];
  readonly erasures: readonly object[];
}

export async function outcomeOf(db: Queries, project: ProjectName): Promise<Outcome> {
  const rows = (sql: string) => db.query<Record<string, unknown>>(sql, [project]);
  const live = await rows(
    'SELECT v.view, v.live, g.generation, g.revision FROM online_views v JOIN online_generations g ON g.id = v.live WHERE v.project = $1 ORDER BY v.view',
  );
  const online = [];
  for (const { live: id, ...view } of live)
    online.push({ ...view, rows: await db.query(`SELECT key, event_time, known_at, features FROM online.g${Number(id)} ORDER BY key`) }); // prettier-ignore
  return {
    heads: await rows(
      `SELECT h.schema, h.name, h.revision, h.lane, h.window_start AS start, h.window_end AS "end", c.rows, c.row_hash AS "rowHash" FROM window_heads h JOIN commits c ON c.id = h.commit_id
       WHERE h.project = $1 ORDER BY h.schema, h.name, h.revision, h.lane, h.window_start`,
    ),
    commits: await rows(
      'SELECT schema, name, revision, lane, window_start AS start, count(*) AS commits FROM commits WHERE project = $1 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5',
    ),
    files: await rows(
      'SELECT f.name, f.lane, f.window_start AS start, f.end_snapshot IS NULL AS newest, f.removed_at IS NOT NULL AS removed, f.deleted_at IS NOT NULL AS deleted, count(*) AS files FROM files f WHERE f.project = $1 GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6',
    ),
    compactions: await rows(
      'SELECT name, first_start, last_start, members, rows, row_hash FROM compactions WHERE project = $1 AND removed_at IS NULL AND end_snapshot IS NULL ORDER BY name, first_start',
    ),
    online,
    pushes: await rows(`SELECT view, id, answer FROM pushes WHERE project = $1 ORDER BY view, id`),
    staged: await rows(
      'SELECT view, sequence, push_id, row_index, target, key, event_time, known_at, features, flushed_snapshot IS NOT NULL AS flushed FROM pushed_rows WHERE project = $1 ORDER BY view, sequence',
    ),
    erasures: await rows(
      'SELECT entity, key IS NULL AS forgotten, status FROM erasures WHERE project = $1 ORDER BY id',
    ),
  };
}

/** One hash over all of it. */
export const storeHash = (outcome: Outcome): string => digestOf(outcome);

interface Recorded {
  readonly key: string;
  readonly sha256: string;
}

/** Every file that is recorded and not collected is there with its bytes; returns how many. */
export async function checkFiles(db: Queries, project: ProjectName, path: (key: string) => string): Promise<number> {
  const files = await db.query<Recorded>(
    `SELECT key, sha256 FROM files WHERE project = $1 AND removed_at IS NULL UNION ALL SELECT key, sha256 FROM compactions WHERE project = $1 AND removed_at IS NULL`,
    [project],
  );
  for (const file of files) {
    const found = sha256(await readFile(path(file.key)));
    if (found !== file.sha256) throw new Error(`${file.key} is not what was committed.`);
  }
  return files.length;
}
