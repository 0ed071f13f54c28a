import type { Column } from '../../domain/features.js';
import { isDomainError } from '../../domain/errors.js';
import { digestOf } from '../../domain/json.js';
import type { SourceAccess } from '../access.js';
import type { Session } from '../duckdb.js';
import { deltaTable } from './delta.js';
import { duckLakeTable } from './ducklake.js';
import { localFiles } from './files.js';
import { icebergTable } from './iceberg.js';
import { postgresTable } from './postgres.js';
import { s3Files } from './s3.js';
import {
  changed,
  describe,
  unreadable,
  type PinnedSource,
  type Reach,
  type Source,
  type SourceFormat,
} from './source.js';

export { blaming } from './blame.js';
export * from './fingerprints.js';
export { sourceFiles } from './files.js';
export { clearCopies } from './importer.js';
export {
  describe,
  knownAtColumn,
  relationOf,
  unreadable,
  type PinnedSource,
  type Reach,
  type Source,
} from './source.js';

function formatOf({ spec: { format, path } }: Source): SourceFormat {
  switch (format) {
    case 'postgres':
      return postgresTable;
    case 'delta':
      return deltaTable;
    case 'iceberg':
      return icebergTable;
    case 'ducklake':
      return duckLakeTable;
    case 'parquet':
    case 'csv':
    case 'json':
      return path?.startsWith('s3://') ? s3Files : localFiles;
  }
}

/** One version for all: equal means that no row of any source changed. Null: one of them cannot tell. */
export const versionOfAll = (versions: readonly (string | null)[]): string | null =>
  versions.includes(null) ? null : digestOf(versions);

/** What tells the state of a source without reading its rows; null: nothing does. */
export const sourceVersion = (source: Source, access: SourceAccess): Promise<string | null> =>
  formatOf(source).version(source, access);

/** One state of the source for as long as the session lives; only rows within reach may be asked of it. */
export const pinSource = (
  session: Session,
  source: Source,
  access: SourceAccess,
  reach: Reach,
): Promise<PinnedSource> => formatOf(source).pin(session, source, access, reach);

/** What was read by these may mix two states when a source changed meanwhile: throws `source_changed`. */
export async function requireUnchanged(pinned: readonly PinnedSource[], cause?: unknown): Promise<void> {
  for (const one of pinned) if (!(await one.isUnchanged())) throw changed(one.source, cause);
}

/** Does the work; half of a file that is being replaced cannot be read either, so that is no fault of the file. */
export async function whileUnchanged<Result>(
  pinned: readonly PinnedSource[],
  work: () => Promise<Result>,
): Promise<Result> {
  const result = await work().catch(async (error: unknown) => {
    if (isDomainError(error) && ['query_failed', 'source_unreadable'].includes(error.code))
      await requireUnchanged(pinned, error);
    throw error;
  });
  await requireUnchanged(pinned);
  return result;
}

/** Columns of the source as SQL sees it; an unreadable file is `source_unreadable` with DuckDB's sentence. */
export async function describeSource(session: Session, source: Source, access: SourceAccess): Promise<Column[]> {
  const pinned = await pinSource(session, source, access, 'nothing');
  return describe(session, pinned.relation()).catch((error: unknown) => {
    throw unreadable(source, error);
  });
}
