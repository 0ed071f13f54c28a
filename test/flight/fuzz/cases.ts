import { createHmac } from 'node:crypto';
import { brokenStream, type ArrowMessage } from './arrow.js';
import { brokenFrames } from './frames.js';
import { anyFlight, anySql, flightMessage, packed, sqlCommand, sqlNames, type Values } from './messages.js';
import { mutated, mutatedJson } from './mutate.js';
import { oddNumber, oddText, randomOf, type Random } from './random.js';
import { statementOf } from './statements.js';

/** What a client sends, down to the bytes. */
export interface FuzzCase {
  readonly what: string;
  readonly method: string;
  readonly messages: readonly Buffer[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether it says that it has said everything, goes on waiting, cancels, or is gone. */
  readonly end: 'close' | 'hold' | 'cancel' | 'vanish';
  /** Instead of messages in frames of gRPC: bytes on a connection of their own. */
  readonly frames?: readonly Buffer[];
}

/** Good things of the server that is fuzzed, for cases to be made of. */
export interface Material {
  /** Signs tickets and handles, as the server does. */
  readonly ticketKey: Buffer;
  /** As bytes: tickets of each kind, and handles of prepared statements. */
  readonly tickets: readonly Buffer[];
  readonly infos: readonly Buffer[];
  readonly streams: readonly ArrowMessage[][];
  readonly commands: readonly object[];
  readonly principal: string;
  /** The value of `authorization` of a caller who may everything, and of one who may little. */
  readonly authorizations: readonly [string, string];
  /** A session that is open. */
  readonly session: string;
}

const macBytes = 32;
/** What the server signs, around any text. */
export const signed = (key: Buffer, version: number, text: string): Buffer =>
  Buffer.concat([Buffer.of(version), createHmac('sha256', key).update(text).digest(), Buffer.from(text)]);

/** A ticket or a handle: good, broken, somebody else's, old, or signed around odd contents. */
function ticketOf(random: Random, { tickets, ticketKey, principal }: Material): Buffer {
  const good = random.pick(tickets);
  const version = good[0] ?? 0;
  const whole = JSON.parse(good.subarray(1 + macBytes).toString()) as { flight: string; content: unknown };
  // Of a flight of its own: other cases cancel what they can.
  const said = whole.flight === 'sql_prepared' ? whole : { ...whole, flight: random.bytes(9).toString('hex') };
  const ticket = signed(ticketKey, version, JSON.stringify(said));
  const kind = random.below(100);
  if (kind < 15) return ticket;
  if (kind < 35) return mutated(random, ticket);
  if (kind < 40) return signed(random.bytes(32), version, JSON.stringify(said));
  if (kind < 45) return signed(ticketKey, random.below(256), JSON.stringify(said));
  if (kind < 50) return signed(ticketKey, version, oddText(random));
  const odd = random.percent(80) ? { ...said, content: mutatedJson(random, said.content) } : mutatedJson(random, said);
  const owner = random.percent(90) ? {} : { principal: random.pick([principal, 'bob', 'anonymous', '']), expiresAt: oddNumber(random) }; // prettier-ignore
  return signed(ticketKey, version, JSON.stringify({ ...(odd as object), ...owner }));
}

const valuesOf = (material: Material): Values => ({
  query: statementOf,
  ticket: (random) => ticketOf(random, material),
  prepared_statement_handle: (random) => ticketOf(random, material),
  info: (random) => mutated(random, random.pick(material.infos)),
  catalog: (random) => random.pick(['eider', 'other', 'nobody', '']),
  table_types: (random) => random.pick(['TABLE', 'VIEW', '']),
  string_value: (random) => random.pick(['eider', 'features', 'lz4', 'zstd', oddText(random)]),
  db_schema_filter_pattern: (random) => random.pick(['feat%', '%', '_'.repeat(8), '%a'.repeat(200), oddText(random)]),
  table_name_filter_pattern: (random) => random.pick(['kno%', '%', 'k_own', '%_'.repeat(200), oddText(random)]),
});

function descriptorOf(random: Random, material: Material): Buffer {
  const kind = random.below(100);
  const cmd = (bytes: Buffer) => flightMessage('FlightDescriptor', { type: 2, cmd: bytes });
  if (kind < 25) return flightMessage('FlightDescriptor', { type: random.pick([0, 1, 1, 1, 1, 2, 99]), path: pathOf(random) }); // prettier-ignore
  if (kind < 30) return mutated(random, flightMessage('FlightDescriptor', { type: 1, path: ['eider', 'features', 'known'] })); // prettier-ignore
  if (kind < 45) return cmd(sqlCommand('CommandStatementQuery', { query: statementOf(random) }));
  if (kind < 52) return cmd(sqlCommand('CommandPreparedStatementQuery', { prepared_statement_handle: ticketOf(random, material) })); // prettier-ignore
  if (kind < 72) return cmd(anyCommand(random, material));
  if (kind < 95) return cmd(Buffer.from(JSON.stringify(mutatedJson(random, random.pick(material.commands)))));
  if (kind < 97) return anyFlight(random, 'FlightDescriptor', valuesOf(material));
  return cmd(random.bytes(random.below(200)));
}

function anyCommand(random: Random, material: Material): Buffer {
  const name = random.pick(sqlNames);
  const kind = random.below(100);
  const message = anySql(random, name, valuesOf(material));
  const url = `type.googleapis.com/arrow.flight.protocol.sql.${kind < 90 ? name : oddText(random)}`;
  const command = packed(url, kind < 75 ? message : mutated(random, message));
  return kind < 85 ? command : mutated(random, command);
}

const pathOf = (random: Random): string[] => {
  const known = random.pick([['eider', 'features', 'known'], ['features', 'price'], ['eider', 'spines'], ['spines', 'x']]);
  if (random.percent(15)) return Array.from({ length: random.pick([0, 1, 2, 3, 4, 500]) }, () => oddText(random));
  return random.percent(20) ? known : known.with(random.below(known.length), oddText(random));
}; // prettier-ignore

const actionTypes = [
  'CancelFlightInfo', 'RenewFlightEndpoint', 'SetSessionOptions', 'GetSessionOptions', 'CloseSession', 'CreatePreparedStatement',
  'ClosePreparedStatement', 'CancelQuery', 'BeginTransaction', 'EndTransaction', 'BeginSavepoint', 'EndSavepoint', 'CreatePreparedSubstraitPlan',
]; // prettier-ignore
const requestOf = new Map([
  ['CreatePreparedStatement', 'ActionCreatePreparedStatementRequest'],
  ['ClosePreparedStatement', 'ActionClosePreparedStatementRequest'],
  ['CancelQuery', 'ActionCancelQueryRequest'],
]);
const flightRequests = ['CancelFlightInfo', 'RenewFlightEndpoint', 'SetSessionOptions', 'GetSessionOptions', 'CloseSession']; // prettier-ignore

function actionOf(random: Random, material: Material): Buffer {
  const type = random.percent(95) ? random.pick(actionTypes) : oddText(random);
  const sql = requestOf.get(type);
  const values = valuesOf(material);
  const body = sql
    ? packed(`type.googleapis.com/arrow.flight.protocol.sql.${sql}`, anySql(random, sql, values))
    : flightRequests.includes(type)
      ? anyFlight(random, `${type}Request`, values)
      : anyCommand(random, material);
  const kept = random.below(100);
  return flightMessage('Action', { type, body: kept < 60 ? body : kept < 90 ? mutated(random, body) : random.bytes(random.below(80)) }); // prettier-ignore
}

/** FlightData messages for a descriptor: a stream that is good or broken, with metadata of its own, or none at all. */
function dataOf(random: Random, material: Material, descriptor: Buffer): Buffer[] {
  const stream = random.percent(12) ? random.pick(material.streams) : brokenStream(random, material.streams);
  const messages = stream.map(({ header, body }, at) =>
    Buffer.concat([
      at === 0 || random.percent(1) ? firstField(descriptor) : Buffer.alloc(0),
      flightMessage('FlightData', {
        ...{ data_header: header, data_body: body },
        ...(random.percent(3) ? { app_metadata: random.bytes(random.below(50)) } : {}),
      }),
    ]),
  );
  if (random.percent(94)) return messages;
  return messages.map((message) => (random.percent(30) ? mutated(random, message) : message));
}

/** What is no message would not be written by protobufjs. */
function firstField(bytes: Buffer): Buffer {
  const length = [(bytes.length & 127) | 128, ((bytes.length >> 7) & 127) | 128, bytes.length >> 14];
  return Buffer.concat([Buffer.of(10, ...length), bytes]);
}

function putDescriptor(random: Random, material: Material): Buffer {
  const kind = random.below(100);
  const cmd = (bytes: Buffer) => flightMessage('FlightDescriptor', { type: 2, cmd: bytes });
  if (kind < 40) return flightMessage('FlightDescriptor', { type: 1, path: ['eider', 'spines'] });
  if (kind < 50) return cmd(Buffer.from(JSON.stringify(mutatedJson(random, { spine: { sha256: '0'.repeat(64) } }))));
  if (kind < 80) return cmd(sqlCommand('CommandPreparedStatementQuery', { prepared_statement_handle: random.percent(70) ? random.pick(material.tickets) : ticketOf(random, material) })); // prettier-ignore
  return descriptorOf(random, material);
}

function exchangeDescriptor(random: Random, material: Material): Buffer {
  if (random.percent(20)) return descriptorOf(random, material);
  const { spine: _, ...join } = (material.commands[0] as { join: { spine: unknown } }).join;
  const command = { join };
  const said = random.percent(75) ? command : mutatedJson(random, command);
  return flightMessage('FlightDescriptor', { type: 2, cmd: Buffer.from(JSON.stringify(said)) });
}

type Call = Pick<FuzzCase, 'what' | 'method' | 'messages'>;
type Maker = (random: Random, material: Material) => Call;
const calls: readonly Maker[] = [
  ...repeated(22, (random, material) => ({ what: 'ticket', method: 'DoGet', messages: [maybeBroken(random, flightMessage('Ticket', { ticket: ticketOf(random, material) }))] })),
  ...repeated(24, (random, material) => ({ what: 'descriptor', method: random.pick(['GetFlightInfo', 'GetFlightInfo', 'GetSchema', 'PollFlightInfo']), messages: [maybeBroken(random, descriptorOf(random, material))] })),
  ...repeated(16, (random, material) => ({ what: 'action', method: 'DoAction', messages: [maybeBroken(random, actionOf(random, material))] })),
  ...repeated(16, (random, material) => ({ what: 'put', method: 'DoPut', messages: dataOf(random, material, putDescriptor(random, material)) })),
  ...repeated(12, (random, material) => ({ what: 'exchange', method: 'DoExchange', messages: dataOf(random, material, exchangeDescriptor(random, material)) })),
  ...repeated(4, (random) => ({ what: 'list', method: random.pick(['ListFlights', 'ListActions']), messages: [flightMessage('Criteria', { expression: Buffer.from(oddText(random)) })] })),
  ...repeated(3, (random) => ({ what: 'handshake', method: 'Handshake', messages: Array.from({ length: random.below(3) }, () => maybeBroken(random, anyFlight(random, 'HandshakeRequest', {}))) })),
]; // prettier-ignore

function repeated(times: number, maker: Maker): Maker[] {
  return Array.from({ length: times }, () => maker);
}
const maybeBroken = (random: Random, message: Buffer): Buffer =>
  random.percent(4) ? mutated(random, message) : message;

/** The case of this number; nothing else decides what it is. */
export function caseOf(seed: number, number: number, material: Material): FuzzCase {
  const random = randomOf(seed, number);
  const call = random.pick(calls)(random, material);
  const metadata = metadataOf(random, material);
  const end = random.percent(92) ? 'close' : random.pick(['hold', 'cancel', 'vanish'] as const);
  if (random.percent(96) && end !== 'vanish') return { ...call, metadata, end };
  return { ...call, metadata, end, what: 'frames', frames: brokenFrames(random, call.messages) };
}

function metadataOf(random: Random, { authorizations: [all, little], session }: Material): Record<string, string> {
  const metadata: Record<string, string> = { authorization: all };
  if (random.percent(75)) return metadata;
  const odd = oddText(random).replace(/[^ -~]/g, '');
  return {
    ...metadata,
    ...random.pick<Record<string, string>>([
      { authorization: little },
      {
        authorization: random.pick([
          odd,
          'Bearer x',
          'Basic eDp5',
          'Basic',
          `Bearer eider-token.${odd}`,
          `Basic ${odd}`,
        ]),
      },
      { 'auth-token-bin': odd },
      { 'eider-project': random.pick(['eider', 'other', odd]) },
      { 'eider-compression': random.pick(['lz4', 'zstd', 'none', odd]) },
      { 'eider-compression': random.pick(['lz4', 'zstd']) },
      { cookie: `arrow_flight_session_id=${random.pick([session, odd])}` },
      { arrow_flight_session_id: random.pick([session, odd]) },
      { 'x-long': 'x'.repeat(random.below(30_000)) },
      { 'grpc-accept-encoding': odd },
    ]),
  };
}
