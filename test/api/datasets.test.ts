import { Bool, DateDay, Dictionary, Float64, Int16, Int32, Int64, makeVector, RecordBatchFileWriter, Table, tableFromArrays, tableToIPC, TimestampMicrosecond, TimestampNanosecond, Uint32, Utf8, vectorFromArray } from 'apache-arrow'; // prettier-ignore
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import type { TakenSpine } from '../../domain/datasets.js';
import { tables } from '../../store/tables.js';
import { defaultProject as project, type Sha256 } from '../../domain/ids.js';
import { Resource } from '../../domain/resources.js';
import { arrowTypes, spineLimits, spineTable } from '../../domain/spines.js';
import { eider, type Ended } from '../cli/eider.js';
import { serveApi, type ServedApi } from '../support/served-api.js';
import { withWorld, type World } from '../support/world.js';

/** What docs/datasets.md shows, as people run it: the command line, over REST, with the worker's real steps. */

const page = readFileSync(join(projectRoot, 'docs', 'datasets.md'), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text = '']) => text);

let world: World;
let api: ServedApi;
let url: string;
let run: (...args: string[]) => Promise<Ended>;

beforeAll(async () => {
  world = await withWorld();
  api = await serveApi(world);
  url = api.url;
  run = eider(url);
  await write('prices.csv', blocks('csv')[0] ?? '');
  await write('resources.yaml', blocks('yaml')[0] ?? '');
  await write('datasets.yaml', blocks('yaml')[1] ?? '');
  await done('apply', '-f', file('resources.yaml'));
  await done('materialize', 'price', '--start', '2001-01-01', '--end', '2001-01-04', '--wait');
}, 120_000);
afterAll(async () => {
  await api.close();
  await world.close();
});

const file = (name: string) => join(world.home, 'data', name);
const write = (name: string, bytes: string | Uint8Array) => writeFile(file(name), bytes);
const done = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(...args);
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return stdout;
};
async function send<Body = { code: string; detail: string }>(path: string, body: Uint8Array | object, type?: string) {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': type ?? 'application/json' },
    body: body instanceof Uint8Array ? Buffer.from(body) : JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as Body };
}
const upload = <Body = TakenSpine>(bytes: Uint8Array, type: string = arrowTypes.stream) =>
  send<Body>('/datasets/spines', bytes, type);

test('the page’s training set is built, shown, downloaded, verified and made again', async () => {
  expect(await done('dataset', 'build', '-f', file('datasets.yaml'), '--wait')).toMatch(
    /^shop_days: 6 rows, row hash [0-9a-f]{64}\n$/,
  );
  expect(await done('describe', 'dataset', 'shop_days')).toMatch(/rows:\n {2}test: 2\n {2}train: 4\n/);
  expect(await done('get', 'datasets')).toMatch(/shop_days +- +- +test 2, train 4/);
  const output = file('shop_days.parquet');
  await done('dataset', 'download', 'shop_days', '--output', output);
  const rows = await world.query<object>(
    `SELECT shop, asked::VARCHAR AS asked, price__price AS price, split FROM read_parquet('${output}')`,
  );
  expect(rows).toEqual([
    ...[['2001-01-01', 10, 'train'], ['2001-01-02', 11, 'train'], ['2001-01-03', 12, 'test']].map(([day, price, split]) => ({ shop: 'north', asked: `${day} 12:00:00`, price, split })), // prettier-ignore
    ...[['2001-01-01', null, 'train'], ['2001-01-02', 20, 'train'], ['2001-01-03', 20, 'test']].map(([day, price, split]) => ({ shop: 'south', asked: `${day} 12:00:00`, price, split })), // prettier-ignore
  ]);
  expect(await done('dataset', 'verify', 'shop_days', '--wait')).toContain('shop_days: intact');
  expect(await done('dataset', 'recreate', 'shop_days', '--wait')).toContain('shop_days: same');
});

test('labels that come later make another set, as the page says', async () => {
  await write('labels.jsonl', (blocks('json')[0] ?? '').replaceAll('\n', ' '));
  expect(await done('dataset', 'labels', 'shop_days', '-f', file('labels.jsonl'))).toBe('1 labels uploaded\n');
  await done('dataset', 'relabel', 'shop_days', '--name', 'shop_days_labelled', '--wait');
  const shown = JSON.parse(await done('describe', 'dataset', 'shop_days_labelled', '--json')) as object;
  expect(shown).toMatchObject({ relabels: 'shop_days', labels: { used: 1 }, positives: { train: 1, test: 0 } });
  expect(JSON.parse(await done('describe', 'dataset', 'shop_days', '--json'))).toMatchObject({
    ...{ relabelledBy: ['shop_days_labelled'], positives: { train: 0, test: 0 } },
    checks: [
      { kind: 'recreate', verdict: 'same' },
      { kind: 'verify', verdict: 'intact' },
    ],
  });
  expect((await send('/datasets/shop_days/labels', [{ key: { shop: 'north' }, label: true, knownAt: '2001-01-05' }])).body.code).toBe('request_invalid'); // prettier-ignore
});

