import type { ServerDuplexStream } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import { encapsulated } from '../../lake/read/schema.js';
import { arriving } from './arriving.js';
import type { Call } from './call.js';
import type { FlightFeature } from './feature.js';
import { writeFrames, writeMessages, type FrameCall } from './framing.js';
import { unknownDescriptor } from './info.js';
import type { FlightData, FlightDescriptor } from './protocol.js';
import { requireSound } from './sound.js';

type Incoming = ServerDuplexStream<FlightData, unknown>;

/** DoPut: the descriptor of the first message says who takes the stream. */
export function putHandler(features: readonly FlightFeature[], idleMs: number) {
  const takers = features.flatMap((feature) => feature.puts ?? []);
  return async (stream: Incoming, call: Call): Promise<void> => {
    const { descriptor, messages } = await opened(stream, call, idleMs);
    const taker = takers.find((one) => one.accepts(descriptor));
    if (!taker) throw unknownDescriptor(descriptor);
    const results = mapped(taker.take(descriptor, messages, call), (metadata) => ({ app_metadata: metadata }));
    await writeMessages(stream, results, call, idleMs);
  };
}

/** DoExchange; what is answered goes to the socket like DoGet's frames. */
export function exchangeHandler(features: readonly FlightFeature[], idleMs: number) {
  const exchangers = features.flatMap((feature) => feature.exchanges ?? []);
  return async (stream: Incoming, call: Call): Promise<void> => {
    const { descriptor, messages } = await opened(stream, call, idleMs);
    const exchanger = exchangers.find((one) => one.accepts(descriptor));
    if (!exchanger) throw unknownDescriptor(descriptor);
    const frames = exchanger.exchange(descriptor, messages, call);
    await writeFrames(stream as unknown as FrameCall, frames, call, idleMs);
  };
}

export async function* mapped<From, To>(from: AsyncIterable<From>, to: (one: From) => To): AsyncGenerator<To> {
  for await (const one of from) yield to(one);
}

async function opened(
  stream: Incoming,
  { signal }: Call,
  idleMs: number,
): Promise<{ descriptor: FlightDescriptor; messages: AsyncGenerator<FlightData> }> {
  const arrived = arriving(stream, signal, idleMs);
  const first = await arrived.next();
  const descriptor = first.done ? null : first.value.flight_descriptor;
  if (!descriptor) throw new DomainError('descriptor_invalid', 'The first message of the stream has no descriptor.');
  async function* messages(): AsyncGenerator<FlightData> {
    yield first.value as FlightData;
    yield* arrived;
  }
  return { descriptor, messages: messages() };
}

/** The same as one stream of Arrow IPC, which every Arrow library reads; it may have no batch, or be empty. */
export async function* ipcStream(messages: AsyncIterable<FlightData>): AsyncGenerator<Uint8Array> {
  for await (const message of messages) {
    const { data_header, data_body } = message;
    if (data_header.length === 0) continue; // Metadata alone.
    requireSound(message);
    yield encapsulated(data_header);
    if (data_body.length > 0) yield data_body;
  }
}

/** Its messages one by one, each whole, as soon as it has come. */
export async function* ipcMessages(messages: AsyncIterable<FlightData>): AsyncGenerator<Uint8Array> {
  for await (const message of messages) {
    const { data_header, data_body } = message;
    if (data_header.length === 0) continue;
    requireSound(message);
    yield Buffer.concat([encapsulated(data_header), data_body]);
  }
}
