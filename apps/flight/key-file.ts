import { readFile, stat } from 'node:fs/promises';
import { DomainError } from '../../domain/errors.js';
import { readKeys, type AccessKey } from '../../domain/keys.js';
import type { Logger } from '../log.js';

export interface KeySource {
  /** Those that the file has now, or had a moment ago. */
  current(): Promise<readonly AccessKey[]>;
}

/** A key that was taken out of the file is refused after this. */
const lookEveryMs = 1_000;
const fileBytesMax = 2 ** 20;

/**
 * The keys of a file, read again when it changes. At the start every mistake is told (`config_invalid`); afterwards a line
 * that is no key is logged and left out, and without the file nobody is let in.
 */
export async function keyFile(path: string, log: Logger, everyMs = lookEveryMs): Promise<KeySource> {
  const first = await read(path).catch((error: unknown) => {
    throw new DomainError('config_invalid', `EIDER_FLIGHT_KEYS: ${path} cannot be read.`, { path }, { cause: error });
  });
  if (first.mistakes.length > 0)
    throw new DomainError('config_invalid', `EIDER_FLIGHT_KEYS: ${path}, ${first.mistakes.join('; ')}.`, { path });
  let { keys, version } = first;
  let looked = performance.now();
  let looking: Promise<void> | null = null;

  async function look(): Promise<void> {
    if ((await versionOf(path)) === version) return;
    const next = await read(path);
    ({ keys, version } = next);
    if (next.mistakes.length > 0) log.error('lines of the file of keys are no keys', { path, mistakes: next.mistakes });
    log.info('the file of keys was read again', { path, keys: keys.length });
  }
  function unreadable(error: unknown): void {
    if (keys.length > 0) log.error('the file of keys cannot be read; nobody is let in', { path, error });
    [keys, version] = [[], ''];
  }

  return {
    async current() {
      if (performance.now() - looked >= everyMs)
        looking ??= look()
          .catch(unreadable)
          .finally(() => {
            looked = performance.now();
            looking = null;
          });
      await looking;
      return keys;
    },
  };
}

async function read(path: string) {
  const version = await versionOf(path);
  return { version, ...readKeys(await readFile(path, 'utf8')) };
}

/** Another file, or the same one written again. */
async function versionOf(path: string): Promise<string> {
  const { ino, mtimeMs, size } = await stat(path);
  if (size > fileBytesMax) throw new Error(`It has ${size} bytes; ${fileBytesMax} is the limit.`);
  return `${ino}/${mtimeMs}/${size}`;
}
