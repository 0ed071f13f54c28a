import { randomUUID } from 'node:crypto';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import { failpoint } from '../domain/failpoints.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import type { EraseEntity, ErasureCertificate } from '../domain/snapshots.js';
import { quoteText, type Session } from '../lake/duckdb.js';
import { hasJsonKey, holdsKey } from '../lake/erased.js';
import { hashRows } from '../lake/rows.js';
import { writeFile } from '../lake/snapshots.js';
import { windowStatistics } from '../lake/statistics.js';
import { eraseRecords, countRecords } from '../store/erased-records.js';
import { erasureKey, type ErasureKey } from '../store/erasures.js';
import {
  commitFiles,
  dropCompaction,
  erasureTargets,
  filesOf,
  markTrainingSets,
  swapFile,
  type ErasureTarget,
  type TableFileRow,
} from '../store/erasing.js';
import { getResource } from '../store/resources.js';
import { markedFiles, noteDeleted } from '../store/retention.js';
import { tableId } from '../store/snapshots.js';
import { replaceStatistics } from '../store/statistics.js';
import { certify } from './certificates.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';
import { attemptMs, orphansOf, stagedWithKey } from './orphans.js';

export type ErasureDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake'>;

export interface Verified extends Pick<ErasureCertificate, 'staged'> {
  /** Where rows of the key still are, and how many; empty: nowhere. */
  readonly left: Readonly<Record<string, number>>;
  readonly tables: number;
  readonly files: number;
}

export const erasureActivities = (dependencies: ErasureDependencies) => ({
  /** Writes every file anew that holds rows of the key, table by table; a repeat finds those that are left. */
  eraseTables: (input: EraseEntity): Promise<void> =>
    beating((signal, beat) => withoutSql(() => eraseTables(dependencies, input, signal, beat))),

  /** Deletes rows of PostgreSQL and marks training sets; a repeat finds those that are left. */
  eraseRecords: (input: EraseEntity): Promise<void> =>
    beating(async () => {
      const { db } = dependencies;
      const { project, erasure } = input;
      const key = await erasureKey(db, project, erasure);
      if (key === null) return;
      await eraseRecords(db, project, erasure, key, await tuplesOf(dependencies, project, key));
      await markTrainingSets(db, project, erasure);
    }),

  /** Looks for the key in every file and table once more. Reads only. */
  verifyErasure: (input: EraseEntity): Promise<Verified> =>
    beating((signal) => withoutSql(() => verify(dependencies, input, signal))),

  /** Records what was done, signs it, and forgets the key; a repeat answers the recorded certificate. */
  certifyErasure: ({
    verified,
    ...input
  }: EraseEntity & { readonly verified: Verified }): Promise<{ sha256: string }> =>
    certify(dependencies, input, verified),
});

/** Failures are kept by Temporal and in logs; the SQL of one would tell them the key. */
async function withoutSql<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!isDomainError(error)) throw error;
    const { sql: _, ...data } = error.data;
    throw new DomainError(error.code, error.message, data);
  }
}

const filesAtOnce = 500;
const deletedAtOnce = 1_000;

/** Every way in which rows may hold the key, of all tables. */
async function tuplesOf({ db }: ErasureDependencies, project: ProjectName, key: ErasureKey) {
  const targets = await erasureTargets(db, project, key);
  const own = key.keys.map(({ name }) => name);
  return [...new Map([[own], ...targets.map(({ tuples }) => tuples)].flat().map((one) => [one.join('\n'), one])).values()]; // prettier-ignore
}

async function eraseTables(
  dependencies: ErasureDependencies,
  { project, erasure }: EraseEntity,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<void> {
  const { db, engine, lake } = dependencies;
  const key = await erasureKey(db, project, erasure);
  if (key === null) return;
  await deleteMarked(dependencies, project);
  const until = Date.now() - attemptMs;
  for (const { key: left } of await orphansOf(dependencies, project, ({ modifiedMs }) => modifiedMs < until))
    await lake.remove(left);
  await engine.session(async (session) => {
    for (const target of await erasureTargets(db, project, key)) {
      const holds = conditionOf(target, key);
      const { files, compactions } = await filesOf(db, target.table);
      const within = await holding(session, dependencies, [...files, ...compactions], holds);
      for (const { key: compacted } of compactions)
        if (within.has(compacted)) await dropCompaction(db, compacted, erasure);
      for (const old of files.filter((file) => within.has(file.key))) {
        await rewrite(dependencies, session, { target, erasure, old, holds });
        beat({ rewritten: old.start });
      }
    }
  }, signal);
  // Not garbage of anybody's: nobody may read the old files for another day.
  await deleteMarked({ db, lake }, project);
}

const conditionOf = ({ table, columns, tuples }: ErasureTarget, { values }: ErasureKey): string =>
  holdsKey(columns, tuples, values, table.schema === 'inference' && hasJsonKey(columns));

/** Which of these files have rows of the key, and how many; bounds in the files' footers spare most of the reading. */
async function holding(
  session: Session,
  { lake }: Pick<ErasureDependencies, 'lake'>,
  files: readonly { readonly key: string }[],
  holds: string,
): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  if (holds === 'false') return found;
  for (let at = 0; at < files.length; at += filesAtOnce) {
    const paths = new Map(files.slice(at, at + filesAtOnce).map(({ key }) => [lake.path(key), key]));
    const list = [...paths.keys()].map(quoteText).join(', ');
    const rows = await session.rows<{ filename: string; rows: number }>(
      `SELECT filename, count(*)::DOUBLE AS rows FROM read_parquet([${list}], filename = true) WHERE ${holds} GROUP BY ALL`,
    );
    for (const { filename, rows: count } of rows) found.set(paths.get(filename) ?? filename, count);
  }
  return found;
}

