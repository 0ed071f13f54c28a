import { createHash, randomUUID } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { copyFile, link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { DomainError } from '../domain/errors.js';
import type { Sha256 } from '../domain/ids.js';

/** Immutable objects under keys relative to a root: written once, never changed. A local folder now, S3 by the same door. */
export interface Objects {
  readonly root: string;
  /** Where the object lies, for programs that read files by path. */
  path(key: string): string;
  /** A fresh path to write to; nothing reads it before `seal` or `adopt`. */
  stage(key: string): Promise<string>;
  /** Makes a staged file durable where it lies: file and folder are synced. Returns its size in bytes and its hash. */
  seal(key: string): Promise<{ bytes: number; sha256: Sha256 }>;
  /** Copies a file in under its key; a second put of the key keeps the first. */
  adopt(key: string, file: string): Promise<{ bytes: number; sha256: Sha256 }>;
  read(key: string): Promise<Buffer>;
  remove(key: string): Promise<void>;
  /** Everything under a prefix that ends between two parts of a key, staged or not; nothing when there is nothing. */
  list(prefix: string): Promise<ObjectEntry[]>;
}

export interface ObjectEntry {
  readonly key: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

const keyPattern = /^(?!.*\.\.)[A-Za-z0-9_@.:=-]+(\/[A-Za-z0-9_@.:=-]+)*$/;

export function localObjects(root: string): Objects {
  const path = (key: string): string => {
    if (!keyPattern.test(key)) throw new DomainError('internal', `"${key}" is not an object key.`, { key });
    return join(root, key);
  };
  const seal = async (key: string) => {
    const file = path(key);
    await syncPath(file);
    await syncFolders(dirname(file), root);
    return { bytes: (await stat(file)).size, sha256: await fileSha256(file) };
  };
  return {
    root,
    path,
    seal,
    async stage(key) {
      await mkdir(dirname(path(key)), { recursive: true });
      return path(key);
    },
    async adopt(key, file) {
      const target = path(key);
      await mkdir(dirname(target), { recursive: true });
      const staged = `${target}.${randomUUID()}`;
      try {
        await copyFile(file, staged, constants.COPYFILE_EXCL);
        await syncPath(staged);
        // A hard link fails if the key exists: put-once without a race.
        await link(staged, target).catch((error: NodeJS.ErrnoException) => {
          if (error.code !== 'EEXIST') throw error;
        });
      } catch (error) {
        throw new DomainError('lake_write_failed', `${key}: ${(error as Error).message}`, { key }, { cause: error });
      } finally {
        await rm(staged, { force: true });
      }
      return seal(key);
    },
    async read(key) {
      return readFile(path(key)).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') throw new DomainError('object_missing', `The object ${key} is missing.`, { key });
        throw error;
      });
    },
    remove: (key) => rm(path(key), { force: true }),
    async list(prefix) {
      const names = await readdir(path(prefix), { recursive: true, withFileTypes: true }).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return [];
          throw error;
        },
      );
      const files = names.filter((name) => name.isFile()).map((name) => join(name.parentPath, name.name));
      const entries = await Promise.all(
        files.map(async (file): Promise<ObjectEntry | null> => {
          // What is removed in between is not there.
          const found = await stat(file).catch(() => null);
          const key = relative(root, file).split(sep).join('/');
          return found && { key, bytes: found.size, modifiedMs: found.mtimeMs };
        }),
      );
      return entries.filter((entry) => entry !== null);
    },
  };
}

export async function fileSha256(file: string): Promise<Sha256> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex') as Sha256;
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A new file is only found again after a crash if the folders on its way are synced too (DuckDB syncs neither). */
async function syncFolders(folder: string, root: string): Promise<void> {
  for (let at = folder; at.length >= root.length; at = dirname(at)) {
    await syncPath(at);
    if (at === root) return;
  }
}