test('a damaged set ends the command with 1, and the damage is named', async () => {
  const [stored] = (await tables(world.db).resolve(project, 'datasets', 'shop_days_labelled')).files;
  const path = world.lake.path(stored?.key ?? '');
  const bytes = await readFile(path);
  bytes.writeUInt8((bytes.at(20) ?? 0) ^ 1, 20);
  await writeFile(path, bytes);
  const { code, stdout } = await run('dataset', 'verify', 'shop_days_labelled', '--wait');
  expect([code, stdout]).toEqual([1, expect.stringMatching(/damaged\n.*row group 0, column shop/)]);
});

const micros = 1_000_000n;
/** Half a day after the first instant of the second of January 2001, in nanoseconds plus seven. */
const noonNanos = 978_436_800n * 1_000n * micros + 7n;
const spine = () =>
  new Table({
    shop: vectorFromArray(['south', 'north', 'south', null], new Dictionary(new Utf8(), new Int32())),
    naive: makeVector({ type: new TimestampMicrosecond(), data: BigInt64Array.from([1n, 2n, 1n, 3n].map((n) => noonNanos / 1_000n + n)) }), // prettier-ignore
    zoned: makeVector({ type: new TimestampMicrosecond('Asia/Kolkata'), data: BigInt64Array.from({ length: 4 }, () => noonNanos / 1_000n) }), // prettier-ignore
    nanos: makeVector({ type: new TimestampNanosecond(), data: BigInt64Array.from({ length: 4 }, () => noonNanos) }),
    id: vectorFromArray([2n ** 53n + 1n, 2n, null, -4n], new Int64()),
    ratio: vectorFromArray([0.1, NaN, -0, Infinity], new Float64()),
  });

/** A view whose key is a number, a date and a truth value. */
async function declareShelf(): Promise<void> {
  const keys = [{ name: 'shelf', type: 'INTEGER' }, { name: 'day', type: 'DATE' }, { name: 'open', type: 'BOOLEAN' }]; // prettier-ignore
  const sql = `SELECT CASE shop WHEN 'north' THEN 1 ELSE 2 END AS shelf, "at" AS day, true AS open, "at" AS event_time, known_at, price FROM prices`;
  const view = { entity: 'shelf', sources: ['prices'], sql, knownAt: 'known_at', lookback: '0s', features: [{ name: 'price', type: 'DOUBLE' }] }; // prettier-ignore
  const declared = [{ kind: 'Entity', name: 'shelf', spec: { keys } }, { kind: 'FeatureView', name: 'shelf', spec: view }]; // prettier-ignore
  await world.apply(declared.map((one) => Resource.parse(one)));
  await done('materialize', 'shelf', '--start', '2001-01-01', '--end', '2001-01-04', '--wait');
}

/** Sends as much as is taken, and more. */
const isLong = process.env['EIDER_LONG'] !== undefined;
async function* endless(): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(2 ** 20);
  for (;;) yield chunk;
}
const rowsOf = (length: number) =>
  new Table({ open: makeVector({ type: new Bool(), length, data: new Uint8Array(Math.ceil(length / 8)) }) });
const post = (body: Uint8Array | AsyncGenerator<Uint8Array>) =>
  fetch(`${url}/api/v1/datasets/spines`, { method: 'POST', headers: { 'content-type': arrowTypes.stream }, body: body as never, duplex: 'half' } as never); // prettier-ignore
/** Says how many bytes will come, and sends none. */
async function announce(bytes: number): Promise<Response> {
  const headers = { 'content-type': arrowTypes.stream, 'content-length': bytes };
  const asked = request(`${url}/api/v1/datasets/spines`, { method: 'POST', headers });
  asked.flushHeaders();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const text = Buffer.concat(await answer.toArray()).toString();
  asked.destroy();
  return new Response(text, { status: answer.statusCode ?? 0 });
}

