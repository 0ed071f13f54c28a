import type { ProjectName } from '../domain/ids.js';
import { tableSchemas } from '../domain/tables.js';
import type { ObjectEntry } from '../lake/objects.js';
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
