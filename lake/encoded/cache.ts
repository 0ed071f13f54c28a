import { createHash, randomUUID } from 'node:crypto';
import { access, mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { library } from '../read/library.js';
import type { Compression, ReadPlan } from '../read/plan.js';
import type { Batch } from '../read/stream.js';
import { createEncoded, isIntact, mapEncoded, readIndex, type EncodedWriter } from './file.js';
import { mappingWorks, type Mapping } from './mapping.js';

export interface EncodedCacheOptions {
  readonly folder: string;
  /** Of all files together; 0: nothing is kept. */
  readonly bytesMax: number;
  /** What cannot be kept is told here; the stream goes on. */
  readonly warn: (message: string, data: Record<string, unknown>) => void;
}

/**
 * Messages as they were sent, kept to be sent again: snapshots never change, so neither does what is read of them by the same
 * statement. Least recently used files go first; one goes, too, when a file of the lake that it was made of is gone.
 */
export interface EncodedCache {
  /** The messages of the plan: from a file, or from `read`, which a file is made of when it ends well. */
  through(
    plan: ReadPlan,
    compression: Compression,
    read: () => AsyncGenerator<Batch, void, void>,
  ): AsyncGenerator<Batch, void, void>;
  /** Removes what was made of files that are gone: garbage collection and erasures removed them. */
  sweep(): Promise<void>;
  bytes(): number;
}

interface Entry {
  readonly bytes: number;
  readonly files: readonly string[];
  readonly messageBytes: number;
  /** Read and compared since this process started, or written by it. */
  verified: boolean;
}

/** Counts up when the encoding changes. */
const encodingVersion = 1;
/** All that is being written may take so much more than the whole, and so may one result of the whole. */
const shareMax = 0.5;
/**
 * What is larger is kept when it is read for the second time: to fill the system's file cache costs two core-seconds a gigabyte
 * (measured), more than to send it, which a result that nobody reads again would cost for nothing.
 */
const firstTimeBytesMax = 16 * 2 ** 20;
const rememberedMax = 10_000;
/** Slices of this size go to the socket. */
const sliceBytes = 2 ** 20;
const aheadBytes = 16 * 2 ** 20;
const suffix = '.frames';

export async function openEncodedCache(options: EncodedCacheOptions): Promise<EncodedCache> {
  const off = options.bytesMax === 0 || !mappingWorks;
  const cache = new Cache(options);
  if (!off) await cache.load();
  return {
    through: (plan, compression, read) => (off ? read() : cache.through(plan, compression, read)),
    sweep: () => cache.sweep(),
    bytes: () => cache.bytes,
  };
}

class Cache {
  readonly #options: EncodedCacheOptions;
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #writing = new Set<string>();
  /** Too large to be kept at once, and how large at least; the oldest first. */
  readonly #readOnce = new Map<string, number>();
  /** Of all that is being written. */
  #writingBytes = 0;
  bytes = 0;

  constructor(options: EncodedCacheOptions) {
    this.#options = options;
  }

  /** What an earlier process left: whole files are kept, in the order of their last use, and pieces removed. */
  async load(): Promise<void> {
    await mkdir(this.#options.folder, { recursive: true });
    const found = [];
    for (const name of await readdir(this.#options.folder)) {
      const path = join(this.#options.folder, name);
      const key = name.endsWith(suffix) ? name.slice(0, -suffix.length) : null;
      const index = key === null ? null : await readIndex(path).catch(() => null);
      if (key === null || index?.key !== key) await rm(path, { force: true });
      else found.push({ key, index, used: (await stat(path)).mtimeMs });
    }
    for (const { key, index } of found.sort((one, other) => one.used - other.used))
      this.#add(key, {
        ...{ bytes: index.fileBytes, files: index.files, messageBytes: messageBytesOf(index.chunks) },
        verified: false,
      });
    await this.#makeRoom();
    await this.sweep();
  }

  async *through(
    plan: ReadPlan,
    compression: Compression,
    read: () => AsyncGenerator<Batch, void, void>,
  ): AsyncGenerator<Batch, void, void> {
    const key = keyOf(plan, compression);
    const entry = await this.#intact(key);
    if (entry) yield* this.#replay(entry.mapping, entry.messageBytes);
    else if (this.#writing.has(key)) yield* read();
    else yield* this.#tee(key, plan, read);
  }

  async sweep(): Promise<void> {
    const gone = new Map<string, boolean>();
    for (const [key, { files }] of this.#entries)
      for (const file of files) {
        if (!gone.has(file)) gone.set(file, await isGone(file));
        if (gone.get(file)) await this.#remove(key);
      }
  }

  /** The messages when they are there and as they were written; they are then the most recently used. */
  async #intact(key: string): Promise<{ readonly mapping: Mapping; readonly messageBytes: number } | null> {
    const entry = this.#entries.get(key);
    if (!entry) return null;
    const path = this.#path(key);
    try {
      if (!entry.verified) {
        const index = await readIndex(path);
        entry.verified = index !== null && (await isIntact(path, index));
      }
      if (entry.verified) {
        const now = new Date();
        await utimes(path, now, now);
        const mapping = await mapEncoded(path); // From here on nobody can take them away.
        if (this.#entries.get(key) === entry) this.#add(key, entry);
        return { mapping, messageBytes: entry.messageBytes };
      }
      this.#options.warn('an encoded result was damaged, and is made again', { key });
    } catch (error) {
      // Without an entry it was removed meanwhile, as it should be.
      if (this.#entries.has(key)) this.#options.warn('an encoded result could not be read, and is made again', { key, error }); // prettier-ignore
    }
    await this.#remove(key);
    return null;
  }

  async *#replay(mapping: Mapping, messageBytes: number): AsyncGenerator<Batch, void, void> {
    // Slices may still be on their way when the consumer leaves: the last one that is let go unmaps.
    let held = 1;
    const letGo = () => {
      if (--held === 0) mapping.close();
    };
    try {
      for (let at = 0; at < messageBytes; at += sliceBytes) {
        if (at % aheadBytes === 0) mapping.willNeed(at, 2 * aheadBytes);
        held++;
        yield { frame: mapping.bytes.subarray(at, Math.min(at + sliceBytes, messageBytes)), release: letGo };
      }
    } finally {
      letGo();
    }
  }

  async *#tee(
    key: string,
    plan: ReadPlan,
    read: () => AsyncGenerator<Batch, void, void>,
  ): AsyncGenerator<Batch, void, void> {
    this.#writing.add(key);
    const shareBytes = shareMax * this.#options.bytesMax;
    const bytesMax = this.#readOnce.has(key) ? shareBytes : Math.min(shareBytes, firstTimeBytesMax);
    // What is larger than its share will be so again.
    let writer = (this.#readOnce.get(key) ?? 0) > shareBytes ? null : await this.#create(key, plan);
    let done = false;
    let written = 0;
    const abandon = async () => {
      this.#writingBytes -= written;
      await writer?.abandon().catch((error: unknown) => this.#failed(error));
      writer = null;
    };
    try {
      for await (const { frame, release } of read()) {
        const kept = writer?.write(frame).then(
          () => true,
          (error: unknown) => this.#failed(error),
        );
        yield { frame, release: () => void (kept ? kept.then(release) : release()) };
        if (!writer) continue;
        written += frame.length;
        this.#writingBytes += frame.length;
        if (written > bytesMax) this.#remember(key, written);
        if (!(await kept) || written > bytesMax || this.#writingBytes > shareBytes) await abandon();
      }
      done = true;
    } finally {
      if (writer && done) await this.#keep(key, plan, writer).catch((error: unknown) => this.#failed(error));
      await abandon();
      this.#writing.delete(key);
    }
  }

  #remember(key: string, bytes: number): void {
    this.#readOnce.set(key, bytes);
    for (const oldest of this.#readOnce.keys()) if (this.#readOnce.size > rememberedMax) this.#readOnce.delete(oldest);
  }

  #failed(error: unknown): false {
    this.#options.warn('a result is not kept as it was encoded', { error });
    return false;
  }

  async #create(key: string, { files }: ReadPlan): Promise<EncodedWriter | null> {
    const staged = join(this.#options.folder, `.${randomUUID()}`);
    return createEncoded(this.#path(key), staged, key, files).catch((error: unknown) => {
      this.#failed(error);
      return null;
    });
  }

  async #keep(key: string, { files }: ReadPlan, writer: EncodedWriter): Promise<void> {
    const messageBytes = writer.bytes();
    this.#add(key, { bytes: await writer.finish(), files, messageBytes, verified: true });
    this.#readOnce.delete(key);
    await this.#makeRoom();
  }

  /** As the most recently used. */
  #add(key: string, entry: Entry): void {
    this.bytes += entry.bytes - (this.#entries.get(key)?.bytes ?? 0);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  async #makeRoom(): Promise<void> {
    for (const key of this.#entries.keys()) {
      if (this.bytes <= this.#options.bytesMax) return;
      await this.#remove(key);
    }
  }

  /** Whoever reads it goes on: the file has no name any more, but its bytes stay until they are let go. */
  async #remove(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.bytes -= entry.bytes;
    await rm(this.#path(key), { force: true });
  }

  #path(key: string): string {
    return join(this.#options.folder, `${key}${suffix}`);
  }
}

/**
 * Files of the lake are put once under names of their own, so the same text of a plan means the same rows to the same DuckDB;
 * another one may compute or name something otherwise.
 */
const keyOf = ({ setup, sql }: ReadPlan, compression: Compression): string =>
  createHash('sha256')
    .update(JSON.stringify([encodingVersion, library().version(), compression, setup, sql]))
    .digest('hex');

const messageBytesOf = (chunks: readonly { readonly bytes: number }[]): number =>
  chunks.reduce((sum, { bytes }) => sum + bytes, 0);

const isGone = (file: string): Promise<boolean> =>
  access(file).then(
    () => false,
    () => true,
  );