describe('uploads', () => {
  test('an Arrow stream is kept once, exactly, and training sets are built on it by any of its instants', async () => {
    const bytes = tableToIPC(spine(), 'stream');
    const { status, body } = await upload(bytes);
    expect([status, body]).toEqual([201, { spine: createHash('sha256').update(bytes).digest('hex'), rows: 4, columns: expect.any(Array) }]); // prettier-ignore
    expect(body.columns.map(({ type }) => type)).toEqual(['VARCHAR', 'TIMESTAMP', 'TIMESTAMP WITH TIME ZONE', 'TIMESTAMP_NS', 'BIGINT', 'DOUBLE']); // prettier-ignore
    await write('spine.arrows', bytes);
    expect(await done('dataset', 'upload', file('spine.arrows'))).toBe(`${body.spine}\n4 rows, 6 columns\n`);
    for (const eventTime of ['naive', 'zoned', 'nanos']) {
      const spec = { name: `by_${eventTime}`, spine: { from: 'upload', spine: body.spine }, eventTime, features: ['price:price'] }; // prettier-ignore
      await write('by.yaml', JSON.stringify(spec));
      await done('dataset', 'build', '-f', file('by.yaml'), '--wait');
      const [kept] = (await tables(world.db).resolve(project, 'datasets', spec.name)).files;
      const rows = await world.query<object>(`SELECT shop, epoch_us(naive)::VARCHAR AS naive, epoch_us(zoned)::VARCHAR AS zoned, epoch_ns(nanos)::VARCHAR AS nanos, id::VARCHAR AS id, ratio::VARCHAR AS ratio, price__price AS price FROM read_parquet('${world.lake.path(kept?.key ?? '')}')`); // prettier-ignore
      const at = { zoned: `${noonNanos / 1_000n}`, nanos: `${noonNanos}` };
      expect(rows).toEqual([
        { shop: 'south', naive: `${noonNanos / 1_000n + 1n}`, ...at, id: '9007199254740993', ratio: '0.1', price: 20 },
        { shop: 'north', naive: `${noonNanos / 1_000n + 2n}`, ...at, id: '2', ratio: 'nan', price: 11 },
        { shop: 'south', naive: `${noonNanos / 1_000n + 1n}`, ...at, id: null, ratio: '-0.0', price: 20 },
        { shop: null, naive: `${noonNanos / 1_000n + 3n}`, ...at, id: '-4', ratio: 'inf', price: null },
      ]);
    }
  });

  test('an Arrow file is the same table, and its bytes do not stay behind', async () => {
    const bytes = await RecordBatchFileWriter.writeAll(spine()).toUint8Array();
    const taken = await upload(bytes, arrowTypes.file);
    const streamed = await upload(tableToIPC(spine(), 'stream'));
    const hashOf = async (of: Sha256) => (await tables(world.db).resolve(project, 'datasets', spineTable(of))).rowHash;
    expect(await hashOf(taken.body.spine)).toBe(await hashOf(streamed.body.spine));
    const left = join(world.home, 'artifacts', 'uploads');
    expect(existsSync(left) ? await readdir(left) : []).toEqual([]);
  });

  test.each<[string, () => Uint8Array, string, number, string]>([
    ['text', () => Buffer.from('no table'), arrowTypes.stream, 422, 'spine_invalid'],
    ['nothing', () => Buffer.from(''), arrowTypes.stream, 422, 'spine_invalid'],
    ['a stream that breaks off', () => tableToIPC(spine(), 'stream').slice(0, 900), arrowTypes.stream, 422, 'spine_invalid'],
    ['a file that breaks off', () => tableToIPC(spine(), 'file').slice(0, 900), arrowTypes.file, 422, 'spine_invalid'],
    ['lists', () => tableToIPC(new Table({ l: vectorFromArray([[1], [2]]) }), 'stream'), arrowTypes.stream, 422, 'spine_invalid'],
    ['names that differ in case only', () => tableToIPC(tableFromArrays({ a: [1], A: [2] }), 'stream'), arrowTypes.stream, 422, 'spine_invalid'],
    ['1001 columns', () => tableToIPC(tableFromArrays(Object.fromEntries(Array.from({ length: 1001 }, (_, at) => [`c${at}`, [at]]))), 'stream'), arrowTypes.stream, 422, 'spine_invalid'],
    ['JSON', () => Buffer.from('{}'), 'application/json', 422, 'request_invalid'],
  ])('%s: refused, and nothing is left of it', async (_, bytes, type, status, code) => {
    const answer = await upload<{ code: string }>(bytes(), type);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    const left = join(world.home, 'artifacts', 'uploads');
    expect(existsSync(left) ? await readdir(left) : []).toEqual([]);
  }); // prettier-ignore

  test('keys that are no text are joined where they are equal, whatever numbers they are', async () => {
    await declareShelf();
    const days = ['2001-01-02', '2001-01-02', '2001-01-02', '2001-01-02'].map((day) => new Date(day));
    const table = new Table({
      wide: vectorFromArray([1n, 2n, 3n, null], new Int64()),
      narrow: vectorFromArray([1, 2, 3, null], new Int16()),
      unsigned: vectorFromArray([1, 2, 3, null], new Uint32()),
      broken: vectorFromArray([1, 2, 2.5, null], new Float64()),
      day: vectorFromArray(days, new DateDay()),
      open: vectorFromArray([true, false, true, true], new Bool()),
      asked: makeVector({ type: new TimestampMicrosecond(), data: BigInt64Array.from({ length: 4 }, () => noonNanos / 1_000n) }), // prettier-ignore
    });
    const names = ['wide', 'narrow', 'unsigned', 'broken'];
    const { body } = await upload(tableToIPC(table, 'stream'));
    const joins = names.map((shelf) => ({ name: `by_${shelf}`, view: 'shelf', keys: { shelf } }));
    const features = names.map((name) => `by_${name}:price`);
    const spec = { name: 'shelves', spine: { from: 'upload', spine: body.spine }, eventTime: 'asked', joins, features };
    await write('shelves.yaml', JSON.stringify(spec));
    await done('dataset', 'build', '-f', file('shelves.yaml'), '--wait');
    for (const name of names) expect(await pricesOf('shelves', `by_${name}__price`)).toEqual([11, null, null, null]);
  });

  test.each<[string, () => Promise<Response>, number, string, RegExp]>([
    ['more bytes than are taken', () => announce(spineLimits.bytes + 1), 413, 'request_too_large', /more than 268435456 bytes/],
    ...(isLong ? [['more bytes than are taken, of which nobody said how many', () => post(endless()), 413, 'request_too_large', /more than 268435456 bytes/] as never] : []),
    ['more rows than are taken', () => post(tableToIPC(rowsOf(spineLimits.uploadedRows + 1), 'stream')), 413, 'request_too_large', /20000000/],
  ])('%s: refused, and nothing is left of it', async (_, ask, status, code, detail) => {
    const answer = await ask();
    expect([answer.status, await answer.json()]).toEqual([status, expect.objectContaining({ code, detail: expect.stringMatching(detail) })]);
    const left = join(world.home, 'artifacts', 'uploads');
    expect(existsSync(left) ? await readdir(left) : []).toEqual([]);
  }); // prettier-ignore

  test('at any other address a table is refused', async () => {
    const answer = await send('/datasets', tableToIPC(spine(), 'stream'), arrowTypes.stream);
    expect(answer.body.code).toBe('request_invalid');
  });
});

