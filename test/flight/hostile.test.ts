import { status } from '@grpc/grpc-js';
import { Int64, Table, tableToIPC, vectorFromArray } from 'apache-arrow';
import protobuf from 'protobufjs';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startFlight, type FlightServer } from '../../apps/flight/server.js';
import { createLogger } from '../../apps/log.js';
import { until } from '../../programs/waiting.js';
import { createTestLake, type TestLake } from './lake.js';
import { grpcClient, messages, protoFolder, service, type GrpcClient } from './client.js';

/**
 * Messages that were changed at random: tickets, descriptors, statements, bodies of actions and Arrow that is uploaded. Each
 * must be answered, by OK or by an error of the caller's, and the service be as before.
 */

const casesCount = process.env['EIDER_LONG'] ? 100_000 : 2_000;
const seed = Number(process.env['EIDER_SEED'] ?? 7);
/** No INTERNAL, no UNKNOWN, no UNAVAILABLE. */
const callers = new Set([status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND, status.PERMISSION_DENIED, status.UNIMPLEMENTED, status.RESOURCE_EXHAUSTED, status.FAILED_PRECONDITION, status.ABORTED]); // prettier-ignore

let lake: TestLake;
let flight: FlightServer;
let client: GrpcClient;
const failures: string[] = [];
beforeAll(async () => {
  lake = await createTestLake();
  await lake.add('small', ['SELECT i, i * 2 AS j FROM range(100) t(i)']);
  const log = createLogger('flight', 'error', (line) => failures.push(line));
  flight = await startFlight({
    host: '127.0.0.1',
    port: 0,
    lakeRoot: lake.root,
    protoFolder,
    tables: lake.reader,
    log,
  });
  client = grpcClient(flight.port);
});
afterAll(async () => {
  client.close();
  await flight.stop(0);
  lake.remove();
});

