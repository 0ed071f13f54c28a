import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import type { Problem } from '../../domain/check.js';
import type { Resource } from '../../domain/resources.js';

/** Sources whose path leads, by itself or through a symbolic link, out of the folders that may be read. */
export async function pathProblems(resources: readonly Resource[], roots: readonly string[]): Promise<Problem[]> {
  const realRoots = await Promise.all(roots.map((root) => realpath(root).catch(() => root)));
  const found = await Promise.all(
    resources.map(async (resource): Promise<Problem[]> => {
      if (resource.kind !== 'Source') return [];
      const reason = resource.spec.path === undefined ? null : await whyNot(resource.spec.path, realRoots);
      if (reason === null) return [];
      const detail = `Source "${resource.name}": ${resource.spec.path} ${reason}.`;
      return [{ kind: 'Source', name: resource.name, field: 'spec.path', code: 'path_not_allowed', detail }];
    }),
  );
  return found.flat();
}

async function whyNot(path: string, roots: readonly string[]): Promise<string | null> {
  if (path.startsWith('s3://')) return whyNotObject(path, roots);
  if (!isAbsolute(path))
    return 'is not an absolute path; the eider command makes it one, from the place of the YAML file';
  if (path.split(/[/\\]/).includes('..')) return 'contains ".."';
  const real = await realpathOfExisting(withoutGlob(path));
  const folders = roots.filter((root) => !root.startsWith('s3://'));
  if (folders.some((root) => isWithin(root, real))) return null;
  return `lies outside the folders that this server may read (${folders.join(', ')})`;
}

function whyNotObject(path: string, roots: readonly string[]): string | null {
  if (path.split('/').some((part) => part === '..' || part === '.')) return 'contains "." or ".."';
  const places = roots.filter((root) => root.startsWith('s3://'));
  if (places.some((root) => path === root || path.startsWith(`${root}/`))) return null;
  return `lies outside what this server may read of S3 (${places.join(', ') || 'nothing'})`;
}

/** The folder in which a glob begins; a path without one as it is. */
function withoutGlob(path: string): string {
  const at = path.search(/[*?[{]/);
  return at < 0 ? path : dirname(`${path.slice(0, at)}x`);
}

/** Links resolved as far as the path exists; what is missing is for the check of the source to say. */
async function realpathOfExisting(path: string): Promise<string> {
  const real = await realpath(path).catch(() => null);
  if (real !== null || dirname(path) === path) return real ?? path;
  return join(await realpathOfExisting(dirname(path)), path.slice(dirname(path).length));
}

function isWithin(root: string, path: string): boolean {
  const way = relative(root, path);
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}
