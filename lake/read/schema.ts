import { Field, Message, Schema } from 'apache-arrow';
import type { TableColumn } from '../../domain/tables.js';
import { arrowTypeOf } from './columns.js';

/** The bare flatbuffer Message of the schema; throws `type_unsupported` naming the column. */
export function schemaMessage(columns: readonly TableColumn[]): Buffer {
  const fields = columns.map((column) => new Field(column.name, arrowTypeOf(column), true));
  return Buffer.from(Message.encode(Message.from(new Schema(fields))));
}

const continuation = 0xffffffff;
const alignmentBytes = 8;

/** The same in the encapsulated form of Arrow IPC: continuation, length, Message, padding. */
export function encapsulated(message: Buffer): Buffer {
  const padded = Math.ceil(message.length / alignmentBytes) * alignmentBytes;
  const framed = Buffer.alloc(8 + padded);
  framed.writeUInt32LE(continuation, 0);
  framed.writeInt32LE(padded, 4);
  message.copy(framed, 8);
  return framed;
}
