import { Bool, DateDay, Decimal, Dictionary, Field, Float64, Int32, Int64, List, makeData, Message, Null, RecordBatch, Schema, Struct, Table, tableToIPC, TimestampMicrosecond, Utf8, vectorFromArray, type DataType, type Vector } from 'apache-arrow'; // prettier-ignore
import { mutated } from './mutate.js';
import type { Random } from './random.js';

/** A message of Arrow IPC as Flight sends it: the bare flatbuffer, and the body. */
export interface ArrowMessage {
  readonly header: Buffer;
  readonly body: Buffer;
}

const prefixBytes = 8;

export function messagesOf(stream: Uint8Array): ArrowMessage[] {
  const bytes = Buffer.from(stream);
  const messages: ArrowMessage[] = [];
  for (let at = 0; at + prefixBytes <= bytes.length;) {
    const headerBytes = bytes.readInt32LE(at + 4);
    if (headerBytes === 0) break;
    const bodyAt = at + prefixBytes + headerBytes;
    const header = bytes.subarray(at + prefixBytes, bodyAt);
    const { bodyLength } = Message.decode(header);
    messages.push({ header, body: bytes.subarray(bodyAt, bodyAt + bodyLength) });
    at = bodyAt + bodyLength;
  }
  return messages;
}

const rowCount = 20;
const column = (type: DataType, value: (row: number) => unknown): Vector =>
  vectorFromArray(Array.from({ length: rowCount }, (_, row) => (row % 7 === 6 ? null : value(row))), type); // prettier-ignore
const day = 86_400_000_000n;
const firstOfMarch = BigInt(Date.UTC(2026, 0, 2)) * 1000n;

/** A spine that joins: keys, an instant, and columns of some types more. */
const spine = () => ({
  shop: column(new Int64(), (row) => BigInt(row % 5)),
  event_time: new Table({
    t: vectorFromArray(
      Array.from({ length: rowCount }, (_, row) => Number((firstOfMarch + (BigInt(row) * day) / 10n) / 1000n)),
      new TimestampMicrosecond(),
    ),
  }).getChildAt(0) as Vector,
  label: column(new Utf8(), (row) => `label ${row}`),
  score: column(new Float64(), (row) => row / 3),
  good: column(new Bool(), (row) => row % 2 === 0),
});

const nestedType = (levels: number): DataType => {
  let type: DataType = new Int32();
  for (let level = 0; level < levels; level++) type = level % 2 ? new List(new Field('item', type, true)) : new Struct([new Field('a', type, true)]); // prettier-ignore
  return type;
};
const manyFields = (count: number) => new Schema(Array.from({ length: count }, (_, at) => new Field(`c${at}`, new Null(), true))); // prettier-ignore
const schemaOnly = (schema: Schema): ArrowMessage[] => messagesOf(tableToIPC(new Table(schema), 'stream'));

/** Rows that need no byte. */
function manyNulls(length: number): ArrowMessage[] {
  const schema = new Schema([new Field('none', new Null(), true)]);
  const children = [makeData({ type: new Null(), length, nullCount: length })];
  const batch = new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children }));
  return messagesOf(tableToIPC(new Table([batch]), 'stream'));
}

/** Streams that are good, by what they are; some of types that are taken nowhere. */
export function goodStreams(): Record<string, ArrowMessage[]> {
  const stream = (columns: Record<string, Vector>) => messagesOf(tableToIPC(new Table(columns), 'stream'));
  const dictionary = column(new Dictionary(new Utf8(), new Int32()), (row) => ['red', 'green'][row % 2]);
  return {
    spine: stream(spine()),
    dictionary: stream({ ...spine(), color: dictionary }),
    nested: stream({ ...spine(), list: column(new List(new Field('item', new Int32(), true)), (row) => [row, row]) }),
    parameters: stream({ '1': column(new Int32(), (row) => row).slice(0, 1), '2': column(new Utf8(), () => 'two').slice(0, 1) }), // prettier-ignore
    types: stream({ day: column(new DateDay(), () => new Date(0)), none: column(new Null(), () => null), money: column(new Decimal(2, 10), () => Uint32Array.of(1, 0, 0, 0)) }), // prettier-ignore
    deep: schemaOnly(new Schema([new Field('deep', nestedType(60), true)])),
    wide: schemaOnly(manyFields(4_000)),
    empty: schemaOnly(new Schema([])),
    nulls: manyNulls(2 ** 31 - 1),
  };
}

const none = Buffer.alloc(0);
type Change = (random: Random, messages: ArrowMessage[], all: readonly ArrowMessage[][]) => ArrowMessage[];
const one =
  (change: (random: Random, message: ArrowMessage) => ArrowMessage): Change =>
  (random, messages) => {
    const at = random.below(messages.length);
    return messages.map((message, index) => (index === at ? change(random, message) : message));
  };

const changes: readonly Change[] = [
  one((random, { header, body }) => ({ header: mutated(random, header), body })),
  one((random, { header, body }) => ({ header: mutated(random, header), body })),
  one((random, { header, body }) => ({ header: mutated(random, header), body })),
  one((random, { header, body }) => ({ header, body: mutated(random, body) })),
  one((random, { header, body }) => ({ header: mutated(random, header), body: mutated(random, body) })),
  one((random, { header }) => ({ header, body: random.pick([none, random.bytes(8), Buffer.alloc(100_000)]) })),
  one((random, { body }) => ({ header: random.pick([none, random.bytes(40), Buffer.alloc(64)]), body })),
  (_, messages) => messages.slice(1),
  (_, [first, ...rest]) => [first as ArrowMessage, first as ArrowMessage, ...rest],
  (_, messages) => messages.toReversed(),
  (_, messages) => [...messages, ...messages],
  (_, [first, ...rest]) => [first as ArrowMessage, ...Array.from({ length: 30 }, () => rest).flat()],
  (random, messages, all) => [...messages, ...random.pick(all)],
  (random, [first, ...rest], all) => [(random.pick(all)[0] ?? first) as ArrowMessage, ...rest],
  (random, messages) => messages.slice(0, random.below(messages.length + 1)),
  (random, messages) => messages.flatMap((message) => (random.percent(50) ? [message, message] : [message])),
];

/** A stream that somebody broke in one place, or in a few. */
export function brokenStream(random: Random, all: readonly ArrowMessage[][]): ArrowMessage[] {
  let messages = random.pick(all);
  for (let count = random.percent(70) ? 1 : 3; count > 0 && messages.length > 0; count--)
    messages = random.pick(changes)(random, messages, all);
  return messages;
}
