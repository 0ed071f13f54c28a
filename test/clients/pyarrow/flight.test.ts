import { truncateSync, writeFileSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startFlight, type FlightServer } from '../../../apps/flight/server.js';
import { createLogger } from '../../../apps/log.js';
import type { PinnedTable } from '../../../domain/tables.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';
import { startPyarrow, type Pyarrow } from './pyarrow.js';

const millionRows = 1_000_000;
const idleMs = 1_000;
let lake: TestLake;
let flight: FlightServer;
let pyarrow: Pyarrow;
let million: PinnedTable;

beforeAll(async () => {
  lake = await createTestLake();
  flight = await startFlight({
    host: '127.0.0.1',
    port: 0,
    lakeRoot: lake.root,
    protoFolder: fileURLToPath(new URL('../../../proto', import.meta.url)),
    tables: lake.reader,
    log: createLogger('flight', 'error', () => undefined),
    limits: { streamsMax: 3, idleMs },
  });
  pyarrow = await startPyarrow(flight.url);
  million = await lake.add('million', [
    `SELECT range AS a, sqrt(range) AS b, CASE WHEN range % 3 > 0 THEN 'text ' || range END AS c, range % 7 < 3 AS d FROM range(${millionRows})`,
  ]);
}, 300_000);

afterAll(async () => {
  await pyarrow?.stop();
  await flight?.stop(0);
  lake?.remove();
});

const pathOf = ({ project, schema, name }: PinnedTable) => [project, schema, name];
interface Read {
  schema: [string, string][];
  rows: number;
  batchRows: number[];
  bytesMax: number;
  misaligned: number;
}
const read = (table: PinnedTable, options: object = {}) =>
  pyarrow.ask<Read>('read', { path: pathOf(table), ...options });
const differences = (table: PinnedTable, options: object = {}) =>
  pyarrow.ask<string[]>('differences', { files: lake.pathsOf(table), ...options });

