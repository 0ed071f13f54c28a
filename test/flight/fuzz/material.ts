import { tableFromIPC } from 'apache-arrow';
import protobuf from 'protobufjs';
import { encapsulated } from '../../../lake/read/schema.js';
import { tables } from '../../../store/tables.js';
import { grpcClient, messages as flightMessages, type GrpcClient } from '../client.js';
import { goodStreams, type ArrowMessage } from './arrow.js';
import type { Material } from './cases.js';
import { sqlCommand } from './messages.js';
import { keys, knownRows, type FuzzedServer } from './served.js';

/** Asks the server for one of everything, before anything is broken. */
export async function materialOf({ port, database }: FuzzedServer): Promise<Material> {
  const client = grpcClient(port);
  const said = { metadata: { authorization: `Bearer ${keys.alice}` } };
  const join = { features: ['price:value', 'market:index'], eventTime: 'event_time', naming: 'full', mode: 'known_at' };
  const commands = [
    { join: { ...join, spine: { rows: [{ shop: 1, event_time: '2026-01-03 00:00:00' }] } } },
    { join: { ...join, joins: [{ name: 'rival', view: 'price', keys: { shop: 'n' } }], spine: { sql: 'SELECT n, n AS shop, event_time FROM features.known' } } },
    { join: { ...join, spine: { sha256: '0'.repeat(64) } } },
    { join: { ...join, spine: { dataset: 'lateness_r1_20010305' } } },
  ]; // prettier-ignore
  const cmd = (bytes: Buffer) => ({ type: 'CMD', cmd: bytes });
  const asked = [
    { type: 'PATH', path: ['eider', 'features', 'known'] },
    { type: 'PATH', path: ['eider', 'features', 'price'] },
    cmd(sqlCommand('CommandStatementQuery', { query: 'SELECT n, label FROM features.known WHERE n < 50' })),
    cmd(sqlCommand('CommandGetTables', { include_schema: true })),
    cmd(sqlCommand('CommandGetSqlInfo', {})),
    ...commands.slice(0, 2).map((command) => cmd(Buffer.from(JSON.stringify(command)))),
  ];
  const infos: Buffer[] = [];
  const tickets: Buffer[] = [];
  for (const descriptor of asked) {
    const info = await client.unary<Parameters<typeof flightMessages.FlightInfo.serialize>[0]>('GetFlightInfo', descriptor, said); // prettier-ignore
    infos.push(flightMessages.FlightInfo.serialize(info));
    tickets.push(...info.endpoint.map(({ ticket }) => ticket.ticket));
  }
  for (const query of ['SELECT ? + n, ? FROM features.known', 'SELECT n FROM features.known LIMIT 3'])
    tickets.push(await handleOf(client, query, said));
  const session = await sessionOf(client, said);
  const streams = [...Object.values(goodStreams()), ...(await compressed(client, said))];
  client.close();
  return {
    ...{ ticketKey: await tables(database.db).ticketKey(), tickets, infos, streams, commands, session },
    principal: 'alice',
    authorizations: [`Bearer ${keys.alice}`, `Bearer ${keys.bob}`],
  };
}

type Said = Parameters<GrpcClient['action']>[2];

async function handleOf(client: GrpcClient, query: string, said: Said): Promise<Buffer> {
  const { body } = await client.action('CreatePreparedStatement', sqlCommand('ActionCreatePreparedStatementRequest', { query }), said); // prettier-ignore
  return fieldOf(fieldOf(body, 2), 1);
}

async function sessionOf(client: GrpcClient, said: Said): Promise<string> {
  const body = flightMessages.SetSessionOptionsRequest.serialize({ session_options: { schema: { option_value: 'string_value', string_value: 'features' } } }); // prettier-ignore
  const { headers } = await client.action('SetSessionOptions', body, said);
  return String(headers.get('arrow_flight_session_id')[0]);
}

/** What the server sends is what others send it. */
async function compressed(client: GrpcClient, said: Said): Promise<ArrowMessage[][]> {
  return Promise.all(
    ['lz4', 'zstd'].map(
      (codec) =>
      readKnown(client, { metadata: { ...said?.metadata, 'eider-compression': codec } }).then(({ messages }) => messages), // prettier-ignore
    ),
  );
}

async function readKnown(client: GrpcClient, said: Said): Promise<{ code: number; messages: ArrowMessage[] }> {
  const info = await client.info(['eider', 'features', 'known'], said);
  const { code, messages } = await client.seen('DoGet', info.endpoint[0]?.ticket ?? {}, said);
  return { code, messages: messages.map((bytes) => ({ header: fieldOf(bytes, 2), body: fieldOf(bytes, 1000) })) };
}

/** Whether the table that nobody touches reads as it was written. */
export async function knownIsWhole(port: number): Promise<boolean> {
  const client = grpcClient(port);
  try {
    const { code, messages } = await readKnown(client, { metadata: { authorization: `Bearer ${keys.alice}` } });
    const rows = tableFromIPC(Buffer.concat(messages.flatMap(({ header, body }) => [encapsulated(header), body])));
    const [n, label] = [rows.getChild('n'), rows.getChild('label')];
    const isRow = (row: number) => n?.get(row) === BigInt(row) && label?.get(row) === `label ${row}`;
    return code === 0 && rows.numRows === knownRows && Array.from({ length: knownRows }, (_, row) => row).every(isRow);
  } finally {
    client.close();
  }
}

/** The bytes of the first field of this number; empty when there is none. */
function fieldOf(message: Buffer, number: number): Buffer {
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === number) return Buffer.from(reader.bytes());
    reader.skipType(tag & 7);
  }
  return Buffer.alloc(0);
}
