import type { ServerHttp2Stream } from 'node:http2';
import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { OutgoingFrame } from './feature.js';

/** One being written and one behind it, so that the socket never waits for us and memory stays bounded. */
const writesMax = 2;

export type FrameCall = ServerWritableStream<unknown, Buffer>;

/**
 * Writes ready gRPC frames to the HTTP/2 stream of the call, which takes them without a copy, as fast as the client takes
 * them. Throws what the batches throw, `cancelled` when the signal fires, `stream_idle` when the client has taken nothing
 * for `idleMs`. Headers, status and trailers stay with grpc-js.
 */
export async function writeFrames(
  call: FrameCall,
  batches: AsyncIterable<OutgoingFrame>,
  idleMs: number,
  signal: AbortSignal,
): Promise<void> {
  const stream = http2StreamOf(call);
  const underway: Promise<void>[] = [];
  call.sendMetadata(new Metadata());
  for await (const { frame, release } of batches) {
    const written = new Promise<void>((resolve) => stream.write(frame, () => resolve()));
    underway.push(written.then(release));
    if (underway.length >= writesMax) await taken(underway.shift(), idleMs, signal);
  }
  for (const write of underway) await taken(write, idleMs, signal);
}

/** grpc-js keeps the stream to itself; its version is pinned, and every test of DoGet goes through here. */
function http2StreamOf(call: FrameCall): ServerHttp2Stream {
  const { stream } = (call as unknown as { call: { stream?: ServerHttp2Stream } }).call;
  if (typeof stream?.write === 'function' && typeof stream.sendTrailers === 'function') return stream;
  throw new DomainError('internal', 'grpc-js does not have its HTTP/2 stream where it was.');
}

/** The callback of a write never comes once the call was cancelled. */
async function taken(write: Promise<void> | undefined, idleMs: number, signal: AbortSignal): Promise<void> {
  let stop: () => void = () => undefined;
  const interrupted = new Promise<never>((_, reject) => {
    const idle = () =>
      reject(new DomainError('stream_idle', `The client has taken nothing for ${idleMs / 1000} seconds.`));
    const cancelled = () => reject(new DomainError('cancelled', 'The client left.'));
    const timer = setTimeout(idle, idleMs);
    signal.addEventListener('abort', cancelled, { once: true });
    if (signal.aborted) cancelled();
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancelled);
    };
  });
  try {
    await Promise.race([write, interrupted]);
  } finally {
    stop();
  }
}
