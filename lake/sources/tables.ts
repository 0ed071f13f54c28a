import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SourceAccess } from '../access.js';
import type { Session } from '../duckdb.js';
import { requireWithinRoots } from './files.js';
import { copyRows, type Importer } from './importer.js';
import { listObjects, requireS3Root, s3Importer } from './s3.js';
import { changed, missing, pinnedCopy, reachClause, type PinnedSource, type Reach, type Source } from './source.js';

/** A file of a table's metadata, and what tells its state. */
export interface MetadataFile {
  readonly name: string;
  readonly state: string;
}

/** The table's folder with links resolved, and what lies in one folder of its metadata, on a disk or in S3. */
export async function metadataOf(
  source: Source,
  access: SourceAccess,
  folder: string,
): Promise<{ path: string; files: MetadataFile[] }> {
  const path = (source.spec.path ?? '').replace(/\/+$/, '');
  if (path.startsWith('s3://')) {
    requireS3Root(source, access);
    const prefix = `${path}/${folder}/`;
    const objects = await listObjects(source, access, prefix);
    return { path, files: objects.map(({ url, state }) => ({ name: url.slice(prefix.length), state })) };
  }
  const real = await realpath(path).catch(() => path);
  await requireWithinRoots(source, [real], access);
  const names = await readdir(join(real, folder)).catch(() => {
    throw missing(source, `${path}, which has no folder ${folder}.`);
  });
  return { path: real, files: await Promise.all(names.map((name) => fileState(join(real, folder), name))) };
}

async function fileState(folder: string, name: string): Promise<MetadataFile> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(join(folder, name), { bigint: true });
  return { name, state: [ino, size, mtimeNs, ctimeNs].join(' ') };
}

/** The rows of a table at one of its versions, which stay what they are whatever is written meanwhile. */
export async function pinTable(
  session: Session,
  source: Source,
  access: SourceAccess,
  reach: Reach,
  { version, extensions, rows }: { version: string; extensions: Importer['extensions']; rows: string },
  now: () => Promise<string | null>,
): Promise<PinnedSource> {
  const importer = s3Importer(source, access, extensions);
  const copied = await copyRows(session, access, importer, `SELECT * FROM ${rows}${reachClause(source, reach)}`).catch(
    async (error: unknown) => {
      // Files of an old version may be cleared away while they are read.
      throw (await now().catch(() => null)) === version ? error : changed(source, error);
    },
  );
  return pinnedCopy(source, version, copied);
}
