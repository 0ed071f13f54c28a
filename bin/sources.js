/** What is compiled, and the digests that say whether it has changed. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

export const compiledFolders = [
  'activities',
  'apps',
  'bench',
  'domain',
  'lake',
  'models',
  'programs',
  'store',
  'test/torture',
  'workflows',
];
/** Read at run time by files that find them beside themselves, as in the source tree. */
const copiedFolders = ['proto'];
const ignored = new Set(['node_modules', '__pycache__', '.DS_Store']);

/** All files of the folders, sorted, relative to the root. */
export function filesOf(root, folders) {
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) => walk(join(root, folder)))
    .map((file) => relative(root, file))
    .sort();
}

export const sourceFiles = (root) => filesOf(root, [...compiledFolders, ...copiedFolders]);

/** Of the content: a checkout that only touches files builds nothing. */
export function digestOf(root, files) {
  const hash = createHash('sha256');
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  return hash.digest('hex');
}

const tools = ['bin/build.js', 'bin/sources.js', '.swcrc', 'package-lock.json'];

export const sourcesDigest = (root) => digestOf(root, [...sourceFiles(root), ...tools]);

/** What can reach the workflow bundle: workflow code imports values from domain/ alone. */
export const bundleDigest = (root) => digestOf(root, [...filesOf(root, ['workflows', 'domain']), ...tools]);

function walk(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !ignored.has(name))
    .flatMap((entry) => (entry.isDirectory() ? walk(join(folder, entry.name)) : [join(folder, entry.name)]));
}
