import type { TakenSpine } from '../domain/datasets.js';
import { DomainError } from '../domain/errors.js';
import type { ProjectName, Sha256 } from '../domain/ids.js';
import { spineTable, type ArrowForm } from '../domain/spines.js';
import type { SpineTables } from '../domain/spine-tables.js';
import { readArrow } from './arrow-table.js';
import type { Session } from './duckdb.js';
import type { Objects } from './objects.js';
import { writeFile } from './snapshots.js';
import { describe } from './sources/index.js';

/** An Arrow table in a file, named by the hash of its bytes. */
export interface UploadedSpine {
  readonly project: ProjectName;
  readonly spine: Sha256;
  readonly path: string;
  readonly form: ArrowForm;
  readonly principal: string;
}

const uploaded = 'uploaded_spine';

/** Keeps an uploaded table as a table of the lake; a repeat finds it there. Throws `spine_invalid`, `request_too_large`. */
export async function keepSpine(
  session: Session,
  { lake, spines }: { readonly lake: Objects; readonly spines: SpineTables },
  { project, spine, path, form, principal }: UploadedSpine,
): Promise<TakenSpine> {
  const taken = await spines.find(project, spine);
  if (taken) return taken;
  const began = performance.now();
  await readArrow(session, uploaded, path, form);
  const columns = await describe(session, uploaded);
  const folder = `${project}/datasets/${spineTable(spine)}`;
  const writer = { session, objects: lake, relation: uploaded, columns, orderBy: [], folder };
  const { prefixHash: _, ...file } = await writeFile(writer, '', 'rows');
  const durationMs = performance.now() - began;
  const isOurs = await spines.commit({ project, spine, file, columns, durationMs, principal });
  if (!isOurs) await lake.remove(file.key);
  const kept = await spines.find(project, spine);
  if (!kept) throw new DomainError('spine_unknown', `The upload ${spine} was not kept.`, { spine });
  return kept;
}
