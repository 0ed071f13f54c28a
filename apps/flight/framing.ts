import { constants, type ServerHttp2Stream } from 'node:http2';
import type { ServerWritableStream } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { Call } from './call.js';
import type { OutgoingFrame } from './feature.js';

/** One being written and one behind it, so that the socket never waits for us and memory stays bounded. */
const writesMax = 2;
/** A client that has taken nothing hears why if it begins to take again within this; then its stream is reset. */
const farewellMs = 10_000;

export type FrameCall = ServerWritableStream<unknown, Buffer>;

/** Sends frames to the client, as fast as it takes them; headers, status and trailers stay with grpc-js. */
export type FrameWriter = (
  to: FrameCall,
  frames: AsyncIterable<OutgoingFrame>,
  call: Pick<Call, 'signal' | 'headers'>,
  idleMs: number,
) => Promise<void>;

/**
 * Writes ready gRPC frames to the HTTP/2 stream of the call, which takes them without a copy. Throws what the frames throw,
 * `cancelled` when the signal fires, `stream_idle` when the client has taken nothing for `idleMs`.
 */
export const writeFrames: FrameWriter = async (to, frames, call, idleMs) => {
  const stream = http2StreamOf(to);
  const underway: Promise<void>[] = [];
  let begun = false;
  try {
    for await (const { frame, release } of frames) {
      // With the first frame, as grpc-js does: what fails before it is answered by a status alone.
      if (!begun) to.sendMetadata(call.headers);
      begun = true;
      underway.push(written(stream, frame, release));
      if (underway.length >= writesMax) await taken(underway.shift(), idleMs, call.signal);
    }
    for (const write of underway) await taken(write, idleMs, call.signal);
  } catch (error) {
    resetLater(stream);
    throw error;
  }
};

/** Sends messages by grpc-js's own way, which copies them: for small ones. */
export async function writeMessages<Message>(
  to: { write(message: Message, taken: () => void): boolean; sendMetadata: FrameCall['sendMetadata'] },
  messages: AsyncIterable<Message> | Iterable<Message>,
  { signal, headers }: Pick<Call, 'signal' | 'headers'>,
  idleMs: number,
): Promise<void> {
  let begun = false;
  for await (const message of messages) {
    if (!begun) to.sendMetadata(headers);
    begun = true;
    await taken(new Promise((resolve) => to.write(message, resolve)), idleMs, signal);
  }
}

/** Resolves when nothing of the stream is left, neither frames that wait for the client nor its status. */
export function streamGone(to: FrameCall): Promise<void> {
  const stream = http2StreamOf(to);
  return stream.closed ? Promise.resolve() : new Promise((resolve) => stream.once('close', () => resolve()));
}

/** grpc-js keeps the stream to itself; its version is pinned, and every test of DoGet goes through here. */
function http2StreamOf(to: FrameCall): ServerHttp2Stream {
  const { stream } = (to as unknown as { call: { stream?: ServerHttp2Stream } }).call;
  if (typeof stream?.write === 'function' && typeof stream.sendTrailers === 'function') return stream;
  throw new DomainError('internal', 'grpc-js does not have its HTTP/2 stream where it was.');
}

function written(stream: ServerHttp2Stream, frame: Buffer, release: () => void): Promise<void> {
  const write = new Promise<void>((resolve, reject) => {
    // grpc-js ends the stream by itself when the deadline has passed.
    if (stream.writableEnded || stream.destroyed) reject(new DomainError('cancelled', 'The stream has ended.'));
    else stream.write(frame, (error) => (error ? reject(error) : resolve()));
  }).then(release);
  // It is awaited later, or never when another one failed before.
  write.catch(() => undefined);
  return write;
}

/** A status waits behind the frames that the client does not take; what they hold is let go at last. */
function resetLater(stream: ServerHttp2Stream): void {
  if (stream.closed) return;
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), farewellMs);
  timer.unref();
  stream.once('close', () => clearTimeout(timer));
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
