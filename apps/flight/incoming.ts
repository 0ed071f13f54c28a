import type { ServerDuplexStream } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import { encapsulated } from '../../lake/read/schema.js';
import type { Call } from './call.js';
import type { FlightFeature } from './feature.js';
import { writeFrames, type FrameCall } from './framing.js';
import { unknownDescriptor } from './info.js';
import type { FlightData, FlightDescriptor } from './protocol.js';

type Incoming = ServerDuplexStream<FlightData, unknown>;

/** DoPut: the descriptor of the first message says who takes the stream. */
export function putHandler(features: readonly FlightFeature[]) {
  const takers = features.flatMap((feature) => feature.puts ?? []);
  return async (stream: Incoming, call: Call): Promise<void> => {
    const { descriptor, messages } = await opened(stream);
    const taker = takers.find((one) => one.accepts(descriptor));
    if (!taker) throw unknownDescriptor(descriptor);
    for await (const metadata of taker.take(descriptor, messages, call)) stream.write({ app_metadata: metadata });
  };
}

/** DoExchange; what is answered goes to the socket like DoGet's frames. */
export function exchangeHandler(features: readonly FlightFeature[], idleMs: number) {
  const exchangers = features.flatMap((feature) => feature.exchanges ?? []);
  return async (stream: Incoming, call: Call): Promise<void> => {
    const { descriptor, messages } = await opened(stream);
    const exchanger = exchangers.find((one) => one.accepts(descriptor));
    if (!exchanger) throw unknownDescriptor(descriptor);
    const frames = exchanger.exchange(descriptor, messages, call);
    await writeFrames(stream as unknown as FrameCall, frames, idleMs, call.signal);
  };
}

async function opened(
  stream: Incoming,
): Promise<{ descriptor: FlightDescriptor; messages: AsyncGenerator<FlightData> }> {
  const iterator = (stream as AsyncIterable<FlightData>)[Symbol.asyncIterator]();
  const first = await iterator.next();
  const descriptor = first.done ? null : first.value.flight_descriptor;
  if (!descriptor) throw new DomainError('descriptor_invalid', 'The first message of the stream has no descriptor.');
  async function* messages(): AsyncGenerator<FlightData> {
    for (let next = first; !next.done; next = await iterator.next()) yield next.value;
  }
  return { descriptor, messages: messages() };
}

/** The same as one stream of Arrow IPC, which every Arrow library reads; it may have no batch, or be empty. */
export async function* ipcStream(messages: AsyncIterable<FlightData>): AsyncGenerator<Uint8Array> {
  for await (const { data_header, data_body } of messages) {
    if (data_header.length === 0) continue; // Metadata alone.
    yield encapsulated(data_header);
    if (data_body.length > 0) yield data_body;
  }
}
