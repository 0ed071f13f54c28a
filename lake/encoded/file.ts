import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { mapFile, type Mapping } from './mapping.js';

/** What a file of encoded messages says of itself, after the messages. */
const Index = z.strictObject({
  key: z.string(),
  /** Absolute paths of what was read to make it. */
  files: z.array(z.string()),
  /** Of each stretch of messages, in order. */
  chunks: z.array(z.strictObject({ bytes: z.int(), crc32: z.int() })),
});
type Index = z.infer<typeof Index>;

/** CRC-32 and length of the index, then this. */
const magic = Buffer.from('EIDERFD1');
const tailBytes = 8 + magic.length;
const indexBytesMax = 64 * 2 ** 20;

/** Takes messages as they are sent; nothing is seen of them under the file's name before all are there. */
export interface EncodedWriter {
  write(frame: Buffer): Promise<void>;
  /** Bytes of messages so far. */
  bytes(): number;
  /** Returns the size of the file. */
  finish(): Promise<number>;
  abandon(): Promise<void>;
}

export async function createEncoded(
  path: string,
  staged: string,
  key: string,
  files: readonly string[],
): Promise<EncodedWriter> {
  const handle = await open(staged, 'wx');
  const chunks: Index['chunks'] = [];
  let bytes = 0;
  return {
    async write(frame) {
      chunks.push({ bytes: frame.length, crc32: crc32(frame) });
      const at = bytes;
      bytes += frame.length;
      await writeAll(handle, frame, at);
    },
    bytes: () => bytes,
    async finish() {
      const index = Buffer.from(JSON.stringify({ key, files: [...files], chunks } satisfies Index));
      const tail = Buffer.alloc(8);
      tail.writeUInt32LE(crc32(index), 0);
      tail.writeUInt32LE(index.length, 4);
      await writeAll(handle, Buffer.concat([index, tail, magic]), bytes);
      await handle.close();
      await rename(staged, path);
      return bytes + index.length + tailBytes;
    },
    async abandon() {
      await handle.close();
      await rm(staged, { force: true });
    },
  };
}

async function writeAll(handle: FileHandle, buffer: Buffer, at: number): Promise<void> {
  for (let done = 0; done < buffer.length;) {
    const { bytesWritten } = await handle.write(buffer, done, buffer.length - done, at + done);
    done += bytesWritten;
  }
}

/** An index with the place of its messages; null when the file is no whole one. */
export async function readIndex(path: string): Promise<(Index & { readonly fileBytes: number }) | null> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    if (size < tailBytes) return null;
    const tail = await readAt(handle, size - tailBytes, tailBytes);
    const length = tail.readUInt32LE(4);
    if (!tail.subarray(8).equals(magic) || length > Math.min(indexBytesMax, size - tailBytes)) return null;
    const index = await readAt(handle, size - tailBytes - length, length);
    if (crc32(index) !== tail.readUInt32LE(0)) return null;
    const parsed = Index.safeParse(JSON.parse(index.toString()));
    const messages = parsed.data?.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    return parsed.success && messages === size - tailBytes - length ? { ...parsed.data, fileBytes: size } : null;
  } finally {
    await handle.close();
  }
}

/** Reads the messages once and compares; a chunk at a time, so that other work goes on. */
export async function isIntact(path: string, { chunks }: Pick<Index, 'chunks'>): Promise<boolean> {
  const handle = await open(path);
  try {
    let at = 0;
    const memory = Buffer.allocUnsafe(chunks.reduce((most, chunk) => Math.max(most, chunk.bytes), 1));
    for (const chunk of chunks) {
      const { bytesRead } = await handle.read(memory, 0, chunk.bytes, at);
      if (bytesRead !== chunk.bytes || crc32(memory.subarray(0, bytesRead)) !== chunk.crc32) return false;
      at += chunk.bytes;
    }
    return true;
  } finally {
    await handle.close();
  }
}

/** The messages as memory. */
export async function mapEncoded(path: string): Promise<Mapping> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    return mapFile(handle.fd, size);
  } finally {
    await handle.close();
  }
}

async function readAt(handle: FileHandle, at: number, bytes: number): Promise<Buffer> {
  const memory = Buffer.alloc(bytes);
  await handle.read(memory, 0, bytes, at);
  return memory;
}
