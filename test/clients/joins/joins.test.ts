import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, status, type MethodDefinition } from '@grpc/grpc-js';
import { flightService } from '../../../apps/flight/protocol.js';
import { loadConfig, projectRoot } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { until } from '../../../programs/waiting.js';
import { defaultProject } from '../../../domain/ids.js';
import { anonymous } from '../../../domain/principal.js';
import { pushRows } from '../../../store/pushes.js';
import { askProgram, type Asked } from '../asked.js';
import { joinsProgram, startShops, type Shops } from './shops.js';

/** pyarrow joins: by command, by what it put before, and by an exchange. The rows are those of a training set. */

const service = flightService(join(projectRoot, 'proto'));
const startMs = 40_000;
let shops: Shops;
let pyarrow: Asked;
beforeAll(async () => {
  const { cache, python } = loadConfig();
  const lockFile = fileURLToPath(new URL('../pyarrow/requirements.lock', import.meta.url));
  const command = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'pyarrow', python });
  shops = await startShops();
  pyarrow = askProgram(command, [joinsProgram, shops.flight.url]);
  await write('small', 5_000);
}, startMs);
afterAll(async () => {
  await pyarrow?.stop();
  await shops?.stop();
});

/** A spine of so many rows, in no order of time, that pyarrow knows by its name. */
async function write(name: string, rows: number, more = ''): Promise<string> {
  const file = await shops.lake.write(
    `${name}.parquet`,
    `SELECT i AS request, CASE WHEN i % 50 > 0 THEN (i * 7919) % 510 END AS shop, (i * 31) % 500 AS rival,
       TIMESTAMP '2026-01-02' + to_seconds((i * 15485863) % 600000) AS event_time, 'r' || (i % 9) AS label${more} FROM range(${rows}) AS t(i)`,
  );
  await pyarrow.ask('load', { name, file });
  return file;
}

interface Put {
  readonly sha256: string;
  readonly rows: number;
  readonly columns: { name: string; type: string }[];
  readonly path: string[];
}
const put = (name: string, more: object = {}) => pyarrow.ask<Put>('put', { name, path: ['eider', 'spines'], ...more });
const features = ['price:value', 'price:name', 'market:index'];
const joining = { features, service: 'offers' };

interface Info {
  readonly columns: string[];
  readonly rows: number;
  readonly metadata: { columns: string[]; views: { view: string; snapshot: number }[] };
  readonly ticket: string;
}

test('a spine that was put is joined as the training set of it is, row by row', async () => {
  const file = await write('whole', 20_000);
  const { sha256, rows, path } = await put('whole');
  expect([rows, path]).toEqual([20_000, ['eider', 'datasets', `spine_${sha256}`]]);
  const command = { join: { spine: { sha256 }, ...joining } };
  const info = await pyarrow.ask<Info>('info', { command });
  expect(info.rows).toBe(20_000);
  expect(info.columns).toEqual(['request', 'shop', 'rival', 'event_time', 'label', 'price__value', 'price__name', 'rival__value', 'market__index']); // prettier-ignore
  expect(info.metadata.views.map(({ view, snapshot }) => [view, snapshot])).toEqual([['price', 10], ['price', 10], ['market', 10]]); // prettier-ignore
  await pyarrow.ask('read', { ticket: info.ticket });
  const spec = { name: 'same', spine: { from: 'parquet', path: file }, ...joining };
  expect(await pyarrow.ask('equal', { file: await shops.dataset(spec, 'same.parquet') })).toEqual([]);
});

test('rows that stand in the command have the types of the keys, and need not be put', async () => {
  const rows = [
    { shop: 3, event_time: '2026-01-05T10:30:00Z', note: 'a' },
    { shop: 4, event_time: '2026-01-05T10:30:00+02:00', weight: 1.5 },
    { shop: null, event_time: '2026-01-05T10:30:00Z' },
  ];
  await pyarrow.ask('read', { command: { join: { spine: { rows }, features: ['price:name'], naming: 'short' } } });
  expect(await pyarrow.ask('rows')).toEqual([
    { shop: 3, event_time: '2026-01-05 10:30:00', note: 'a', weight: null, name: 'shop 3' },
    { shop: 4, event_time: '2026-01-05 08:30:00', note: null, weight: 1.5, name: 'shop 4' },
    { shop: null, event_time: '2026-01-05 10:30:00', note: null, weight: null, name: null },
  ]);
});

test('SQL over the tables of the project is a spine', async () => {
  const sql = `SELECT DISTINCT shop, event_time + INTERVAL 90 MINUTE AS at FROM features.price WHERE shop < 3 AND event_time = TIMESTAMP '2026-01-05' ORDER BY shop`;
  await pyarrow.ask('read', { command: { join: { spine: { sql }, eventTime: 'at', features: ['price:name'] } } });
  expect(await pyarrow.ask('rows')).toEqual([0, 1, 2].map((shop) => ({ shop, at: '2026-01-05 01:30:00', price__name: `shop ${shop}` }))); // prettier-ignore
});

