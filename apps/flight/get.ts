import type { TableReader } from '../../domain/tables.js';
import type { EncodedCache } from '../../lake/encoded/cache.js';
import type { Reader } from '../../lake/read/reader.js';
import type { Batch } from '../../lake/read/stream.js';
import type { Logger } from '../log.js';
import { Admission } from './admission.js';
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
  /** How many streams may wait for one of those to end, and how long. */
  readonly waitingMax: number;
  readonly waitMaxMs: number;
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

/** Sends streams, up to a number at a time; others wait for their turn, up to a number and a time. */
export function streamSender(deps: GetDeps) {
  const { log, limits } = deps;
  const { streamsMax: openMax, waitingMax, waitMaxMs } = limits;
  const admission = new Admission({ openMax, waitingMax, waitMaxMs });

  return async (readable: Readable, call: Call, to: FrameCall): Promise<void> => {
    const leave = await admission.enter(call.signal);
    const started = Date.now();
    try {
      await holding(deps, readable.pins, () =>
        deps.writeFrames(to, framesOf(readable, call, deps), call, limits.idleMs),
      );
      leave();
      log.debug('sent', { ...readable.metadata, rows: readable.rows, ms: Date.now() - started });
    } catch (error) {
      // What the client did not take still has memory.
      void streamGone(to).then(leave);
      throw error;
    }
  };
}
