import { execFile } from 'node:child_process';
import { createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { promisify } from 'node:util';
import { createGunzip } from 'node:zlib';
import { DomainError } from '../domain/errors.js';
import { lastWords } from './tools.js';

const run = promisify(execFile);

/** An extension fits one version of DuckDB only. */
export const duckdbVersion = '1.5.5';
/** Those that sources need; files of Parquet, CSV and JSON on a disk need none. */
export const extensionNames = ['httpfs', 'postgres_scanner', 'delta', 'avro', 'iceberg', 'ducklake'] as const;
const answerMs = 4_000;
const downloadMs = 180_000;

export interface ExtensionSearch {
  /** A folder that somebody filled: `NAME.duckdb_extension`, or as DuckDB lays its own out. Null: none was named. */
  readonly folder: string | null;
  /** What was fetched once lies under `<cacheDir>/tools`. */
  readonly cacheDir: string;
  /** The Python whose pip is asked; without it `python3`. */
  readonly python: string | null;
  /** Where `INSTALL` puts them; default: DuckDB's own folder. */
  readonly installFolder?: string;
  /** Where DuckDB itself downloads them from. */
  readonly downloadUrl?: string;
  readonly onProgress?: (message: string) => void;
}

export interface FoundExtension {
  readonly file: string;
  readonly from: 'EIDER_EXTENSIONS' | 'DuckDB' | 'cache' | 'download' | 'pip';
}

/**
 * The file of an extension: of the folder that was named, of DuckDB's own, of the cache, downloaded, or out of a wheel. DuckDB
 * checks its signature when it is loaded, so it does not matter whom it came from. Throws `extension_missing` naming all ways.
 */
export async function findExtension(name: string, search: ExtensionSearch): Promise<FoundExtension> {
  const there = locateExtension(name, search);
  if (there) return there;
  const reasons: string[] = [];
  for (const [from, fetchInto] of [
    ['download', downloadExtension],
    ['pip', pipExtension],
  ] as const) {
    try {
      return { file: await installOnce(name, search, fetchInto), from };
    } catch (error) {
      reasons.push(lastWords(error));
    }
  }
  const { folder, cacheDir, python } = search;
  throw new DomainError(
    'extension_missing',
    `DuckDB's extension ${name} ${duckdbVersion} was not found: ${folder === null ? 'EIDER_EXTENSIONS is not set' : `it is not in ${folder} (EIDER_EXTENSIONS)`}, it is not in ${installFolder(search)}, not in ${cacheFolder(cacheDir)}, ` +
      `the download failed (${reasons[0]}), and ${python ?? 'python3'} -m pip install ${wheelOf(name)} failed (${reasons[1]}).`,
    { extension: name, reasons },
  );
}

/** Looks without fetching anything. */
export function locateExtension(name: string, search: ExtensionSearch): FoundExtension | null {
  const file = `${name}.duckdb_extension`;
  const laidOut = (root: string) => join(root, `v${duckdbVersion}`, platform(), file);
  const places: [FoundExtension['from'], string][] = [
    ...(search.folder === null
      ? []
      : ([
          ['EIDER_EXTENSIONS', join(search.folder, file)],
          ['EIDER_EXTENSIONS', laidOut(search.folder)],
        ] as [FoundExtension['from'], string][])),
    ['DuckDB', laidOut(installFolder(search))],
    ['cache', join(cacheFolder(search.cacheDir), file)],
  ];
  const found = places.find(([, path]) => existsSync(path));
  return found ? { from: found[0], file: found[1] } : null;
}

/** Finds each extension once for the life of the process; what failed is tried again when it is next asked for. */
export function extensionFinder(search: ExtensionSearch): (name: string) => Promise<string> {
  const found = new Map<string, Promise<string>>();
  return (name) => {
    const finding = found.get(name) ?? findExtension(name, search).then(({ file }) => file);
    found.set(name, finding);
    finding.catch(() => found.delete(name));
    return finding;
  };
}

const installFolder = ({ installFolder = join(homedir(), '.duckdb', 'extensions') }: ExtensionSearch) => installFolder;
const cacheFolder = (cacheDir: string) => join(cacheDir, 'tools', `duckdb-${duckdbVersion}-${platform()}`);
const wheelOf = (name: string) => `duckdb-extension-${name.replaceAll('_', '-')}==${duckdbVersion}`;

function platform(): string {
  const system = { darwin: 'osx', win32: 'windows' }[process.platform as string] ?? process.platform;
  return `${system}_${process.arch === 'x64' ? 'amd64' : process.arch}`;
}

/** Fills a folder nobody else sees and renames the file out of it: it is whole or absent, however many do this at once. */
async function installOnce(
  name: string,
  search: ExtensionSearch,
  fetchInto: (name: string, folder: string, search: ExtensionSearch) => Promise<string>,
): Promise<string> {
  const folder = cacheFolder(search.cacheDir);
  await mkdir(folder, { recursive: true });
  const temporary = await mkdtemp(join(folder, `${name}.part-`));
  try {
    const file = join(folder, `${name}.duckdb_extension`);
    await rename(await fetchInto(name, temporary, search), file);
    return file;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function downloadExtension(
  name: string,
  folder: string,
  { onProgress, downloadUrl = 'https://extensions.duckdb.org/' }: ExtensionSearch,
): Promise<string> {
  const url = `${downloadUrl}v${duckdbVersion}/${platform()}/${name}.duckdb_extension.gz`;
  const slow = new AbortController();
  const timer = setTimeout(
    () => slow.abort(new Error(`${downloadUrl} did not answer within ${answerMs} ms`)),
    answerMs,
  );
  const answer = await fetch(url, { signal: AbortSignal.any([slow.signal, AbortSignal.timeout(downloadMs)]) }).finally(
    () => clearTimeout(timer),
  );
  if (!answer.ok || answer.body === null) throw new Error(`${url} answered ${answer.status}`);
  onProgress?.(`Downloading DuckDB's extension ${name} (once)`);
  const file = join(folder, 'extension');
  await pipeline(Readable.fromWeb(answer.body as ReadableStream), createGunzip(), createWriteStream(file));
  return file;
}

async function pipExtension(name: string, folder: string, { python, onProgress }: ExtensionSearch): Promise<string> {
  onProgress?.(`Installing DuckDB's extension ${name} with pip (once)`);
  const options = ['--target', folder, '--no-deps', '--no-compile', '--quiet', '--disable-pip-version-check'];
  const only = ['--only-binary', ':all:', '--root-user-action', 'ignore'];
  await run(python ?? 'python3', ['-m', 'pip', 'install', ...options, ...only, wheelOf(name)], { timeout: downloadMs });
  return join(folder, `duckdb_extension_${name}`, 'extensions', `v${duckdbVersion}`, `${name}.duckdb_extension`);
}
