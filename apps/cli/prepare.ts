import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDomainError } from '../../domain/errors.js';
import { goPrograms } from '../../programs/go.js';
import { findPostgres } from '../../programs/postgres-binaries.js';
import { pythonEnvironment } from '../../programs/python.js';
import { findTemporal } from '../../programs/tools.js';
import type { Config } from '../config.js';

export interface PrepareOptions {
  readonly config: Config;
  /** Also the environments of the foreign clients that the tests use. */
  readonly tests: boolean;
  readonly onProgress: (message: string) => void;
}

/**
 * Fetches and builds once what `dev`, the trainers and the tests need, so that nobody waits for it later. Throws
 * `tool_missing` or `trainer_environment_failed`.
 */
export async function prepare({ config, tests, onProgress }: PrepareOptions): Promise<void> {
  const { cache: cacheDir, python, temporal, projectRoot } = config;
  if (config.database.url === null) await findPostgres(cacheDir);
  await findTemporal({ cacheDir, python, address: temporal.given ? temporal.address : null, onProgress });
  const folders = [join(projectRoot, 'trainers'), ...(tests ? [join(projectRoot, 'test', 'clients')] : [])];
  // One after the other: each fills the disk and the network by itself.
  for (const folder of folders.flatMap(environmentFolders)) {
    const name = basename(folder);
    const say = (text: string) => onProgress(`Python environment ${name}: ${text}`);
    await pythonEnvironment({ cacheDir, python, name, lockFile: join(folder, lockName), onProgress: say });
  }
  if (tests) await prepareGo(join(projectRoot, 'test', 'clients', 'go'), cacheDir, onProgress);
}

/** Without Go its clients are not tested. */
async function prepareGo(folder: string, cacheDir: string, onProgress: PrepareOptions['onProgress']): Promise<void> {
  const say = (text: string) => onProgress(`Go programs: ${text}`);
  await goPrograms({ cacheDir, folder, onProgress: say }).catch((error: unknown) => {
    if (!isDomainError(error) || error.code !== 'tool_missing') throw error;
    say(error.message);
  });
}

const lockName = 'requirements.lock';

/** Every folder with a lock file is an environment. */
export function environmentFolders(parent: string): string[] {
  if (!existsSync(parent)) return [];
  const folders = readdirSync(parent)
    .sort()
    .map((name) => join(parent, name));
  return folders.filter((folder) => existsSync(join(folder, lockName)));
}
