import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Metadata } from '@grpc/grpc-js';
import { Int64, Message, Table, tableFromIPC, tableToIPC, vectorFromArray } from 'apache-arrow';
import protobuf from 'protobufjs';
import type { Call } from '../../apps/flight/call.js';
import { createOpenFlights } from '../../apps/flight/open-flights.js';
import { flightMessages, type FlightData, type FlightDescriptor } from '../../apps/flight/protocol.js';
import type { Readable } from '../../apps/flight/readable.js';
import { sqlFeature } from '../../apps/flight/sql/feature.js';
import { createTickets } from '../../apps/flight/ticket.js';
import { defaultProject } from '../../domain/ids.js';
import { createReader, type Reader } from '../../lake/read/reader.js';
import { encapsulated } from '../../lake/read/schema.js';
import { createTestLake, type TestLake } from './lake.js';

const protoFolder = fileURLToPath(new URL('../../proto', import.meta.url));
const { root } = protobuf.parse(readFileSync(join(protoFolder, 'FlightSql.proto'), 'utf8'), { keepCase: true });
const foreignKeys = [
  ...['pk', 'fk'].map((side) => `${side}_catalog_name: Utf8, ${side}_db_schema_name: Utf8, ${side}_table_name: Utf8!, ${side}_column_name: Utf8!`),
  'key_sequence: Int32!, fk_key_name: Utf8, pk_key_name: Utf8, update_rule: Uint8!, delete_rule: Uint8!',
].join(', '); // prettier-ignore

let lake: TestLake;
let reader: Reader;
let feature: ReturnType<typeof sqlFeature>;
beforeAll(async () => {
  lake = await createTestLake();
  await lake.add('numbers', ['SELECT range AS a FROM range(10)']);
  reader = await createReader({ lakeRoot: lake.root, threads: 2, memoryLimit: null, workers: 1 });
  feature = started();
}, 60_000);
afterAll(async () => {
  await reader?.close();
  lake?.remove();
});

/** As after a restart: nothing is remembered. */
const started = () =>
  sqlFeature({
    ...{ reader, protoFolder, tables: lake.reader, lakeRoot: lake.root },
    tickets: createTickets(Buffer.alloc(32, 7)),
    flights: createOpenFlights(),
    messages: flightMessages(protoFolder),
    statementTimeMs: 60_000,
  });

const packageName = 'arrow.flight.protocol.sql.';
const any = new protobuf.Type('Any')
  .add(new protobuf.Field('type_url', 1, 'string'))
  .add(new protobuf.Field('value', 2, 'bytes'));
const packed = (name: string, message: object) => {
  const type = root.lookupType(packageName + name);
  return Buffer.from(any.encode({ type_url: `type.googleapis.com/${packageName}${name}`, value: type.encode(message).finish() }).finish()); // prettier-ignore
};
const opened = (name: string, bytes: Uint8Array) => {
  const { value } = any.decode(bytes) as unknown as { value: Uint8Array };
  return root.lookupType(packageName + name).decode(value) as unknown as Record<string, Buffer>;
};
const command = (name: string, message: object): FlightDescriptor => ({ type: 'CMD', cmd: packed(name, message), path: [] }); // prettier-ignore

const call: Call = {
  ...{ principal: 'ann', projects: 'all', project: defaultProject, schema: null, session: null, compression: 'none' },
  ...{ metadata: new Metadata(), headers: new Metadata(), signal: new AbortController().signal },
};

async function resolved(name: string, message: object, on = feature): Promise<Readable> {
  for (const kind of on.readables ?? []) {
    const readable = await kind.resolve(command(name, message), call);
    if (readable) return readable;
  }
  throw new Error(`Nothing is behind ${name}.`);
}

/** What a client makes of the frames: behind gRPC's five bytes is FlightData with header and body. */
async function asked(name: string, message: object = {}): Promise<Table> {
  const { source } = await resolved(name, message);
  if (source.type !== 'ready') throw new Error('It is not ready.');
  const parts = source.frames.flatMap((frame) => {
    const reader = protobuf.Reader.create(frame.subarray(5));
    const found = new Map<number, Uint8Array>();
    while (reader.pos < reader.len) found.set(reader.uint32() >>> 3, reader.bytes());
    return [encapsulated(found.get(2) as Uint8Array), found.get(1000) ?? Buffer.alloc(0)];
  });
  return tableFromIPC(Buffer.concat(parts));
}

async function acted(type: string, body: Buffer, on = feature, by = call): Promise<Buffer[]> {
  const action = on.actions?.find((one) => one.type === type);
  const results: Buffer[] = [];
  for await (const result of action?.run(body, by) ?? []) results.push(result);
  return results;
}

