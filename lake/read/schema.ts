import { Message } from 'apache-arrow/ipc/metadata/message';
import { Schema } from 'apache-arrow/schema';
import { fieldOf, type TypeRow } from './type-row.js';

/** The bare flatbuffer Message of the schema. */
export function schemaMessage(columns: readonly { readonly name: string; readonly type: TypeRow }[]): Buffer {
  const fields = columns.map(({ name, type }) => fieldOf(name, type));
  return Buffer.from(Message.encode(Message.from(new Schema(fields))));
}

const continuation = 0xffffffff;
const alignmentBytes = 8;

/** The same in the encapsulated form of Arrow IPC: continuation, length, Message, padding. */
export function encapsulated(message: Uint8Array): Buffer {
  const padded = Math.ceil(message.length / alignmentBytes) * alignmentBytes;
  const framed = Buffer.alloc(8 + padded);
  framed.writeUInt32LE(continuation, 0);
  framed.writeInt32LE(padded, 4);
  framed.set(message, 8);
  return framed;
}
