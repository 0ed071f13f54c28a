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
  /** One an array, each before its children. */
  readonly nodes: readonly { readonly rows: number; readonly nulls: number }[];
  /** In Arrow's order: for each array validity, then offsets if it has them, then data. */
  readonly buffers: readonly BufferPlace[];
  readonly bodyBytes: number;
}

/** Field 2, length-delimited. */
const headerTag = 0x12;
/** Field 1000, length-delimited. */
const bodyTag = [0xc2, 0x3e] as const;

/** What a record batch may be besides one. */
export interface HeadKind {
  /** The batch holds the values of this dictionary. */
  readonly dictionary?: number | undefined;
  /** Its buffers are compressed. */
  readonly codec?: keyof typeof codecs | undefined;
}

/** Numbers of Arrow's `CompressionType`. */
const codecs = { lz4: 0, zstd: 1 } as const;

/** Where the parts before the body lie. */
export interface Head {
  readonly headerAt: number;
  readonly headerBytes: number;
  readonly bodyAt: number;
}

/** The header is padded with zeros until the body is aligned. */
export function placeHead(kind: HeadKind, nodes: number, buffers: number, bodyBytes: number): Head {
  const tail = bodyTag.length + varintBytes(bodyBytes);
  const least = nodesAtOf(kind) + structBytes * (nodes + buffers) + 8;
  for (let lengthBytes = 1; ; lengthBytes++) {
    const headerAt = 1 + lengthBytes;
    const bodyAt = alignUp(headerAt + least + tail);
    const headerBytes = bodyAt - tail - headerAt;
    if (varintBytes(headerBytes) === lengthBytes) return { headerAt, headerBytes, bodyAt };
  }
}

/** Writes all that lies before the body. */
export function writeHead(message: Buffer, { headerAt, headerBytes }: Head, kind: HeadKind, shape: BatchShape): void {
  message[0] = headerTag;
  writeVarint(message, 1, headerBytes);
  const header = message.subarray(headerAt, headerAt + headerBytes).fill(0);
  writeMessage(header, kind, shape);
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
const messageBytes = 40;
const dictionaryBytes = 24;
const recordBatchBytes = 32;
const compressionBytes = 16;
const metadataV5 = 4;
const recordBatchHeader = 3;
const dictionaryBatchHeader = 2;

/** Where the flatbuffer's record batch begins, and the first element of its nodes: both at multiples of 8. */
const batchAtOf = ({ dictionary }: HeadKind): number => messageBytes + (dictionary === undefined ? 0 : dictionaryBytes);
const nodesAtOf = (kind: HeadKind): number =>
  batchAtOf(kind) + recordBatchBytes + (kind.codec === undefined ? 0 : compressionBytes) + 8;

/** A vtable has its own size, its table's size and the places of the fields in the table, each 16 bits. */
const writeTable = (header: Buffer, vtableAt: number, vtable: readonly number[], tableAt: number): void => {
  vtable.forEach((value, index) => header.writeUInt16LE(value, vtableAt + 2 * index));
  header.writeInt32LE(tableAt - vtableAt, tableAt);
};

/**
 * The flatbuffer, every table behind its vtable, all at places that are known beforehand: root offset, Message, perhaps
 * DictionaryBatch, RecordBatch, perhaps BodyCompression, then the two vectors of structs.
 */
function writeMessage(header: Buffer, kind: HeadKind, shape: BatchShape): void {
  const batchAt = batchAtOf(kind);
  const batchTableAt = batchAt + 12;
  header.writeUInt32LE(16, 0);
  // Version, header_type, header, bodyLength.
  writeTable(header, 4, [12, 20, 16, 18, 4, 8], 16);
  header.writeUInt32LE((kind.dictionary === undefined ? batchTableAt : messageBytes + 8) - 20, 20);
  writeInt64(header, shape.bodyBytes, 24);
  header.writeInt16LE(metadataV5, 32);
  header.writeUInt8(kind.dictionary === undefined ? recordBatchHeader : dictionaryBatchHeader, 34);
  if (kind.dictionary !== undefined) {
    // Id, data.
    writeTable(header, messageBytes, [8, 16, 8, 4], messageBytes + 8);
    header.writeUInt32LE(batchTableAt - messageBytes - 12, messageBytes + 12);
    writeInt64(header, kind.dictionary, messageBytes + 16);
  }
  writeRecordBatch(header, batchAt, kind, shape);
}

function writeRecordBatch(header: Buffer, at: number, kind: HeadKind, { rows, nodes, buffers }: BatchShape): void {
  const nodesAt = nodesAtOf(kind);
  const buffersAt = nodesAt + structBytes * nodes.length + 8;
  // Length, nodes, buffers and, with a codec, compression.
  writeTable(header, at, kind.codec === undefined ? [10, 20, 4, 12, 16] : [12, 24, 4, 12, 16, 20], at + 12);
  writeInt64(header, rows, at + 16);
  header.writeUInt32LE(nodesAt - 4 - (at + 24), at + 24);
  header.writeUInt32LE(buffersAt - 4 - (at + 28), at + 28);
  if (kind.codec !== undefined) {
    header.writeUInt32LE(12, at + 32);
    // The codec; the method is the default, every buffer by itself.
    writeTable(header, at + 36, [6, 5, 4], at + 44);
    header.writeUInt8(codecs[kind.codec], at + 48);
  }
  header.writeUInt32LE(nodes.length, nodesAt - 4);
  nodes.forEach((node, index) => {
    writeInt64(header, node.rows, nodesAt + structBytes * index);
    writeInt64(header, node.nulls, nodesAt + structBytes * index + 8);
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