const prepared = async (query: string): Promise<Buffer> => {
  const [body] = await acted('CreatePreparedStatement', packed('ActionCreatePreparedStatementRequest', { query }));
  return opened('ActionCreatePreparedStatementResult', body as Buffer)['prepared_statement_handle'] as Buffer;
};

test.each([
  ['CommandGetCatalogs', 'catalog_name: Utf8!'],
  ['CommandGetDbSchemas', 'catalog_name: Utf8, db_schema_name: Utf8!'],
  ['CommandGetTableTypes', 'table_type: Utf8!'],
  ['CommandGetTables', 'catalog_name: Utf8, db_schema_name: Utf8, table_name: Utf8!, table_type: Utf8!'],
  ['CommandGetPrimaryKeys', 'catalog_name: Utf8, db_schema_name: Utf8, table_name: Utf8!, column_name: Utf8!, key_sequence: Int32!, key_name: Utf8'],
  ...['Exported', 'Imported'].map((keys): [string, string] => [`CommandGet${keys}Keys`, foreignKeys]),
  ['CommandGetCrossReference', foreignKeys],
])('%s has the schema that Flight SQL prescribes', async (name, schema) => {
  const { fields } = (await asked(name)).schema;
  expect(fields.map((field) => `${field.name}: ${String(field.type)}${field.nullable ? '' : '!'}`).join(', ')).toBe(schema);
}); // prettier-ignore

test('SqlInfo answers what is asked, everything when nothing is, and knows DuckDB’s words', async () => {
  const some = await asked('CommandGetSqlInfo', { info: [0, 3, 8, 504, 100_000] });
  expect(some.toArray().map((row) => [Number(row['info_name']), row['value']])).toEqual([[0, 'Eider'], [3, true], [8, 0], [504, '"']]); // prettier-ignore
  const all = await asked('CommandGetSqlInfo');
  const ids = all.toArray().map((row) => Number(row['info_name']));
  const { values } = root.lookupEnum(`${packageName}SqlInfo`);
  const unsupported = ['FLIGHT_SQL_SERVER_SUBSTRAIT_MIN_VERSION', 'FLIGHT_SQL_SERVER_SUBSTRAIT_MAX_VERSION'];
  expect(ids).toEqual(Object.entries(values).filter(([name]) => !unsupported.includes(name)).map(([, id]) => id).sort((a, b) => a - b)); // prettier-ignore
  const words = (name: string) => [...(all.get(ids.indexOf(values[name] as number))?.['value'] as Iterable<string>)];
  expect(words('SQL_KEYWORDS')).toEqual(expect.arrayContaining(['SELECT', 'QUALIFY']));
  expect(words('SQL_NUMERIC_FUNCTIONS')).toEqual(expect.arrayContaining(['SQRT', 'ROUND']));
  expect(words('SQL_STRING_FUNCTIONS')).toEqual(expect.arrayContaining(['UPPER', 'REGEXP_REPLACE']));
  expect(words('SQL_SYSTEM_FUNCTIONS')).not.toContain('CURRENT_SETTING');
  expect(words('SQL_DATETIME_FUNCTIONS')).toEqual(expect.arrayContaining(['DATE_TRUNC', 'AGE']));
});

test('the types are listed in order, or those of one code', async () => {
  const rows = (await asked('CommandGetXdbcTypeInfo')).toArray();
  const codes = rows.map((row) => row['data_type'] as number);
  expect(codes).toEqual([...codes].sort((a, b) => a - b));
  const [decimal] = (await asked('CommandGetXdbcTypeInfo', { data_type: 3 })).toArray();
  expect(decimal).toMatchObject({ type_name: 'DECIMAL', column_size: 38, num_prec_radix: 10, nullable: 1 });
  expect([...(decimal['create_params'] as Iterable<string>)]).toEqual(['precision', 'scale']);
});

test('a revision is listed to who asks for it, and a plain name otherwise', async () => {
  const names = async (pattern?: string) =>
    (await asked('CommandGetTables', { table_name_filter_pattern: pattern })).toArray().map((row) => String(row['table_name'])); // prettier-ignore
  await lake.add('numbers@s1', ['SELECT 1 AS a'], { snapshot: 1 });
  expect(await names('numbers@s1')).toContain('numbers@s1');
  expect(await names('numbers')).toEqual(['numbers']);
});

test('a prepared statement survives a restart, and is its owner’s alone', async () => {
  const handle = await prepared('SELECT a FROM numbers');
  const readable = await resolved('CommandPreparedStatementQuery', { prepared_statement_handle: handle }, started());
  expect(readable).toMatchObject({ rows: null, metadata: { tables: [{ name: 'numbers', snapshot: 1 }] } });
  const closing = packed('ActionClosePreparedStatementRequest', { prepared_statement_handle: handle });
  expect(await acted('ClosePreparedStatement', closing)).toEqual([]);
  await expect(acted('ClosePreparedStatement', closing, feature, { ...call, principal: 'bob' })).rejects.toMatchObject({ code: 'prepared_unknown' }); // prettier-ignore
  const changed = Buffer.from(handle).fill(1, 40, 41);
  await expect(resolved('CommandPreparedStatementQuery', { prepared_statement_handle: changed })).rejects.toMatchObject({ code: 'prepared_unknown' }); // prettier-ignore
});

