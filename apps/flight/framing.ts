import type { ServerWritableStream } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';

/** One being written and one behind it, so that the socket never waits for us and memory stays bounded. */
const writesMax = 2;

/**
 * Writes ready messages to the call as fast as the client takes them. Throws what the messages throw, `cancelled` when the
 * signal fires, `stream_idle` when the client has taken nothing for `idleMs`.
 */
export async function writeMessages(
  call: ServerWritableStream<unknown, Buffer>,
  messages: AsyncIterable<Buffer>,
  idleMs: number,
  signal: AbortSignal,
): Promise<void> {
  const underway: Promise<void>[] = [];
  for await (const message of messages) {
    underway.push(new Promise((resolve) => call.write(message, () => resolve())));
    if (underway.length >= writesMax) await taken(underway.shift(), idleMs, signal);
  }
  for (const write of underway) await taken(write, idleMs, signal);
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