/** The same numbers for the same seed (mulberry32). */
function randomOf(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function mutated(bytes: Buffer, random: (below: number) => number): Buffer {
  const changed = Buffer.from(bytes);
  const at = random(Math.max(1, bytes.length));
  switch (random(5)) {
    case 0:
      return changed.subarray(0, at);
    case 1:
      return Buffer.concat([changed.subarray(0, at), Buffer.alloc(random(64), random(256)), changed.subarray(at)]);
    case 2:
      return changed.fill(random(2) * 255, at, Math.min(changed.length, at + 1 + random(8)));
    default:
      for (let flips = 0; flips <= random(4); flips++) {
        const place = random(Math.max(1, changed.length));
        changed[place] = (changed[place] ?? 0) ^ (1 << random(8));
      }
      return changed;
  }
}

const root = protobuf.parse(readFileSync(join(protoFolder, 'FlightSql.proto'), 'utf8'), { keepCase: true }).root;
/** A message of Flight SQL in its Any. */
function sql(name: string, message: object): Buffer {
  const type = root.lookupType(`arrow.flight.protocol.sql.${name}`);
  const value = Buffer.from(type.encode(message).finish());
  return Buffer.from(anyType.encode({ type_url: `type.googleapis.com/${type.fullName.slice(1)}`, value }).finish());
}
const anyType = new protobuf.Type('Any').add(new protobuf.Field('type_url', 1, 'string')).add(new protobuf.Field('value', 2, 'bytes')); // prettier-ignore

/** Calls a method with bytes that need not be its message; the status, and those of the messages. */
function call(method: string, requests: readonly Buffer[]): Promise<number> {
  const { path, responseDeserialize } = service[method] as {
    path: string;
    responseDeserialize: (bytes: Buffer) => object;
  };
  const stream = client.client.makeBidiStreamRequest<Buffer, object>(path, (bytes) => bytes, responseDeserialize);
  stream.on('error', () => undefined).on('data', () => undefined);
  for (const request of requests) stream.write(request);
  stream.end();
  return new Promise((resolve) => stream.on('status', ({ code }) => resolve(code)));
}

const encode = (method: string, message: object): Buffer => {
  const { requestSerialize } = service[method] as { requestSerialize: (message: object) => Buffer };
  return requestSerialize(message);
};

/** An upload of Arrow as FlightData messages. */
function upload(cmd: Buffer): Buffer[] {
  const ipc = Buffer.from(tableToIPC(new Table({ a: vectorFromArray([1n], new Int64()) }), 'stream'));
  const sent: Buffer[] = [];
  for (let at = 0; at < ipc.length && ipc.readInt32LE(at + 4) > 0;) {
    const headerBytes = ipc.readInt32LE(at + 4);
    const data_header = ipc.subarray(at + 8, at + 8 + headerBytes);
    // Of these two messages only the second has a body: what is left but the end of the stream.
    const data_body = sent.length === 0 ? Buffer.alloc(0) : ipc.subarray(at + 8 + headerBytes, ipc.length - 8);
    sent.push(encode('DoPut', { flight_descriptor: sent.length === 0 ? { type: 'CMD', cmd } : null, data_header, data_body })); // prettier-ignore
    at += 8 + headerBytes + data_body.length;
  }
  return sent;
}

async function originals(): Promise<{ method: string; requests: Buffer[] }[]> {
  const info = await client.info(['eider', 'features', 'small']);
  const ticket = info.endpoint[0]?.ticket.ticket as Buffer;
  const query = sql('CommandStatementQuery', { query: 'SELECT i FROM features.small WHERE i < 5' });
  const { body } = await client.action('CreatePreparedStatement', sql('ActionCreatePreparedStatementRequest', { query: 'SELECT ?::BIGINT + 1 AS a' })); // prettier-ignore
  const answer = anyType.decode(body) as unknown as { value: Uint8Array };
  const { prepared_statement_handle } = root.lookupType('arrow.flight.protocol.sql.ActionCreatePreparedStatementResult').decode(answer.value) as unknown as { prepared_statement_handle: Buffer }; // prettier-ignore
  const one = (method: string, message: object) => ({ method, requests: [encode(method, message)] });
  return [
    one('DoGet', { ticket }),
    one('GetFlightInfo', { type: 'PATH', path: ['eider', 'features', 'small'] }),
    one('GetFlightInfo', { type: 'CMD', cmd: query }),
    one('GetSchema', { type: 'CMD', cmd: sql('CommandGetTables', { include_schema: true, table_types: [] }) }),
    one('PollFlightInfo', { type: 'CMD', cmd: sql('CommandPreparedStatementQuery', { prepared_statement_handle }) }),
    one('ListFlights', { expression: Buffer.from('features') }),
    one('DoAction', { type: 'CancelFlightInfo', body: messages.CancelFlightInfoRequest.serialize({ info }) }),
    one('DoAction', { type: 'RenewFlightEndpoint', body: messages.RenewFlightEndpointRequest.serialize({ endpoint: info.endpoint[0] ?? null }) }), // prettier-ignore
    one('DoAction', { type: 'SetSessionOptions', body: messages.SetSessionOptionsRequest.serialize({ session_options: { schema: { option_value: 'string_value', string_value: 'datasets' } } }) }), // prettier-ignore
    one('DoAction', { type: 'CreatePreparedStatement', body: sql('ActionCreatePreparedStatementRequest', { query: 'SELECT 1' }) }), // prettier-ignore
    { method: 'DoPut', requests: upload(sql('CommandPreparedStatementQuery', { prepared_statement_handle })) },
    { method: 'DoExchange', requests: upload(Buffer.from('{"join":{}}')) },
  ];
}

test(`${casesCount} changed messages are each the caller's fault, or none, and leave nothing behind`, async () => {
  const from = await originals();
  const random = randomOf(seed);
  const wrong: string[] = [];
  const oneOf = async () => {
    const { method, requests } = from[random(from.length)] as (typeof from)[number];
    const which = random(requests.length);
    const sent = requests.map((request, at) => (at === which ? mutated(request, random) : request));
    const code = await call(method, sent);
    if (!callers.has(code)) wrong.push(`${method} ${status[code]} ${sent[which]?.toString('hex')}`);
  };
  for (let warm = 0; warm < 500; warm++) await oneOf();
  const before = process.memoryUsage().rss;
  for (let done = 0; done < casesCount; done += 8) await Promise.all(Array.from({ length: 8 }, oneOf));
  expect(wrong.slice(0, 3)).toEqual([]);
  expect(failures.slice(0, 3)).toEqual([]);
  expect(await until(() => flight.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20);
  expect((await client.info(['eider', 'features', 'small'])).total_records).toBe(100);
}, 900_000);