/** A batch of one row and one column, as a client sends it. */
async function* bindingOf(value: number): AsyncGenerator<FlightData> {
  const bytes = Buffer.from(tableToIPC(new Table({ a: vectorFromArray([BigInt(value)], new Int64()) }), 'stream'));
  for (let at = 0; bytes.readInt32LE(at + 4) > 0;) {
    const bodyAt = at + 8 + bytes.readInt32LE(at + 4);
    const header = bytes.subarray(at + 8, bodyAt);
    at = bodyAt + Message.decode(header).bodyLength;
    const body = bytes.subarray(bodyAt, at);
    yield { flight_descriptor: null, data_header: header, data_body: body, app_metadata: Buffer.alloc(0) };
  }
}

test('a client that keeps its first handle is answered by what it bound last, and nobody else is', async () => {
  const handle = await prepared('SELECT a FROM numbers WHERE a = ?');
  const other = await prepared('SELECT a FROM numbers WHERE a = ?');
  const [taker] = feature.puts ?? [];
  const messages = bindingOf(3);
  const descriptor = command('CommandPreparedStatementQuery', { prepared_statement_handle: handle });
  for await (const _ of taker?.take(descriptor, messages, call) ?? []);
  const readable = await resolved('CommandPreparedStatementQuery', { prepared_statement_handle: handle });
  expect(readable.contents).toMatchObject([{ parameters: [{ type: 'BIGINT', text: '3' }] }]);
  await expect(resolved('CommandPreparedStatementQuery', { prepared_statement_handle: other })).rejects.toMatchObject({ code: 'parameters_invalid' }); // prettier-ignore
});

test.each([
  ['BeginTransaction', 'ActionBeginTransactionRequest', 'not_implemented'],
  ['EndSavepoint', 'ActionEndSavepointRequest', 'not_implemented'],
  ['CreatePreparedSubstraitPlan', 'ActionCreatePreparedSubstraitPlanRequest', 'not_implemented'],
  ['CancelQuery', 'ActionClosePreparedStatementRequest', 'action_invalid'],
  ['CreatePreparedStatement', 'CommandGetCatalogs', 'action_invalid'],
])('%s of an %s is refused with %s', async (type, message, code) => {
  await expect(acted(type, packed(message, {}))).rejects.toMatchObject({ code });
});

test.each([
  ['CommandStatementUpdate', { query: 'DELETE FROM numbers' }, 'statement_refused'],
  ['CommandStatementIngest', { table: 'x' }, 'statement_refused'],
  ['CommandStatementSubstraitPlan', {}, 'not_implemented'],
  ['CommandStatementQuery', { query: 'SELECT 1', transaction_id: Buffer.from('t') }, 'not_implemented'],
  ['TicketStatementQuery', {}, 'descriptor_invalid'],
])('%s as a descriptor is refused with %#', async (name, message, code) => {
  await expect(resolved(name, message)).rejects.toMatchObject({ code });
});

test('refused actions are not listed, and bytes that are no message of Flight SQL are nobody’s', async () => {
  const listed = feature.actions?.filter((action) => action.listed !== false).map(({ type }) => type);
  expect(listed).toEqual(['CreatePreparedStatement', 'ClosePreparedStatement', 'CancelQuery']);
  for (const kind of feature.readables ?? [])
    expect(await kind.resolve({ type: 'CMD', cmd: Buffer.from('{"spine": 1}'), path: [] }, call)).toBeNull();
});

test('CancelQuery ends what GetFlightInfo answered', async () => {
  const tickets = createTickets(Buffer.alloc(32, 7));
  const [content] = (await resolved('CommandStatementQuery', { query: 'SELECT a FROM numbers' })).contents;
  const ticket = tickets.sign(content as { kind: string }, call);
  const info = flightMessages(protoFolder).FlightInfo.serialize({
    ...{ schema: Buffer.alloc(0), flight_descriptor: null, total_records: -1, total_bytes: -1, ordered: true },
    ...{ app_metadata: Buffer.alloc(0), endpoint: [{ ticket: { ticket }, location: [], expiration_time: null, app_metadata: Buffer.alloc(0) }] }, // prettier-ignore
  });
  const [result] = await acted('CancelQuery', packed('ActionCancelQueryRequest', { info }));
  expect(opened('ActionCancelQueryResult', result as Buffer)['result']).toBe(1);
});
