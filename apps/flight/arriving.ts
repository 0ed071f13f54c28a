import type { ServerDuplexStream } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import { requireDecoded, type FlightData } from './protocol.js';

/**
 * The messages that a client sends, one at a time. Throws what the signal says when the client left or its time is over, so
 * that a stream that broke is never taken for one that ended; `stream_idle` when nothing has come for `idleMs`.
 */
export async function* arriving(
  stream: ServerDuplexStream<FlightData, unknown>,
  signal: AbortSignal,
  idleMs: number,
): AsyncGenerator<FlightData> {
  holdOne(stream);
  // By default the iterator ends the answers as well when the messages have ended.
  const messages = stream.iterator({ destroyOnReturn: false }) as AsyncIterator<FlightData>;
  for (;;) {
    const next = await interrupted(messages.next(), signal, idleMs);
    if (signal.aborted) throw reasonOf(signal);
    if (next.done) return;
    requireDecoded(next.value);
    yield next.value;
  }
}

/**
 * Node would hold 16 messages of a stream of objects, each of up to the limit of gRPC. There is no option for it in grpc-js,
 * whose version is pinned.
 */
function holdOne(stream: ServerDuplexStream<FlightData, unknown>): void {
  const { _readableState: state } = stream as unknown as { _readableState?: { highWaterMark: number } };
  if (state) state.highWaterMark = 1;
}

async function interrupted<Result>(work: Promise<Result>, signal: AbortSignal, idleMs: number): Promise<Result> {
  let stop: () => void = () => undefined;
  const over = new Promise<never>((_, reject) => {
    const left = () => reject(reasonOf(signal));
    const idle = () => reject(new DomainError('stream_idle', `Nothing has come for ${idleMs / 1000} seconds.`));
    const timer = setTimeout(idle, idleMs);
    signal.addEventListener('abort', left, { once: true });
    if (signal.aborted) left();
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', left);
    };
  });
  try {
    return await Promise.race([work, over]);
  } catch (error) {
    work.catch(() => undefined);
    // A stream that was destroyed says less than why it was.
    throw signal.aborted ? reasonOf(signal) : error;
  } finally {
    stop();
  }
}

const reasonOf = ({ reason }: AbortSignal): unknown =>
  reason instanceof DomainError ? reason : new DomainError('cancelled', 'The client left.');