test('a ticket gives the same rows whatever is committed after it was given', async () => {
  const command = { join: { spine: { rows: [{ shop: 1, event_time: '2026-01-09T12:59:00Z' }] }, features: ['price:value'] } }; // prettier-ignore
  const { ticket } = await pyarrow.ask<Info>('info', { command });
  const read = async (asked: object) => {
    await pyarrow.ask('read', asked);
    return pyarrow.ask<{ price__value: number }[]>('rows');
  };
  const before = await read({ ticket });
  await shops.reprice(9, 42);
  expect(await read({ ticket })).toEqual(before);
  expect((await read({ command }))[0]?.price__value).toBe(42);
});

test('what was pushed and not flushed counts, and a ticket pins how much of it', async () => {
  const spine = { rows: [{ shop: 2, event_time: '2026-01-06T12:59:00Z' }] };
  const command = { join: { spine, features: ['price:name'] } };
  const { ticket } = await pyarrow.ask<Info>('info', { command });
  const instants = { event_time: '2026-01-06T12:30:00.000000Z', known_at: '2026-01-06T12:30:00.000000Z' };
  const rows = [{ shop: 2, ...instants, value: 1, name: 'pushed' }];
  await pushRows(shops.database.db, { project: defaultProject, view: 'price', rows, to: 'offline', id: 'p' } as never, anonymous); // prettier-ignore
  const read = async (asked: object) => {
    await pyarrow.ask('read', asked);
    return (await pyarrow.ask<{ price__name: string }[]>('rows'))[0]?.price__name;
  };
  expect(await read({ ticket })).toBe('shop 2');
  expect(await read({ command })).toBe('pushed');
});

const rowsOf = (row: object) => ({ spine: { rows: [row] } });
const row = { shop: 1, event_time: '2026-01-05T00:00:00Z' };
test.each<[string, object, RegExp]>([
  ['a window that was never computed', { ...rowsOf({ ...row, event_time: '2026-02-05T00:00:00Z' }), features }, /lacks windows of this range. Run eider materialize price/], // prettier-ignore
  ['a view without a commit', { ...rowsOf(row), features: ['empty:value'] }, /has no commit/],
  ['a feature that is none', { ...rowsOf(row), features: ['price:worth'] }, /has no feature worth/],
  ['a spine without the key', { ...rowsOf({ event_time: row.event_time }), features }, /has no column "shop"/],
  [
    'a value that is none of its type',
    { ...rowsOf({ ...row, shop: 'north' }), features },
    /The spine cannot be joined/,
  ],
  ['a column of two types', { ...rowsOf({ ...row, note: 1 }), spine: { rows: [{ ...row, note: 1 }, { ...row, note: 'a' }] }, features }, /"note" is number and string/], // prettier-ignore
  ['an upload that is none', { spine: { sha256: '0'.repeat(64) }, features }, /Nothing with the hash 0+ was uploaded/],
  ['SQL that reads files', { spine: { sql: `SELECT * FROM read_csv('/etc/passwd')` }, features }, /read_csv/],
  ['an unknown member', { ...rowsOf(row), features, modus: 'x' }, /Unrecognized key.*modus/],
  ['a mode that is none', { ...rowsOf(row), features, mode: 'x' }, /join\.mode/],
])('%s is refused with a sentence', async (_, join, message) => {
  expect((await pyarrow.refusal('info', { command: { join } })).message).toMatch(message);
});

test('a table has one hash however it is sent, and is kept once', async () => {
  const hash = await pyarrow.ask<string>('hash', { name: 'small', batch: 1000 });
  const all = await Promise.all(Array.from({ length: 3 }, () => put('small', { batch: 1000 })));
  expect(all.map(({ sha256, rows }) => [sha256, rows])).toEqual(Array.from({ length: 3 }, () => [hash, 5000]));
  expect((await put('small', { batch: 1000, path: ['spines', hash] })).sha256).toBe(hash);
  expect((await pyarrow.ask<Put>('put', { name: 'small', batch: 1000, command: { spine: { sha256: hash } } })).columns[1]).toEqual({ name: 'shop', type: 'BIGINT' }); // prettier-ignore
  expect((await pyarrow.refusal('put', { name: 'small', path: ['spines', '0'.repeat(64)] })).message).toMatch(/The bytes hash to/); // prettier-ignore
  const files = await shops.database.db.query(`SELECT key FROM files WHERE name = 'spine_${hash}'`);
  expect(files).toHaveLength(1);
});

const left = async () => (await readdir(shops.scratch)).filter((name) => !name.startsWith('pushed'));

/** Puts the beginning of a stream, and leaves. */
async function breakOff(): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = service['DoPut'] as MethodDefinition<object, object>;
  const client = new Client(`127.0.0.1:${shops.flight.port}`, credentials.createInsecure());
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
  const ended = once(call, 'error');
  call.write({ flight_descriptor: { type: 'PATH', path: ['eider', 'spines'] } });
  expect(await until(async () => (await left()).length > 0, 5_000)).toBe(true);
  call.cancel();
  await ended;
  client.close();
}

