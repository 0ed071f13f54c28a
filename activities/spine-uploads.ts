import type { TakenSpine, TakeSpine } from '../domain/datasets.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Instant } from '../domain/ids.js';
import { spineTable, uploadKey } from '../domain/spines.js';
import { readArrow } from '../lake/arrow-table.js';
import { fileSha256 } from '../lake/objects.js';
import { describe } from '../lake/sources/index.js';
import { writeFile } from '../lake/snapshots.js';
import { tables } from '../store/tables.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';

export type SpineUploadDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'artifacts'>;

export const spineUploadActivities = (dependencies: SpineUploadDependencies) => ({
  /** Keeps an uploaded Arrow table as a table of the lake, named by the hash of its bytes: a repeat finds it there. */
  takeSpine: (input: TakeSpine): Promise<TakenSpine> => beating((signal) => take(dependencies, input, signal)),
});

/** A spine has one window, the whole of time: nobody has said yet which column is its event time. */
const wholeOfTime = { start: '0001-01-01T00:00:00.000000Z' as Instant, end: '9999-12-31T00:00:00.000000Z' as Instant };

async function take(
  dependencies: SpineUploadDependencies,
  { project, spine, form, principal }: TakeSpine,
  signal: AbortSignal,
): Promise<TakenSpine> {
  const { db, engine, lake, artifacts } = dependencies;
  const name = spineTable(spine);
  const taken = await findTaken(dependencies, { project, spine });
  if (taken) {
    await artifacts.remove(uploadKey(spine));
    return taken;
  }
  const path = artifacts.path(uploadKey(spine));
  const sha256 = await fileSha256(path).catch(() => null);
  if (sha256 !== spine) throw new DomainError('spine_unknown', `The bytes of the upload ${spine} are gone.`, { spine });
  await engine.session(async (session) => {
    const began = performance.now();
    await readArrow(session, 'uploaded_spine', path, form).catch(async (error: unknown) => {
      // What is no table will not become one; after any other failure the step finds the bytes again.
      if (isDomainError(error) && !error.row.retry) await artifacts.remove(uploadKey(spine));
      throw error;
    });
    const columns = await describe(session, 'uploaded_spine');
    const writer = { session, objects: lake, relation: 'uploaded_spine', columns, orderBy: [], folder: `${project}/datasets/${name}` }; // prettier-ignore
    const { prefixHash: _, ...file } = await writeFile(writer, '', 'rows');
    const { rows, bytes, rowHash } = file;
    await commitStaged(db, lake, {
      table: { project, schema: 'datasets', name, revision: 1 },
      window: {
        ...{ ...wholeOfTime, files: [file], rows, bytes, rowHash },
        ...{ sourceFingerprint: spine, durationMs: performance.now() - began },
      },
      ...{ columns, predecessor: null, sourceVersion: spine },
      ...{ workflowId: currentWorkflowId(), principal: { name: principal } },
    });
  }, signal);
  await artifacts.remove(uploadKey(spine));
  const kept = await findTaken(dependencies, { project, spine });
  if (!kept) throw new DomainError('spine_unknown', `The upload ${spine} was not kept.`, { spine });
  return kept;
}

async function findTaken(
  { db }: SpineUploadDependencies,
  { project, spine }: Pick<TakeSpine, 'project' | 'spine'>,
): Promise<TakenSpine | null> {
  try {
    const { rows, columns, files } = await tables(db).resolve(project, 'datasets', spineTable(spine));
    return files.length === 0 ? null : { spine, rows, columns: [...columns] };
  } catch (error) {
    if (isDomainError(error) && error.code === 'table_unknown') return null;
    throw error;
  }
}
