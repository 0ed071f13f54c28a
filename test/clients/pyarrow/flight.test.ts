import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import type { FlightServer } from '../../../apps/flight/server.js';
import type { PinnedTable } from '../../../domain/tables.js';
import { until } from '../../../programs/waiting.js';
import type { TestLake } from '../../flight/lake.js';
import { startPyarrow, type Pyarrow } from './pyarrow.js';
import { millionRows, pathOf, startServed, type Served } from './served.js';

let served: Served;
let lake: TestLake;
let flight: FlightServer;
let pyarrow: Pyarrow;
let million: PinnedTable;
beforeAll(async () => {
  served = await startServed({ streamsMax: 3, waitingMax: 0, idleMs: 1_000 });
  ({ lake, flight, pyarrow, million } = served);
}, 300_000);
afterAll(() => served?.stop());

const read = (table: PinnedTable) => served.read(table);

async function untilNoStreamIsActive(): Promise<void> {
  expect(await until(() => flight.activeStreams() === 0, 10_000, { everyMs: 10 })).toBe(true);
}

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
  await lake.add('variant', ['SELECT 1 AS v'], { schema: 'inference', types: { v: 'VARIANT' } });
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

test('a command, a column that Arrow has no type for and the calls that we lack are refused', async () => {
  expect((await pyarrow.refusal('info', { command: 'SELECT 1' })).message).toContain(
    'The command is none that is known here.',
  );
  await lake.add('variants', ['SELECT 1 AS a, 2 AS v'], { types: { v: 'VARIANT' } });
  const unsupported = await pyarrow.refusal('info', { path: ['eider', 'features', 'variants'] });
  expect(unsupported.message).toContain('Column "v"');
  expect((await pyarrow.refusal('action')).message).toContain('There is no action');
  expect((await pyarrow.refusal('put')).message).toContain('Nothing has this path');
});

test('a client that asks for a token gets one', async () => {
  expect(await pyarrow.ask('token')).toEqual(['authorization', 'Bearer anonymous']);
});

test('a table of several endpoints, read in their order, equals what pyarrow reads from its files', async () => {
  const queries = [0, 1, 2].map((n) => `SELECT i + ${n * 500_000} AS i, 'text ' || i AS t FROM range(500000) t(i)`);
  const table = await lake.add('ranges', queries);
  const split = await startServed({}, { lake, endpointBytes: Math.floor(table.bytes / 8) });
  expect(await split.read(table)).toMatchObject({ endpoints: 8, rows: 1_500_000 });
  expect(await split.differences(table)).toEqual([]);
  expect(await read(table)).toMatchObject({ endpoints: 1, rows: 1_500_000 });
  expect(await pyarrow.ask('differences', { files: lake.pathsOf(table) })).toEqual([]);
  await split.stop();
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