test('an upload that breaks, or is no spine, leaves nothing behind', async () => {
  const known = async () => (await shops.database.db.query(`SELECT 1 FROM lake_tables`)).length;
  const before = await known();
  await breakOff();
  await write('lists', 3, ', [i] AS list');
  expect((await pyarrow.refusal('put', { name: 'lists', path: ['eider', 'spines'] })).message).toMatch(/Column "list" is List.*which a spine cannot hold/); // prettier-ignore
  expect(await until(async () => (await left()).length === 0, 10_000)).toBe(true);
  expect(await known()).toBe(before);
});

test('an exchange gives the rows of the training set, in their order', async () => {
  const file = await write('streamed', 200_000);
  const command = { join: joining };
  await pyarrow.ask('exchange', { name: 'streamed', command, batch: 7_000 });
  const spec = { name: 'same', spine: { from: 'parquet', path: file }, ...joining };
  expect(await pyarrow.ask('equal', { file: await shops.dataset(spec, 'streamed-set.parquet') })).toEqual([]);
  await pyarrow.ask('exchange', { name: 'streamed', command, write_first: true });
  expect(await pyarrow.ask('equal', { file: `${shops.lake.folder}/streamed-set.parquet` })).toEqual([]);
});

/** More than one part of a spine holds; a million in a long run. */
const manyRows = process.env['EIDER_LONG'] ? 1_000_000 : 300_000;

test('many rows go through in bounded memory, from a client that writes and reads', async () => {
  const path = await write('many', manyRows);
  const before = process.memoryUsage().rss;
  let most = before;
  const watching = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 20);
  const exchanged = await pyarrow.ask('exchange', { name: 'many', command: { join: { features: ['price:value', 'market:index'] } } }); // prettier-ignore
  clearInterval(watching);
  expect(exchanged).toMatchObject({ rows: manyRows });
  const spec = { name: 'same', spine: { from: 'parquet', path }, features: ['price:value', 'market:index'] }; // prettier-ignore
  expect(await pyarrow.ask('equal', { file: await shops.dataset(spec, 'many-set.parquet') })).toEqual([]);
  console.log(`memory of the server grew by ${Math.round((most - before) / 2 ** 20)} MiB`);
  expect(most - before).toBeLessThan(500 * 2 ** 20);
}, 60_000);

test('a client that waits for each answer gets it at once, and one without rows gets the schema', async () => {
  const asked = { command: { join: { features } }, name: 'small', batch: 1000, lockstep: true };
  expect(await pyarrow.ask('exchange', asked)).toMatchObject({ rows: 5000, answers: 5 });
  await write('none', 0);
  expect(await pyarrow.ask('exchange', { command: { join: { features } }, name: 'none' })).toMatchObject({
    ...{ rows: 0, columns: ['request', 'shop', 'rival', 'event_time', 'label', 'price__value', 'price__name', 'market__index'] }, // prettier-ignore
  });
});

/** Begins an exchange, and sends nothing more until its time is over; the status. */
async function timedOut(): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = service['DoExchange'] as MethodDefinition<object, object>;
  const client = new Client(`127.0.0.1:${shops.flight.port}`, credentials.createInsecure());
  const options = { deadline: Date.now() + 300 };
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), options);
  const ended = once(call, 'error');
  const cmd = Buffer.from(JSON.stringify({ join: { features } }));
  call.write({ flight_descriptor: { type: 'CMD', cmd } });
  const [error] = await ended;
  client.close();
  return error;
}

test('one error ends an exchange with its status, and a client that leaves is cleaned up after', async () => {
  const refused = (join: object, more = {}) => pyarrow.refusal('exchange', { name: 'small', command: { join }, ...more }); // prettier-ignore
  expect((await refused({ features: ['price:worth'] })).message).toMatch(/has no feature worth/);
  expect((await refused({ features, eventTime: 'label' })).message).toMatch(/must be a TIMESTAMP/);
  await write('late', 10, `, TIMESTAMP '2026-03-01' AS then`);
  expect((await pyarrow.refusal('exchange', { name: 'late', command: { join: { features, eventTime: 'then' } } })).message).toMatch(/lacks windows/); // prettier-ignore
  expect(await timedOut()).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  await pyarrow.ask('abandon', { name: 'small', command: { join: { features } } });
  expect(await until(async () => (await left()).length === 0, 10_000)).toBe(true);
  expect(await until(async () => shops.flight.activeStreams() === 0, 10_000)).toBe(true);
  const leases = () => shops.database.db.query(`SELECT 1 FROM leases WHERE holder LIKE 'stream/%'`);
  expect(await until(async () => (await leases()).length === 0, 10_000)).toBe(true);
});
