/**
 * The FlightData message of a record batch, written by hand (`proto/Flight.proto`, Arrow's `Message.fbs`): its body starts
 * at a multiple of 16 within the message, so a client that keeps the message in one piece reads aligned columns.
 */
export const alignmentBytes = 16;

/** gRPC puts five bytes before a message, not compressed and its length; in our memory they end where alignment begins. */
const grpcPrefixBytes = 5;
export const messageAt = alignmentBytes;
export const frameAt = messageAt - grpcPrefixBytes;

export function writeGrpcPrefix(memory: Buffer, messageBytes: number): void {
  memory.writeUInt8(0, frameAt);
  memory.writeUInt32BE(messageBytes, frameAt + 1);
}

export interface BufferPlace {
  /** From the start of the body. */
  readonly offset: number;
  readonly bytes: number;
}

export interface BatchShape {
  readonly rows: number;
  /** One a column. */
  readonly nullCounts: readonly number[];
  /** In Arrow's order: for each column validity, then offsets if it has them, then data. */
  readonly buffers: readonly BufferPlace[];
  readonly bodyBytes: number;
}

/** Field 2, length-delimited. */
const headerTag = 0x12;
/** Field 1000, length-delimited. */
const bodyTag = [0xc2, 0x3e] as const;

/** Where the parts before the body lie. */
export interface Head {
  readonly headerAt: number;
  readonly headerBytes: number;
  readonly bodyAt: number;
}

/** The header is padded with zeros until the body is aligned. */
export function placeHead(columns: number, buffers: number, bodyBytes: number): Head {
  const tail = bodyTag.length + varintBytes(bodyBytes);
  const least = recordBatchBytes(columns, buffers);
  for (let lengthBytes = 1; ; lengthBytes++) {
    const headerAt = 1 + lengthBytes;
    const bodyAt = alignUp(headerAt + least + tail);
    const headerBytes = bodyAt - tail - headerAt;
    if (varintBytes(headerBytes) === lengthBytes) return { headerAt, headerBytes, bodyAt };
  }
}

/** Writes all that lies before the body. */
export function writeHead(message: Buffer, { headerAt, headerBytes }: Head, shape: BatchShape): void {
  message[0] = headerTag;
  writeVarint(message, 1, headerBytes);
  const header = message.subarray(headerAt, headerAt + headerBytes).fill(0);
  writeRecordBatch(header, shape);
  message.set(bodyTag, headerAt + headerBytes);
  writeVarint(message, headerAt + headerBytes + bodyTag.length, shape.bodyBytes);
}

export const alignUp = (bytes: number): number => Math.ceil(bytes / alignmentBytes) * alignmentBytes;

/** A FlightData message with a header only, the schema. */
export function headerOnlyFrame(header: Uint8Array): { readonly memory: ArrayBuffer; readonly end: number } {
  const messageBytes = 1 + varintBytes(header.length) + header.length;
  const memory = Buffer.from(new ArrayBuffer(messageAt + messageBytes));
  writeGrpcPrefix(memory, messageBytes);
  memory[messageAt] = headerTag;
  memory.set(header, writeVarint(memory, messageAt + 1, header.length));
  return { memory: memory.buffer as ArrayBuffer, end: messageAt + messageBytes };
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

function writeVarint(message: Buffer, at: number, value: number): number {
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) message[at++] = (rest % 0x80) | 0x80;
  message[at++] = rest;
  return at;
}

const structBytes = 16; // FieldNode and Buffer are both two int64.
const nodesAt = 80;
const recordBatchBytes = (columns: number, buffers: number): number => nodesAt + 8 + structBytes * (columns + buffers);

const metadataV5 = 4;
const recordBatchHeader = 3;

/**
 * The flatbuffer: root offset at 0, vtable and table of Message at 4 and 16, of RecordBatch at 40 and 52, then the two
 * vectors of structs, whose elements must lie at multiples of 8. All offsets but those of the second vector are constant.
 */
function writeRecordBatch(header: Buffer, { rows, nullCounts, buffers, bodyBytes }: BatchShape): void {
  const buffersAt = nodesAt + structBytes * nullCounts.length + 8;
  header.writeUInt32LE(16, 0);
  // Message's vtable: its size, the table's size, then the places of version, header_type, header and bodyLength.
  [12, 20, 16, 18, 4, 8].forEach((value, index) => header.writeUInt16LE(value, 4 + 2 * index));
  header.writeInt32LE(12, 16);
  header.writeUInt32LE(52 - 20, 20);
  writeInt64(header, bodyBytes, 24);
  header.writeInt16LE(metadataV5, 32);
  header.writeUInt8(recordBatchHeader, 34);
  // RecordBatch's vtable: its size, the table's size, then the places of length, nodes and buffers.
  [10, 20, 4, 12, 16].forEach((value, index) => header.writeUInt16LE(value, 40 + 2 * index));
  header.writeInt32LE(12, 52);
  writeInt64(header, rows, 56);
  header.writeUInt32LE(nodesAt - 4 - 64, 64);
  header.writeUInt32LE(buffersAt - 4 - 68, 68);
  header.writeUInt32LE(nullCounts.length, nodesAt - 4);
  nullCounts.forEach((nulls, index) => {
    writeInt64(header, rows, nodesAt + structBytes * index);
    writeInt64(header, nulls, nodesAt + structBytes * index + 8);
  });
  header.writeUInt32LE(buffers.length, buffersAt - 4);
  buffers.forEach(({ offset, bytes }, index) => {
    writeInt64(header, offset, buffersAt + structBytes * index);
    writeInt64(header, bytes, buffersAt + structBytes * index + 8);
  });
}

function writeInt64(header: Buffer, value: number, at: number): void {
  header.writeUInt32LE(value % 2 ** 32, at);
  header.writeInt32LE(Math.floor(value / 2 ** 32), at + 4);
}
