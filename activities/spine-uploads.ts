import type { TakenSpine, TakeSpine } from '../domain/datasets.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import { uploadKey } from '../domain/spines.js';
import type { SpineTables } from '../domain/spine-tables.js';
import { fileSha256 } from '../lake/objects.js';
import { keepSpine } from '../lake/spine-keeping.js';
import { findSpine, spineCommit } from '../store/spine-tables.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';

export type SpineUploadDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'artifacts'>;

export const spineUploadActivities = (dependencies: SpineUploadDependencies) => ({
  /** Keeps an uploaded Arrow table as a table of the lake, named by the hash of its bytes: a repeat finds it there. */
  takeSpine: (input: TakeSpine): Promise<TakenSpine> => beating((signal) => take(dependencies, input, signal)),
});

const noTable = new Set(['spine_invalid', 'request_too_large']);

async function take(
  { db, engine, lake, artifacts }: SpineUploadDependencies,
  { project, spine, form, principal }: TakeSpine,
  signal: AbortSignal,
): Promise<TakenSpine> {
  const key = uploadKey(spine);
  const path = artifacts.path(key);
  const taken = await findSpine(db, project, spine);
  if (!taken && (await fileSha256(path).catch(() => null)) !== spine)
    throw new DomainError('spine_unknown', `The bytes of the upload ${spine} are gone.`, { spine });
  const spines: SpineTables = {
    find: (of, one) => findSpine(db, of, one),
    // Removes the file itself when nobody needs it.
    commit: (staged) => commitStaged(db, lake, spineCommit(staged, currentWorkflowId())).then(() => true),
  };
  const keep = () =>
    engine.session(
      (session) => keepSpine(session, { lake, spines }, { project, spine, path, form, principal }),
      signal,
    );
  const kept =
    taken ??
    (await keep().catch(async (error: unknown) => {
      // What is no table will not become one; after any other failure the step finds the bytes again.
      if (isDomainError(error) && noTable.has(error.code)) await artifacts.remove(key);
      throw error;
    }));
  await artifacts.remove(key);
  return kept;
}
