import type { Call } from './call.js';
import type { FlightData, FlightDescriptor } from './protocol.js';
import type { Content, ReadableKind } from './readable.js';

/** What DoPut takes: a stream of messages for a descriptor, answered by messages of app_metadata. */
export interface PutTaker {
  accepts(descriptor: FlightDescriptor): boolean;
  /** Reads the stream to its end before it answers: an early end reaches some clients as a broken connection. */
  take(descriptor: FlightDescriptor, messages: AsyncIterable<FlightData>, call: Call): AsyncIterable<Buffer>;
}

/** What DoExchange answers: FlightData messages as gRPC frames, as the client's arrive. */
export interface Exchanger {
  accepts(descriptor: FlightDescriptor): boolean;
  exchange(descriptor: FlightDescriptor, messages: AsyncIterable<FlightData>, call: Call): AsyncIterable<OutgoingFrame>;
}

export interface OutgoingFrame {
  readonly frame: Buffer;
  /** To be called once, when the frame was written. */
  release(): void;
}

export interface ActionTaker {
  readonly type: string;
  readonly description: string;
  /** False: it only says why it does nothing. */
  readonly listed?: false;
  run(body: Buffer, call: Call): AsyncIterable<Buffer>;
}

/** A part of the service: what it adds to each call. */
export interface FlightFeature {
  readonly readables?: readonly ReadableKind<Content>[];
  readonly puts?: readonly PutTaker[];
  readonly exchanges?: readonly Exchanger[];
  readonly actions?: readonly ActionTaker[];
}
