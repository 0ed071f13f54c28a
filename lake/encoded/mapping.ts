import koffi from 'koffi';
import { DomainError } from '../../domain/errors.js';

/** A whole file as memory: sending it copies nothing but from the system's file cache to the socket. */
export interface Mapping {
  readonly bytes: Buffer;
  /** Asks the system to have these bytes in memory soon, so that sending does not wait for the disk. */
  willNeed(offset: number, bytes: number): void;
  /** Afterwards no byte may be touched. Without it the memory goes with the garbage, when nothing refers to it any more. */
  close(): void;
}

/** Numbers of `<sys/mman.h>`, the same on Linux and macOS. */
const protectionRead = 1;
const mapShared = 1;
const adviceWillNeed = 3;
const pageBytes = 4096;

export const mappingWorks = process.platform === 'linux' || process.platform === 'darwin';

let loaded: ReturnType<typeof load> | undefined;

function load() {
  const libc = koffi.load(null);
  return {
    mmap: libc.func('mmap', 'intptr_t', ['uintptr_t', 'size_t', 'int', 'int', 'int', 'int64_t']) as unknown as (
      ...values: [at: number, bytes: number, protection: number, flags: number, file: number, offset: number]
    ) => number,
    munmap: libc.func('munmap', 'int', ['uintptr_t', 'size_t']) as unknown as (at: number, bytes: number) => number,
    madvise: libc.func('madvise', 'int', ['uintptr_t', 'size_t', 'int']) as unknown as (
      ...values: [at: number, bytes: number, advice: number]
    ) => number,
  };
}

/** For bytes that a broken connection never gave back: whether the socket still reads them only their object knows. */
const forgotten = new FinalizationRegistry((unmap: () => void) => unmap());

/** Maps an open file of that size, which nobody may shorten; the file may be closed and unlinked meanwhile. */
export function mapFile(file: number, bytes: number): Mapping {
  const { mmap, munmap, madvise } = (loaded ??= load());
  const at = mmap(0, bytes, protectionRead, mapShared, file, 0);
  if (at === -1) throw new DomainError('internal', 'The system did not map a file into memory.', { bytes });
  const memory = koffi.view(BigInt(at), bytes);
  const unmap = () => void munmap(at, bytes);
  forgotten.register(memory, unmap, memory);
  return {
    bytes: Buffer.from(memory),
    willNeed(offset, wanted) {
      const start = Math.floor(offset / pageBytes) * pageBytes;
      madvise(at + start, Math.min(bytes, offset + wanted) - start, adviceWillNeed);
    },
    close() {
      forgotten.unregister(memory);
      unmap();
    },
  };
}
