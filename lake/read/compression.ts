import { compress as zstd, init as loadZstd } from '@bokuweb/zstd-wasm';
import { compressFrameSync as lz4 } from 'lz4-napi';
import { alignUp, type BufferPlace } from './message.js';
import type { Compression } from './plan.js';

export type Codec = Exclude<Compression, 'none'>;

/** The fastest level: a slow network gains from any, and the rest is time. */
const zstdLevel = 1;

const codecs: Readonly<Record<Codec, (bytes: Buffer) => Uint8Array>> = {
  lz4,
  zstd: (bytes) => zstd(bytes, zstdLevel),
};

/** Before the first stream that is compressed so; null when nothing needs to be loaded. */
export const loadCodec = (codec: Compression): Promise<void> | null => (codec === 'zstd' ? loadZstd() : null);

export interface CompressedBody {
  readonly buffers: readonly BufferPlace[];
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

const lengthBytes = 8;
const notCompressed = -1n;

/** Every buffer by itself behind its length; one that would not become smaller stays as it is, behind -1. */
export function compressBody(body: Buffer, buffers: readonly BufferPlace[], codec: Codec): CompressedBody {
  const parts: Uint8Array[] = [];
  let end = 0;
  const places = buffers.map(({ offset, bytes }): BufferPlace => {
    if (bytes === 0) return { offset: end, bytes };
    const plain = body.subarray(offset, offset + bytes);
    const packed = codecs[codec](plain);
    const smaller = packed.length < bytes;
    const part = smaller ? packed : Buffer.from(plain); // Its memory is needed for the next batch.
    const length = Buffer.alloc(lengthBytes);
    length.writeBigInt64LE(smaller ? BigInt(bytes) : notCompressed);
    const placed = { offset: end, bytes: lengthBytes + part.length };
    end = alignUp(end + placed.bytes);
    parts.push(length, part, Buffer.alloc(end - placed.offset - placed.bytes));
    return placed;
  });
  return { buffers: places, parts, bytes: end };
}