async function untilNoStreamIsActive(): Promise<void> {
  for (const deadline = Date.now() + 10_000; flight.activeStreams() > 0;) {
    if (Date.now() > deadline) throw new Error(`${flight.activeStreams()} streams are still active.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Every third value is null, in a rhythm that fits no byte. */
const everyType: Record<string, string> = {
  boolean: 'i % 3 = 0',
  tinyint: '(i % 256 - 128)::TINYINT',
  smallint: '(i - 3000)::SMALLINT',
  integer: '(i * -1000)::INTEGER',
  bigint: 'i * 1234567890123',
  utinyint: '(i % 256)::UTINYINT',
  usmallint: 'i::USMALLINT',
  uinteger: '(4294967295 - i)::UINTEGER',
  ubigint: '(18446744073709551615 - i)::UBIGINT',
  float: "CASE i % 50 WHEN 1 THEN 'nan'::FLOAT WHEN 2 THEN '-inf'::FLOAT ELSE (i * 0.37)::FLOAT END",
  double: "CASE i % 50 WHEN 1 THEN 'nan'::DOUBLE WHEN 2 THEN 'inf'::DOUBLE ELSE sqrt(i) END",
  decimal_4_1: '((i % 1999 - 999) / 10)::DECIMAL(4,1)',
  decimal_9_4: '(i - 2500.1234)::DECIMAL(9,4)',
  decimal_18_6: '(i * -1234567.654321)::DECIMAL(18,6)',
  decimal_38_10: '(i * -123456789012345678.0123456789)::DECIMAL(38,10)',
  varchar: "CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN 'öß€🦆' WHEN 2 THEN 'short ' || i ELSE repeat('long ' || i, 9) END",
  blob: "CASE i % 3 WHEN 0 THEN ''::BLOB ELSE ('\\x00\\xFF' || repeat('b', (i % 40)::INTEGER))::BLOB END",
  date: "DATE '1969-01-01' + i::INTEGER",
  time: "TIME '00:00:00' + to_microseconds(i * 17000003 % 86400000000)",
  timestamp: "TIMESTAMP '1960-05-06 07:08:09.123456' + to_microseconds(i * 987654321)",
  timestamp_ns: "'2020-02-03 04:05:06.123456789'::TIMESTAMP_NS",
  timestamptz: "TIMESTAMPTZ '2001-03-05 00:00:00+00' + to_microseconds(i * 3600000001)",
  uuid: 'md5(i::VARCHAR)::UUID',
};
const nullable = (expressions: Record<string, string>, offset: number) =>
  Object.entries(expressions)
    .map(([name, sql], index) => `CASE WHEN (i + ${index + offset}) % 3 = 0 THEN NULL ELSE ${sql} END AS "${name}"`)
    .join(', ');

test('every scalar type with nulls, over several files of odd lengths, equals what pyarrow reads from Parquet', async () => {
  const table = await lake.add('types', [
    `SELECT ${nullable(everyType, 0)} FROM range(5003) t(i)`,
    `SELECT ${nullable(everyType, 1)} FROM range(1) t(i)`,
    `SELECT ${nullable(everyType, 2)} FROM range(2051) t(i)`,
  ]);
  expect(await read(table)).toMatchObject({ rows: 7055, misaligned: 0 });
  expect(await differences(table)).toEqual([]);
});

test('types that Parquet does not keep are sent as the catalogue declares them', async () => {
  const columns = {
    hugeint: ['HUGEINT', '(i * 1000000007)::HUGEINT', 'decimal128(38, 0)'],
    uhugeint: ['UHUGEINT', 'i::UHUGEINT', 'decimal128(38, 0)'],
    seconds: ['TIMESTAMP_S', "TIMESTAMP '2001-03-05' + to_seconds(i)", 'timestamp[s]'],
    millis: ['TIMESTAMP_MS', "TIMESTAMP '2001-03-05' + to_milliseconds(i)", 'timestamp[ms]'],
    nanos: ['TIME_NS', "(TIME '01:02:03' + to_microseconds(i))::VARCHAR", 'time64[ns]'],
    enumerated: ["ENUM('one', 'two')", "CASE i % 2 WHEN 0 THEN 'one' ELSE 'two' END", 'string'],
    json: ['JSON', "'{\"i\": ' || i || '}'", 'string'],
    interval: [
      'INTERVAL',
      'to_months((i % 20)::INTEGER) + to_days(i::INTEGER) + to_seconds(i)',
      'month_day_nano_interval',
    ],
  } as const;
  const entries = Object.entries(columns);
  const expressions = Object.fromEntries(entries.map(([name, [, sql]]) => [name, sql]));
  const types = Object.fromEntries(entries.map(([name, [type]]) => [name, type]));
  const table = await lake.add('declared', [`SELECT ${nullable(expressions, 0)} FROM range(3001) t(i)`], { types });
  const { schema } = await read(table);
  expect(schema).toEqual(entries.map(([name, [, , arrow]]) => [name, arrow]));
  const value = async (column: string, row: number) => (await pyarrow.ask<string[]>('values', { column }))[row];
  expect(await value('hugeint', 3000)).toBeNull();
  expect(await value('hugeint', 2999)).toBe(String(2999 * 1000000007));
  expect(await value('uhugeint', 3000)).toBe('3000');
  expect(await value('seconds', 2999)).toBe('2001-03-05 00:49:59');
  expect(await value('millis', 2998)).toBe('2001-03-05 00:00:02.998000');
  expect(await value('nanos', 3000)).toBe('01:02:03.003000');
  expect(await value('enumerated', 3000)).toBe('one');
  expect(await value('json', 2998)).toBe('{"i": 2998}');
  expect(await value('interval', 3000)).toBe('MonthDayNano(months=0, days=3000, nanoseconds=3000000000000)');
});

test("DuckDB's own extreme values of every scalar type equal what pyarrow reads from Parquet", async () => {
  const without = 'array|list|struct|map|union|bignum|variant|geometry|bit|_tz|hugeint|interval|enum|time_ns';
  const table = await lake.add('extremes', [
    `SELECT timestamp_tz, COLUMNS(c -> NOT regexp_matches(c, '${without}')) FROM test_all_types()`,
  ]);
  // DuckDB has a time of 24:00:00, which Arrow's validation does not know.
  expect(await read(table, { validateFully: false })).toMatchObject({ rows: 3 });
  expect(await differences(table)).toEqual([]);
});

test('a million rows arrive in order, in aligned batches of at most 65,536 rows and 4 MiB', async () => {
  const answer = await read(million);
  expect(answer).toMatchObject({ rows: millionRows, misaligned: 0 });
  expect(Math.max(...answer.batchRows)).toBeLessThanOrEqual(65_536);
  expect(answer.bytesMax).toBeLessThan(4 * 2 ** 20);
  expect(await differences(million)).toEqual([]);
});

test('wide rows are cut so that no message exceeds 4 MiB, and long texts arrive whole', async () => {
  const table = await lake.add('wide', [
    `SELECT repeat(i::VARCHAR, 2000 + (i % 5)::INTEGER * 3000) AS t, i FROM range(3000) r(i)`,
  ]);
  const answer = await read(table);
  expect(answer).toMatchObject({ rows: 3000, misaligned: 0 });
  expect(answer.batchRows.length).toBeGreaterThan(8);
  expect(answer.bytesMax).toBeLessThan(4 * 2 ** 20);
  expect(await differences(table)).toEqual([]);
});

test('GetFlightInfo tells schema, rows, bytes and what was pinned; GetSchema agrees', async () => {
  const info = await pyarrow.ask<Record<string, unknown>>('info', { path: pathOf(million) });
  const schema = [
    ['a', 'int64'],
    ['b', 'double'],
    ['c', 'string'],
    ['d', 'bool'],
  ];
  expect(info).toMatchObject({ schema, rows: millionRows, bytes: million.bytes, ordered: true, locations: [0] });
  const pinned = { project: 'eider', schema: 'features', name: 'million', revision: 1, snapshot: 1, rowHash: null };
  expect(info['metadata']).toEqual(pinned);
  expect(await pyarrow.ask('schema', { path: pathOf(million) })).toEqual(schema);
});

test('ListFlights names every table of a project, or of one schema', async () => {
  await lake.add('training', ['SELECT 1 AS a'], { schema: 'datasets' });
  await lake.add('nested', ['SELECT [1, 2] AS list'], { schema: 'inference' });
  const listed = await pyarrow.ask<{ path: string[] }[]>('list');
  expect(listed.map(({ path }) => path.join('/'))).toContain('eider/features/million');
  expect(await pyarrow.ask('list', { criteria: 'datasets' })).toMatchObject([
    { path: ['eider', 'datasets', 'training'], rows: 1, endpoints: 1 },
  ]);
  expect(await pyarrow.ask('list', { criteria: 'inference' })).toMatchObject([
    { endpoints: 0, metadata: { error: 'type_unsupported' } },
  ]);
});

test('a path of two elements takes the project from the metadata, or the default one', async () => {
  const path = ['features', 'million'];
  expect(await pyarrow.ask('schema', { path })).toHaveLength(4);
  expect(await pyarrow.ask('schema', { path, headers: { 'eider-project': 'eider' } })).toHaveLength(4);
  const refusal = await pyarrow.refusal('schema', { path, headers: { 'eider-project': 'No Such' } });
  expect(refusal.message).toContain('"No Such" is not a project.');
});

test('a table without files and a file without rows still have their schema', async () => {
  const none = await lake.add('none', [], { types: { a: 'DOUBLE', b: 'VARCHAR' } });
  expect(await read(none)).toMatchObject({ rows: 0, schema: [['a', 'double'], ['b', 'string']] }); // prettier-ignore
  const empty = await lake.add('empty', ['SELECT 1 AS a LIMIT 0']);
  expect(await read(empty)).toMatchObject({ rows: 0, batchRows: [], schema: [['a', 'int32']] });
});

test.each([
  [
    'an unknown view',
    ['eider', 'features', 'nothing'],
    'FlightUnavailableError|ArrowKeyError',
    'There is no "nothing"',
  ],
  ['an unknown schema', ['eider', 'tables', 'million'], 'ArrowInvalid', '"tables" is none of features'],
  ['a path of one element', ['million'], 'ArrowInvalid', 'A path has three elements, not 1'],
  ['a path of four elements', ['eider', 'features', 'million', 'x'], 'ArrowInvalid', 'three elements, not 4'],
])('%s is refused with a sentence and advice', async (_, path, type, sentence) => {
  const refusal = await pyarrow.refusal('info', { path });
  expect(refusal.type).toMatch(new RegExp(`^(${type})$`));
  expect(refusal.message).toContain(sentence);
});

test('a command, a nested column and the calls that we lack are refused', async () => {
  expect((await pyarrow.refusal('info', { command: 'SELECT 1' })).message).toContain('The descriptor has no path.');
  await lake.add('lists', ['SELECT 1 AS a, [1, 2] AS numbers']);
  const nested = await pyarrow.refusal('info', { path: ['eider', 'features', 'lists'] });
  expect(nested.message).toContain('Column "numbers" is a INTEGER[]');
  expect((await pyarrow.refusal('action')).message).toContain('DoAction is not supported.');
  expect((await pyarrow.refusal('put')).message).toContain('DoPut is not supported.');
  expect(await pyarrow.ask('actions')).toBe(0);
});

test('a client that asks for a token gets one', async () => {
  expect(await pyarrow.ask('token')).toEqual(['authorization', 'Bearer anonymous']);
});

test('a ticket pins its snapshot, and one that was changed by a bit is refused', async () => {
  await lake.add('moving', ['SELECT 1 AS a'], { snapshot: 1 });
  const { ticket } = await pyarrow.ask<{ ticket: string }>('info', { path: ['eider', 'features', 'moving'] });
  await lake.add('moving', ['SELECT 2 AS a FROM range(2)'], { snapshot: 2 });
  expect(await pyarrow.ask('read', { ticket })).toMatchObject({ rows: 1 });
  expect(await pyarrow.ask('read', { path: ['eider', 'features', 'moving'] })).toMatchObject({ rows: 2 });
  const bytes = Buffer.from(ticket, 'base64');
  bytes[40] = (bytes[40] as number) ^ 1;
  const refusal = await pyarrow.refusal('read', { ticket: bytes.toString('base64') });
  expect(refusal.message).toContain('This server did not sign the ticket.');
});

test.each([
  ['a page that was overwritten', (path: string) => overwriteMiddle(path)],
  ['a file that was cut', (path: string) => truncateSync(path, Math.floor(statSync(path).size / 2))],
])('%s in the middle of a table is an error, never a short answer', async (what, damage) => {
  const query = 'SELECT i, hash(i) AS h, sqrt(i) AS r FROM range(400000) t(i)';
  const table = await lake.add(what.includes('cut') ? 'cut' : 'overwritten', [query, query]);
  damage(lake.pathsOf(table)[1] as string);
  const refusal = await pyarrow.refusal('read', { path: pathOf(table) });
  expect(refusal.message).toContain('A committed file does not match its recorded hash.');
  expect(refusal.message).not.toContain(lake.root);
  await untilNoStreamIsActive();
});

function overwriteMiddle(path: string): void {
  const bytes = readFileSync(path);
  const middle = Math.floor(bytes.length / 2);
  writeFileSync(path, bytes.fill(0xa5, middle, middle + 200_000));
}

test('a file that is gone is an error', async () => {
  const table = await lake.add('gone', ['SELECT 1 AS a']);
  truncateSync(lake.pathsOf(table)[0] as string, 0);
  expect((await pyarrow.refusal('read', { path: pathOf(table) })).type).toMatch(/Error|Invalid/);
});

test('a value that its type cannot hold in Arrow is an error', async () => {
  const table = await lake.add('huge', ['SELECT 1.5e38::DOUBLE AS huge'], { types: { huge: 'HUGEINT' } });
  expect((await pyarrow.refusal('read', { path: pathOf(table) })).message).toContain('DuckDB could not finish');
});

test('cancelling frees the connection, and so does leaving', async () => {
  await pyarrow.ask('open', { id: 1, path: pathOf(million) });
  expect(await pyarrow.ask<number[]>('take', { id: 1, batches: 1 })).toHaveLength(1);
  expect(flight.activeStreams()).toBe(1);
  await pyarrow.ask('cancel', { id: 1 });
  await untilNoStreamIsActive();
  const leaving = await startPyarrow(flight.url);
  await leaving.ask('open', { id: 1, path: pathOf(million) });
  await leaving.ask('take', { id: 1, batches: 1 });
  await leaving.stop();
  await untilNoStreamIsActive();
});

test('streams take turns, and one more than the limit is refused', async () => {
  for (const id of [1, 2, 3]) {
    await pyarrow.ask('open', { id, path: pathOf(million) });
    await pyarrow.ask('take', { id, batches: 1 });
  }
  expect((await pyarrow.refusal('read', { path: pathOf(million) })).message).toContain('3 streams are open');
  for (const id of [1, 2, 3]) expect(await pyarrow.ask('drain', { id })).toBeGreaterThan(millionRows - 65_537);
  await untilNoStreamIsActive();
});

test('a client that takes nothing loses its stream after a while', async () => {
  await pyarrow.ask('open', { id: 1, path: pathOf(million) });
  await pyarrow.ask('take', { id: 1, batches: 1 });
  await untilNoStreamIsActive();
  const refusal = await pyarrow.refusal('drain', { id: 1 });
  expect(refusal.message).toContain('The client has taken nothing for 1 seconds.');
});
