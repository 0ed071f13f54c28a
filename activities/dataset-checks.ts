import { randomUUID } from 'node:crypto';
import { copyFile, link, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { activityInfo } from '@temporalio/activity';
import type { CheckDataset, Damage, DatasetManifest, RecreatedDataset, VerifiedDataset } from '../domain/datasets.js';
import { isDomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import { splitColumn } from '../domain/splits.js';
import { quoteName, quoteText, type Session } from '../lake/duckdb.js';
import { changedParts, fileParts } from '../lake/file-parts.js';
import { fileSha256 } from '../lake/objects.js';
import { nameFeatures } from '../lake/point-in-time.js';
import { hashPrefix, hashRows } from '../lake/rows.js';
import { filesOfTrainingSet, findFileParts, getTrainingSet, recordCheck, type HashedFile } from '../store/datasets.js';
import { erasuresOf, type TrainingSetErasure } from '../store/erasures.js';
import { tables } from '../store/tables.js';
import { divide, type DatasetDependencies } from './datasets.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { joinFeatures, joinSpine, rowNumber, type JoinedSpine } from './spine.js';

export const datasetCheckActivities = (dependencies: DatasetDependencies) => ({
  /** Reads only, and records what it found, once a run of the workflow. */
  verifyDataset: (input: CheckDataset): Promise<VerifiedDataset> =>
    beating(async (signal) => {
      const result = await dependencies.engine.session((session) => verify(dependencies, session, input), signal);
      signal.throwIfAborted();
      return record(dependencies, input, 'verify', result);
    }),

  /** Reads only, and records what it found, once a run of the workflow. */
  recreateDataset: (input: CheckDataset): Promise<RecreatedDataset> =>
    beating(async (signal) => {
      const result = await dependencies.engine.session((session) => recreate(dependencies, session, input), signal);
      signal.throwIfAborted();
      return record(dependencies, input, 'recreate', result);
    }),
});

async function record<Result extends VerifiedDataset | RecreatedDataset>(
  { db }: DatasetDependencies,
  { project, principal }: CheckDataset,
  kind: 'verify' | 'recreate',
  result: Result,
): Promise<Result> {
  const runId = activityInfo().workflowExecution?.runId ?? '';
  const check = { kind, verdict: result.verdict, result, workflowId: currentWorkflowId(), principal };
  await recordCheck(db, project, check, runId);
  return result;
}

async function verify(
  dependencies: DatasetDependencies,
  session: Session,
  { project, name }: CheckDataset,
): Promise<VerifiedDataset> {
  const { db } = dependencies;
  const manifest = await getTrainingSet(db, project, name);
  const files = await filesOfTrainingSet(db, project, name);
  const looked = await underFreshNames(dependencies, files, async (fresh) => {
    const damage = await damagesOf(dependencies, session, project, name, fresh);
    const hashed = hashRows(session, listed(fresh.map(({ path }) => path)), manifest.columns);
    // Files that are as they were written can be read: a failure is none of theirs.
    return { damage, found: await (damage.length === 0 ? hashed : hashed.catch(unreadable)) };
  });
  const { damage, found } = looked;
  const erasures = (await erasuresOf(db, project, name)).filter(({ rows }) => rows > 0);
  const rowHash = { recorded: manifest.rowHash, found: found?.rowHash ?? null };
  const same = rowHash.found === rowHash.recorded;
  const reasons = [
    ...damage.map(({ detail }) => detail),
    ...(found === null ? ['Its rows cannot be read.'] : []),
    ...(same || found === null || erasures.length > 0 ? [] : ['Its rows are not those that were recorded.']),
    ...erasures.map(erased),
    ...(same && damage.length === 0 ? ['The file and its rows are as they were written.'] : []),
  ];
  const broken = damage.length > 0 || found === null || (!same && erasures.length === 0);
  const verdict = broken ? 'damaged' : erasures.length > 0 ? 'erased' : 'intact';
  return { name, verdict, rowHash, damage, reasons };
}

const listed = (paths: readonly string[]): string => `read_parquet([${paths.map(quoteText).join(', ')}])`;

type FreshFile = HashedFile & { readonly path: string };

/**
 * Shows the files to DuckDB under names that it has never read: it keeps what it read by the name, and damage changes neither
 * size nor time of a file.
 */
async function underFreshNames<Result>(
  { lake, scratch }: DatasetDependencies,
  files: readonly HashedFile[],
  work: (files: readonly FreshFile[]) => Promise<Result>,
): Promise<Result> {
  const fresh = files.map((file) => ({ ...file, path: join(scratch, `verify-${randomUUID()}.parquet`) }));
  try {
    for (const { key, path } of fresh) {
      const own = lake.path(key);
      // A missing file is found missing under either name.
      await link(own, path).catch(() => copyFile(own, path).catch(absent));
    }
    return await work(fresh);
  } finally {
    for (const { path } of fresh) await rm(path, { force: true });
  }
}

const erased = ({ erasure, rows, reason }: TrainingSetErasure): string =>
  `Erasure ${erasure} took ${rows} rows from it (${reason}).`;

/** DuckDB's failure to read what is damaged is an answer here; any other failure is one. */
function unreadable(error: unknown): null {
  if (isDomainError(error) && error.code === 'query_failed') return null;
  throw error;
}

/** That there is no such file is an answer; any other failure is one. */
function absent(error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  throw error;
}

async function damagesOf(
  dependencies: DatasetDependencies,
  session: Session,
  project: ProjectName,
  name: string,
  files: readonly FreshFile[],
): Promise<Damage[]> {
  const damage: Damage[] = [];
  for (const file of files) damage.push(...(await damageOf(dependencies, session, project, name, file)));
  return damage;
}

async function damageOf(
  { db }: DatasetDependencies,
  session: Session,
  project: ProjectName,
  name: string,
  { key, path, bytes, sha256 }: FreshFile,
): Promise<Damage[]> {
  const whole = (detail: string): Damage[] => [{ file: key, rowGroup: null, column: null, detail }];
  const state = await stat(path).catch(absent);
  if (state === null) return whole(`${key} is missing.`);
  if ((await fileSha256(path)) === sha256) return [];
  const size = state.size === bytes ? '' : ` It has ${state.size} bytes instead of ${bytes}.`;
  const groups = await fileParts(session, path).catch(unreadable);
  if (groups === null) return whole(`${key} is not what was written, and does not read as Parquet any more.${size}`);
  const recorded = await findFileParts(db, project, name);
  const changed = recorded?.sha256 === sha256 ? await changedParts(path, groups, recorded.digests) : [];
  if (changed.length === 0) return whole(`${key} is not what was written; its rows' own bytes are, so it is the footer.${size}`); // prettier-ignore
  return changed.map(({ rowGroup, column }) => ({
    ...{ file: key, rowGroup, column },
    detail: `${key} is not what was written: row group ${rowGroup}${column === null ? '' : `, column ${column}`}.${size}`,
  }));
}

async function recreate(
  dependencies: DatasetDependencies,
  session: Session,
  { project, name }: CheckDataset,
): Promise<RecreatedDataset> {
  const { db } = dependencies;
  const manifest = await getTrainingSet(db, project, name);
  const erasures = await erasuresOf(db, project, name);
  const reasons = erasures.map((one) => (one.rows > 0 ? erased(one) : `Erasure ${one.erasure} took rows from ${one.snapshots.join(', ')}, which it is made of.`)); // prettier-ignore
  const recorded = manifest.rowHash;
  const gone = await goneFrom(dependencies, project, manifest);
  if (gone.length > 0)
    return { name, verdict: 'gone', rowHash: { recorded, found: null }, spine: null, reasons: [...reasons, ...gone] };
  // The spine's SQL may fail on what a source holds today; the set's own rows tell that from a failure of the engine.
  const read = await again(session, manifest, () => joinSpine(dependencies, session, project, manifest.spec, manifest), ['query_failed']); // prettier-ignore
  const left = erasures.some(({ rows }) => rows > 0) ? await hashesOfLeft(dependencies, session, project, manifest) : manifest; // prettier-ignore
  if (typeof read !== 'string' && read.spineHash === left.spineHash) return outcome(manifest, left, read.rowHash, 'read', reasons); // prettier-ignore
  const why = typeof read === 'string' ? `The spine cannot be read again: ${read}` : 'The spine reads otherwise today.';
  const none = (because: string): RecreatedDataset => ({ name, verdict: 'gone', rowHash: { recorded, found: null }, spine: null, reasons: [...reasons, why, because] }); // prettier-ignore
  const [changed] = await changedFiles(dependencies, project, name);
  if (changed !== undefined) return none(`${changed} is missing, or not what was written.`);
  const kept = await again(session, manifest, () => joinKept(dependencies, session, project, manifest));
  if (typeof kept === 'string') return none(kept);
  return outcome(manifest, left, kept.rowHash, 'kept', [...reasons, why, 'Its rows were taken from the set itself.']);
}

function outcome(
  { name, rowHash: recorded }: DatasetManifest,
  left: Hashes,
  found: string,
  spine: 'read' | 'kept',
  reasons: readonly string[],
): RecreatedDataset {
  const verdict = found === recorded ? 'same' : found === left.rowHash ? 'erased' : 'different';
  const said = { same: 'The same rows came out.', erased: 'The rows that are left came out.', different: 'Other rows came out.' }; // prettier-ignore
  return { name, verdict, rowHash: { recorded, found }, spine, reasons: [...reasons, said[verdict]] };
}

interface Hashes {
  readonly rowHash: string;
  readonly spineHash: string | null;
}

/** Of the rows that erasures left in the set's own files. */
async function hashesOfLeft(
  { db, lake }: DatasetDependencies,
  session: Session,
  project: ProjectName,
  manifest: DatasetManifest,
): Promise<Hashes> {
  const files = await filesOfTrainingSet(db, project, manifest.name);
  const rows = listed(files.map(({ key }) => lake.path(key)));
  const { rowHash, prefixHash } = await hashPrefix(session, rows, manifest.columns, spineOf(manifest).length);
  return { rowHash, spineHash: prefixHash };
}

/** The columns that the set has of its spine: its first ones. */
function spineOf({ columns, spec: { features, naming } }: DatasetManifest): string[] {
  const added = new Set([...nameFeatures(features, naming).map(({ column }) => column), splitColumn]);
  return columns.map(({ name }) => name).filter((name) => !added.has(name));
}

/** Snapshots and files that the set pins and that are not there any more, in sentences. */
async function goneFrom(
  { db, lake }: DatasetDependencies,
  project: ProjectName,
  { views, tables: pinned }: DatasetManifest,
): Promise<string[]> {
  const asked = [...views.map(({ view: name, ...one }) => ({ ...one, schema: 'features' as const, name })), ...pinned];
  const gone: string[] = [];
  for (const { schema, name, revision, snapshot } of asked) {
    const what = `${schema}/${name}@r${revision}@s${snapshot}`;
    try {
      const { files } = await tables(db).at(project, schema, name, revision, snapshot);
      for (const { key } of files)
        if ((await stat(lake.path(key)).catch(absent)) === null) gone.push(`${what} lost its file ${key}.`);
    } catch (error) {
      if (!isDomainError(error) || error.row.http !== 404) throw error;
      gone.push(`${what} is gone: ${error.message}`);
    }
  }
  return gone;
}

async function changedFiles(
  { db, lake }: DatasetDependencies,
  project: ProjectName,
  name: string,
): Promise<readonly string[]> {
  const changed: string[] = [];
  for (const { key, sha256 } of await filesOfTrainingSet(db, project, name))
    if ((await fileSha256(lake.path(key)).catch(absent)) !== sha256) changed.push(key);
  return changed;
}

/**
 * The hashes of what is joined again; a sentence when what it needs is not there. Whatever else failed, or was cancelled,
 * says nothing of the set.
 */
async function again(
  session: Session,
  manifest: DatasetManifest,
  join: () => Promise<JoinedSpine>,
  told: readonly string[] = [],
): Promise<Hashes | string> {
  try {
    const joined = await join();
    const { relation, columns } = divide(joined, manifest.spec, manifest.cuts);
    const { rowHash, prefixHash } = await hashPrefix(session, relation, columns, joined.spine.length);
    return { rowHash, spineHash: prefixHash };
  } catch (error) {
    if (!isDomainError(error) || error.row.retry) throw error;
    if (error.row.http >= 499 && !told.includes(error.code)) throw error;
    return error.message;
  }
}

/** The rows that went into the set, out of its own file, joined with the pinned snapshots again. */
async function joinKept(
  dependencies: DatasetDependencies,
  session: Session,
  project: ProjectName,
  manifest: DatasetManifest,
): Promise<JoinedSpine> {
  const { db, lake } = dependencies;
  const files = await filesOfTrainingSet(db, project, manifest.name);
  const own = spineOf(manifest);
  const rows = listed(files.map(({ key }) => lake.path(key)));
  await session.run(
    `CREATE OR REPLACE TEMP TABLE spine_rows AS SELECT ${own.map(quoteName).join(', ')}, row_number() OVER () AS ${quoteName(rowNumber)} FROM ${rows}`,
  );
  const read = { relation: 'spine_rows', sources: [], tables: [], labels: null };
  return joinFeatures(dependencies, session, project, manifest.spec, read, manifest);
}
