import { access } from 'node:fs/promises';
import { isDomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { fromMicros } from '../domain/instants.js';
import type { ErasureCertificate } from '../domain/snapshots.js';
import { tableSchemas } from '../domain/tables.js';
import { quoteText, type Session } from '../lake/duckdb.js';
import { hasJsonKey, holdsKey } from '../lake/erased.js';
import type { ObjectEntry } from '../lake/objects.js';
import { describe } from '../lake/sources/index.js';
import type { ErasureKey } from '../store/erasures.js';
import { namedKeys } from '../store/retention.js';
import type { Dependencies } from './dependencies.js';

/** No attempt lives longer: a step has eight days at most, and a trainer's folder is written to while it works. */
export const attemptMs = 9 * 86_400_000;

const batchMax = 1_000;

/** Files of the lake that no row names: staged by an attempt that works still, or that died. */
export async function orphansOf(
  { db, lake }: Pick<Dependencies, 'db' | 'lake'>,
  project: ProjectName,
  among: (entry: ObjectEntry) => boolean,
): Promise<ObjectEntry[]> {
  const orphans: ObjectEntry[] = [];
  for (const schema of tableSchemas) {
    // Listed first: what is committed in between is named.
    const files = (await lake.list(`${project}/${schema}`)).filter(
      (entry) => entry.key.endsWith('.parquet') && among(entry),
    );
    for (let at = 0; at < files.length; at += batchMax) {
      const batch = files.slice(at, at + batchMax);
      const keys = batch.map(({ key }) => key);
      const named = await namedKeys(db, keys);
      orphans.push(...batch.filter(({ key }) => !named.has(key)));
    }
  }
  return orphans;
}

/**
 * Files that nobody reads and that may hold the key: an attempt that works still, or died lately, has staged them. They may not
 * be taken from one that works; once none can, garbage collection removes them.
 */
export async function stagedWithKey(
  dependencies: Pick<Dependencies, 'db' | 'lake'>,
  session: Session,
  project: ProjectName,
  { values }: ErasureKey,
  tuples: readonly (readonly string[])[],
): Promise<ErasureCertificate['staged']> {
  let newestMs: number | null = null;
  let files = 0;
  for (const { key, modifiedMs } of await orphansOf(dependencies, project, () => true)) {
    const file = dependencies.lake.path(key);
    if (!(await mayHold(session, file, tuples, values))) continue;
    files += 1;
    newestMs = Math.max(newestMs ?? 0, modifiedMs);
  }
  return { files, collectableAt: newestMs === null ? null : fromMicros((Math.ceil(newestMs) + attemptMs) * 1000) };
}

/** What cannot be read, because it is written just now or was never finished, may. */
async function mayHold(
  session: Session,
  file: string,
  tuples: readonly (readonly string[])[],
  values: readonly string[],
): Promise<boolean> {
  const rows = `read_parquet(${quoteText(file)})`;
  try {
    const columns = await describe(session, rows);
    const jsonKey = hasJsonKey(columns);
    const [found] = await session.rows<{ held: boolean }>(
      `SELECT count(*) > 0 AS held FROM ${rows} WHERE ${holdsKey(columns, tuples, values, jsonKey)}`,
    );
    return found?.held ?? false;
  } catch (error) {
    if (!isDomainError(error)) throw error;
    return access(file).then(
      () => true,
      () => false,
    );
  }
}
