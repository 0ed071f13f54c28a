import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { protoFolder } from '../client.js';
import { oddNumber, oddText, type Random } from './random.js';

const timestamp = 'google/protobuf/timestamp.proto';
const root = new protobuf.Root();
root.addJSON(protobuf.common.get(timestamp)?.nested ?? {});
for (const file of ['Flight.proto', 'FlightSql.proto'])
  protobuf.parse(readFileSync(join(protoFolder, file), 'utf8'), root, { keepCase: true });
root.define('google.protobuf').add(
  new protobuf.Type('Any').add(new protobuf.Field('type_url', 1, 'string')).add(new protobuf.Field('value', 2, 'bytes')),
); // prettier-ignore

const flight = 'arrow.flight.protocol';
const sql = `${flight}.sql`;

export const encoded = (name: string, message: object): Buffer => Buffer.from(root.lookupType(name).encode(message).finish()); // prettier-ignore
export const flightMessage = (name: string, message: object): Buffer => encoded(`${flight}.${name}`, message);
export const packed = (typeUrl: string, value: Buffer): Buffer => encoded('google.protobuf.Any', { type_url: typeUrl, value }); // prettier-ignore
export const sqlCommand = (name: string, message: object): Buffer =>
  packed(`type.googleapis.com/${sql}.${name}`, encoded(`${sql}.${name}`, message));

/** The names of all messages of Flight SQL. */
export const sqlNames = (root.lookup(sql) as protobuf.Namespace).nestedArray
  .filter((one): one is protobuf.Type => one instanceof protobuf.Type)
  .map(({ name }) => name);

/** Good and odd values of fields by their name; what has none is odd. */
export type Values = Readonly<Record<string, (random: Random) => unknown>>;

const integers = [
  'int32',
  'sint32',
  'sfixed32',
  'uint32',
  'fixed32',
  'int64',
  'uint64',
  'sint64',
  'fixed64',
  'sfixed64',
];

/** A message of the type whose fields are there or not, and hold anything. */
export const anyMessage = (random: Random, name: string, values: Values): Buffer => {
  const type = root.lookupType(name);
  return Buffer.from(type.encode(messageOf(random, type, values, 0)).finish());
};
export const anySql = (random: Random, name: string, values: Values): Buffer => anyMessage(random, `${sql}.${name}`, values); // prettier-ignore
export const anyFlight = (random: Random, name: string, values: Values): Buffer => anyMessage(random, `${flight}.${name}`, values); // prettier-ignore

function messageOf(random: Random, type: protobuf.Type, values: Values, depth: number): object {
  const message: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    field.resolve();
    if (random.percent(depth > 3 ? 90 : 30)) continue;
    const one = () => valueOf(random, field, values, depth);
    if (field instanceof protobuf.MapField)
      message[field.name] = Object.fromEntries(Array.from({ length: random.below(4) }, () => [oddText(random), one()]));
    else message[field.name] = field.repeated ? Array.from({ length: random.below(4) }, one) : one();
  }
  return message;
}

function valueOf(random: Random, field: protobuf.Field, values: Values, depth: number): unknown {
  const good = values[field.name];
  if (good && random.percent(75) && (field.type === 'string' || field.type === 'bytes')) return good(random);
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) return messageOf(random, resolvedType, values, depth + 1);
  if (resolvedType || integers.includes(field.type)) return Math.abs(oddNumber(random)) % 2 ** 31;
  if (field.type === 'bytes') return random.bytes(random.below(60));
  if (field.type === 'bool') return random.percent(50);
  return field.type === 'string' ? oddText(random) : oddNumber(random);
}