test.each<[string, object, number, string]>([
  ['a name that no dataset may have', { name: 'spine_x' }, 422, 'request_invalid'],
  ['a spine of no kind', { name: 'x', spine: { from: 'nowhere' } }, 422, 'request_invalid'],
  ['shares that do not add up', { name: 'x', split: { by: 'random', parts: [{ name: 'a', share: 0.2 }, { name: 'b', share: 0.2 }] } }, 422, 'request_invalid'], // prettier-ignore
])('%s: refused', async (_, more, status, code) => {
  const body = { spine: { from: 'upload', spine: 'f'.repeat(64) }, ...more };
  const answer = await send('/datasets', body);
  expect([answer.status, answer.body.code]).toEqual([status, code]);
});

test('what is not there is said so', async () => {
  for (const path of ['verify', 'recreate', 'relabel'])
    expect((await send(`/datasets/nothing/${path}`, { name: 'other' })).body.code).toBe('table_unknown');
});

async function pricesOf(name: string, column = 'price__price'): Promise<(number | null)[]> {
  const [kept] = (await tables(world.db).resolve(project, 'datasets', name)).files;
  const rows = await world.query<{ price: number | null }>(`SELECT ${column} AS price FROM read_parquet('${world.lake.path(kept?.key ?? '')}')`); // prettier-ignore
  return rows.map(({ price }) => price);
}

test('a set as of a commit time is made of what was there then', async () => {
  const [{ then } = { then: '' }] = await world.db.query<{ then: string }>(`SELECT max(committed_at) AS then FROM commits WHERE schema = 'features'`); // prettier-ignore
  await write('prices.csv', (blocks('csv')[0] ?? '').replace(/,(\d+)$/gm, ',9$1'));
  await done('materialize', 'price', '--start', '2001-01-01', '--end', '2001-01-04', '--wait');
  await write('before.yaml', (blocks('yaml')[2] ?? '').replace(/systemTime: .*/, `systemTime: ${then}`));
  await done('dataset', 'build', '-f', file('before.yaml'), '--wait');
  const now = (blocks('yaml')[2] ?? '').replace(/systemTime: .*/, '').replace('shop_days_before', 'shop_days_now');
  await write('now.yaml', now);
  await done('dataset', 'build', '-f', file('now.yaml'), '--wait');
  expect(await pricesOf('shop_days_before')).toEqual([10, 11, 12, null, 20, 20]);
  expect(await pricesOf('shop_days_now')).toEqual([910, 911, 912, null, 920, 920]);
});
