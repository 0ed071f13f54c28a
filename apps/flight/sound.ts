import { Message } from 'apache-arrow';
import { ByteBuffer } from 'flatbuffers';
import { DomainError } from '../../domain/errors.js';
import type { FlightData } from './protocol.js';

type Sent = Pick<FlightData, 'data_header' | 'data_body'>;
interface BatchHeader {
  readonly length: number | bigint;
  readonly nodes: readonly { readonly length: number | bigint; readonly nullCount: number | bigint }[];
  readonly buffers: readonly { readonly offset: number | bigint; readonly length: number | bigint }[];
}

/** Columns of nulls have no bytes; more of their rows than this nobody sends in one batch. */
const emptyRowsMax = 1_000_000;

/**
 * Arrow for JavaScript believes the lengths that a message declares: with a few wrong bits 100 bytes made it take all memory
 * there is. Throws `request_invalid` when they cannot be true of the bytes that came.
 */
export function requireSound({ data_header, data_body }: Sent): void {
  try {
    const message = Message.decode(data_header);
    if (message.isRecordBatch()) requireLengths(message.header() as unknown as BatchHeader, data_body.length);
    if (message.isDictionaryBatch())
      requireLengths((message.header() as unknown as { data: BatchHeader }).data, data_body.length);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw new DomainError('request_invalid', 'A message is no Arrow.', {}, { cause: error });
  }
}

function requireLengths({ length, nodes, buffers }: BatchHeader, bodyBytes: number): void {
  // A value takes at least a bit.
  const rowsMax = Math.max(emptyRowsMax, bodyBytes * 8);
  const within = (value: number | bigint, max: number) => Number(value) >= 0 && Number(value) <= max;
  const sound =
    within(length, rowsMax) &&
    nodes.every((node) => within(node.length, rowsMax) && within(node.nullCount, Number(node.length))) &&
    buffers.every((one) => within(one.offset, bodyBytes) && within(one.length, bodyBytes - Number(one.offset)));
  if (!sound) throw new DomainError('request_invalid', 'A batch of Arrow declares more than was sent of it.');
}

/** Flatbuffers for JavaScript check no length either: a vector holds no more elements than its message has bytes. */
const vectorLength = Reflect.get(ByteBuffer.prototype, '__vector_len') as (this: ByteBuffer, offset: number) => number;
ByteBuffer.prototype.__vector_len = function (this: ByteBuffer, offset: number): number {
  const length = vectorLength.call(this, offset);
  if (length >= 0 && length <= this.capacity()) return length;
  throw new RangeError('A vector declares more elements than its message has bytes.');
};
