import { DomainError } from '../../domain/errors.js';
import type { TableReader } from '../../domain/tables.js';
import type { EncodedCache } from '../../lake/encoded/cache.js';
import type { Reader } from '../../lake/read/reader.js';
import type { Batch } from '../../lake/read/stream.js';
import type { Logger } from '../log.js';
import type { Call } from './call.js';
import { streamGone, type FrameCall, type FrameWriter } from './framing.js';
import { holding } from './leases.js';
import type { Readable } from './readable.js';

export interface GetDeps {
  readonly tables: TableReader;
  readonly reader: Reader;
  readonly encoded: EncodedCache;
  readonly log: Logger;
  readonly limits: FlightLimits;
  readonly writeFrames: FrameWriter;
}

export interface FlightLimits {
  readonly streamsMax: number;
  /** A client that takes nothing for so long loses its stream. */
  readonly idleMs: number;
}

/** All messages of what a ticket stands for, the schema first. */
function framesOf(
  { source }: Readable,
  { signal, compression }: Call,
  { reader, encoded }: Pick<GetDeps, 'reader' | 'encoded'>,
): AsyncGenerator<Batch, void, void> {
  if (source.type === 'ready') return readyFrames(source.frames);
  const read = () => reader.read(source.plan, { signal, compression });
  return source.repeatable ? encoded.through(source.plan, compression, read) : read();
}

async function* readyFrames(frames: readonly Buffer[]): AsyncGenerator<Batch, void, void> {
  for (const frame of frames) yield { frame, release: () => undefined };
}

/** Sends streams, up to a number at a time. */
export function streamSender(deps: GetDeps) {
  const { log, limits } = deps;
  let open = 0;

  return async (readable: Readable, call: Call, to: FrameCall): Promise<void> => {
    if (open >= limits.streamsMax)
      throw new DomainError('streams_exhausted', `${open} streams are open, which is the limit.`, { open });
    open++;
    const started = Date.now();
    try {
      await holding(deps, readable.pins, () =>
        deps.writeFrames(to, framesOf(readable, call, deps), call, limits.idleMs),
      );
      open--;
      log.debug('sent', { ...readable.metadata, rows: readable.rows, ms: Date.now() - started });
    } catch (error) {
      // What the client did not take still has memory.
      void streamGone(to).then(() => open--);
      throw error;
    }
  };
}