interface Rewriting {
  readonly target: ErasureTarget;
  readonly erasure: string;
  readonly old: TableFileRow;
  readonly holds: string;
}

async function rewrite(
  { db, lake }: ErasureDependencies,
  session: Session,
  { target: { table, columns }, erasure, old, holds }: Rewriting,
): Promise<void> {
  const kept = `(SELECT * FROM read_parquet(${quoteText(lake.path(old.key))}) WHERE NOT ${holds})`;
  const folder = old.key.split('/').slice(0, -2).join('/');
  const label = old.key.split('/').at(-2) ?? 'rows';
  // The order of the rows that stay is part of what readers see.
  const { rowHash: _, ...file } = await writeFile({ session, objects: lake, relation: kept, columns, orderBy: [], folder }, '', label); // prettier-ignore
  const others = (await commitFiles(db, old.commit)).filter((key) => key !== old.key);
  const whole = `read_parquet([${[file.key, ...others].map((key) => quoteText(lake.path(key))).join(', ')}])`;
  const { rowHash } = await hashRows(session, whole, columns);
  await failpoint('erase.rewritten');
  const window = { start: old.start as Instant, end: old.end as Instant };
  const also = table.schema === 'features' ? await newStatistics(db, session, table, whole, window, old) : undefined;
  const swapped = await swapFile(db, { table, erasure, old, file, rowHash, also });
  if (!swapped) await lake.remove(file.key);
}

/** What a view's statistics say of the window must not say anything of rows that are gone. */
async function newStatistics(
  db: Dependencies['db'],
  session: Session,
  { project, name, revision }: ErasureTarget['table'],
  rows: string,
  window: Window,
  { commit }: TableFileRow,
) {
  const { spec } = await getResource(db, project, 'FeatureView', name, revision);
  const relation = `eider_kept_${randomUUID().replaceAll('-', '')}`;
  await session.run(`CREATE TEMP VIEW ${relation} AS SELECT * FROM ${rows}`);
  const slices = { relation, eventTime: spec.eventTime, windows: [window], windowMicros: durationMicros(spec.window) };
  const statistics = await windowStatistics(session, slices, spec.features);
  await session.run(`DROP VIEW ${relation}`);
  return (tx: Parameters<typeof replaceStatistics>[0]) =>
    replaceStatistics(tx, commit, statistics.get(window.start) ?? []);
}

async function deleteMarked(
  { db, lake }: Pick<ErasureDependencies, 'db' | 'lake'>,
  project: ProjectName,
): Promise<void> {
  for (let keys = await markedFiles(db, project, deletedAtOnce); keys.length > 0;) {
    for (const key of keys) await lake.remove(key);
    await noteDeleted(db, project, keys);
    keys = await markedFiles(db, project, deletedAtOnce);
  }
}

async function verify(
  dependencies: ErasureDependencies,
  { project, erasure }: EraseEntity,
  signal: AbortSignal,
): Promise<Verified> {
  const { db, engine } = dependencies;
  const key = await erasureKey(db, project, erasure);
  if (key === null) return { left: {}, tables: 0, files: 0, staged: { files: 0, collectableAt: null } };
  const tuples = await tuplesOf(dependencies, project, key);
  const left: Record<string, number> = await countRecords(db, project, key, tuples);
  const targets = await erasureTargets(db, project, key);
  let count = 0;
  const staged = await engine.session(async (session) => {
    for (const target of targets) {
      const { files, compactions } = await filesOf(db, target.table);
      count += files.length + compactions.length;
      const found = await holding(session, dependencies, [...files, ...compactions], conditionOf(target, key));
      const rows = [...found.values()].reduce((sum, one) => sum + one, 0);
      if (rows > 0) left[tableId(target.table)] = rows;
    }
    return stagedWithKey(dependencies, session, project, key, tuples);
  }, signal);
  return { left, tables: targets.length, files: count, staged };
}
