import { realpath, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { glob as fastGlob } from 'tinyglobby';
import { DomainError } from '../../domain/errors.js';
import { digestOf } from '../../domain/json.js';
import type { SourceAccess } from '../access.js';
import { readerOf } from './readers.js';
import { missing, notAllowed, relationOf, type Source, type SourceFormat } from './source.js';

const fileCountMax = 10_000;
/** Two writes within one tick of the file system's clock leave the same time; this is longer than any tick. */
const clockTickMs = 20;

/** Parquet, CSV and JSON on a disk: DuckDB reads them where they lie. */
export const localFiles: SourceFormat = {
  version: async (source, access) => versionOf(source, await sourceFiles(source, access)),

  async pin(session, source, access) {
    const files = await sourceFiles(source, access);
    const version = await versionOf(source, files);
    const rows = await readerOf(session, source, files);
    return {
      source,
      version,
      files,
      rows,
      relation: (slice) => relationOf(source, rows, slice),
      isUnchanged: async () => (await localFiles.version(source, access).catch(() => null)) === version,
    };
  },
};

/** The state of every file: name, place on the disk, size and times of change. Equal means equal rows, unopened. */
async function versionOf(source: Source, files: readonly string[]): Promise<string> {
  const states = await Promise.all(files.map(stateOf));
  return digestOf({ definition: source.hash, states });
}

async function stateOf(file: string): Promise<string[]> {
  const first = await stat(file, { bigint: true });
  const age = Date.now() - Number(first.ctimeNs / 1_000_000n);
  const isFresh = age >= 0 && age < clockTickMs;
  // Until the tick is over, a second write would not show.
  if (isFresh) await delay(clockTickMs - age);
  const { ino, size, mtimeNs, ctimeNs } = isFresh ? await stat(file, { bigint: true }) : first;
  return [file, String(ino), String(size), String(mtimeNs), String(ctimeNs)];
}

/** The files behind the path, sorted, each once; each must lie under a root that this server may read. */
export async function sourceFiles(source: Source, access: SourceAccess): Promise<string[]> {
  const path = source.spec.path ?? '';
  if (isGlob(path)) await requireWithinRoots(source, [await fixedPart(path)], access);
  const found = isGlob(path) ? await fastGlob(path, { absolute: true }) : [path];
  if (found.length > fileCountMax)
    throw new DomainError(
      'resource_invalid',
      `Source "${source.name}": ${found.length} files match ${path}; at most ${fileCountMax} are read.`,
      { source: source.name },
    );
  const files = [...new Set(await Promise.all(found.map(async (file) => realpath(file).catch(() => file))))];
  await requireWithinRoots(source, files, access);
  for (const file of files)
    await stat(file).catch(() => {
      throw missing(source, `${path}, which does not exist.`);
    });
  requireFiles(source, files);
  return files.sort();
}

/** The folder that a pattern looks into: before it is known to be allowed, nothing is listed. */
async function fixedPart(path: string): Promise<string> {
  const parts = path.split(sep);
  const folder = resolve(parts.slice(0, parts.findIndex(isGlob)).join(sep) || sep);
  return realpath(folder).catch(() => folder);
}

export const isGlob = (path: string): boolean => /[*?[{]/.test(path);

/** Links are resolved before this: where they lead is what counts. */
export async function requireWithinRoots(
  source: Source,
  files: readonly string[],
  { roots }: SourceAccess,
): Promise<void> {
  const local = roots.filter((root) => !root.startsWith('s3://'));
  const real = await Promise.all(local.map((root) => realpath(root).catch(() => root)));
  for (const file of files)
    if (!real.some((root) => file === root || file.startsWith(root.endsWith(sep) ? root : root + sep)))
      throw notAllowed(source);
}

/** What holds for files wherever they lie. */
export function requireFiles(source: Source, files: readonly string[]): void {
  const { path = '', rowNumber } = source.spec;
  if (files.length === 0) throw missing(source, `${path}, which no file matches.`);
  if (rowNumber && files.length > 1)
    throw new DomainError(
      'resource_invalid',
      `Source "${source.name}" asks for row numbers, which need a single file, but ${files.length} match.`,
      { source: source.name },
    );
  // DuckDB would take such a name for a pattern, and read other files.
  const odd = files.find(isGlob);
  if (odd !== undefined)
    throw new DomainError(
      'source_unreadable',
      `Source "${source.name}": the name of ${odd} holds one of * ? [ {; rename the file.`,
      { source: source.name },
    );
}
