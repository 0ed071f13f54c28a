import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PinnedTable } from '../../domain/tables.js';
import { openEncodedCache, type EncodedCache } from '../../lake/encoded/cache.js';
import type { ReadPlan } from '../../lake/read/plan.js';
import { createReader, type Reader } from '../../lake/read/reader.js';
import type { Batch } from '../../lake/read/stream.js';
import { tablePlan } from '../../lake/read/table.js';
import { createTestLake, type TestLake } from '../flight/lake.js';

let lake: TestLake;
let reader: Reader;
let folder: string;
const warnings: string[] = [];

beforeAll(async () => {
  lake = await createTestLake();
  reader = await createReader({ lakeRoot: lake.root, threads: 2, memoryLimit: '1GB', workers: 1 });
});
afterAll(async () => {
  await reader?.close();
  lake?.remove();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'eider-encoded-'));
  warnings.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (bytesMax = 1e9) => openEncodedCache({ folder, bytesMax, warn: (message) => warnings.push(message) });
const planOf = (table: PinnedTable): ReadPlan => tablePlan(table, lake.root);
const never = (): never => {
  throw new Error('DuckDB was asked.');
};
const keptFiles = () => readdirSync(folder).filter((name) => name.endsWith('.frames'));

/** What a client would get, as a hash; DuckDB is asked when it is not forbidden. */
async function sent(
  cache: EncodedCache,
  plan: ReadPlan,
  read: () => AsyncGenerator<Batch, void, void> = () => reader.read(plan, { signal: new AbortController().signal }),
) {
  const hash = createHash('sha256');
  for await (const { frame, release } of cache.through(plan, 'none', read)) {
    hash.update(frame);
    release();
  }
  return hash.digest('hex');
}

test('what was read once is sent again, byte for byte, without DuckDB, also after a restart', async () => {
  const plan = planOf(await lake.add('again', [`SELECT i, hash(i) AS h, 'text ' || i AS t FROM range(300000) r(i)`]));
  const first = await open();
  const bytes = await sent(first, plan);
  expect(await sent(first, plan, never)).toBe(bytes);
  expect(first.bytes()).toBe(statSync(join(folder, keptFiles()[0] as string)).size);
  expect(await sent(await open(), plan, never)).toBe(bytes);
  expect(warnings).toEqual([]);
});

test('an empty result is kept as well: its schema is a message', async () => {
  const plan = planOf(await lake.add('empty', ['SELECT 1 AS a WHERE false']));
  const cache = await open();
  const bytes = await sent(cache, plan);
  expect(await sent(cache, plan, never)).toBe(bytes);
});

test('results of other files, statements or compressions are others', async () => {
  const [one, other] = [await lake.add('one', ['SELECT 1 AS a']), await lake.add('other', ['SELECT 2 AS a'])];
  const cache = await open();
  expect(await sent(cache, planOf(one))).not.toBe(await sent(cache, planOf(other)));
  const filtered = { ...planOf(one), sql: `${planOf(one).sql} LIMIT 0`, rows: 0 };
  await sent(cache, filtered);
  expect(keptFiles()).toHaveLength(3);
});

test.each([
  ['a flipped bit in the messages', (bytes: Buffer) => void (bytes[1000] = (bytes[1000] as number) ^ 4)],
  [
    'a flipped bit in the index',
    (bytes: Buffer) => void (bytes[bytes.length - 40] = (bytes[bytes.length - 40] as number) ^ 4),
  ],
  ['a lost end', (bytes: Buffer) => bytes.subarray(0, bytes.length - 100)],
  ['nothing in it', () => Buffer.alloc(0)],
])('a file with %s is not sent but made again', async (_, damage) => {
  const plan = planOf(await lake.add('damaged', ['SELECT i, hash(i) AS h FROM range(50000) r(i)']));
  const bytes = await sent(await open(), plan);
  const path = join(folder, keptFiles()[0] as string);
  const file = readFileSync(path);
  writeFileSync(path, damage(file) ?? file);
  const cache = await open();
  expect(await sent(cache, plan)).toBe(bytes);
  expect(await sent(cache, plan, never)).toBe(bytes);
});

test('the least recently used results make room, and none may take more than half of it', async () => {
  const plans = [];
  for (const [index, rows] of [20_000, 20_000, 20_000, 200_000].entries())
    plans.push(planOf(await lake.add(`large_${index}`, [`SELECT hash(i + ${index}) AS h FROM range(${rows}) r(i)`])));
  const cache = await open(400_000);
  const [first, second, third, huge] = plans as [ReadPlan, ReadPlan, ReadPlan, ReadPlan];
  await sent(cache, first);
  await sent(cache, second);
  await sent(cache, first, never);
  await sent(cache, third);
  expect(cache.bytes()).toBeLessThanOrEqual(400_000);
  await sent(cache, first, never);
  await expect(sent(cache, second, never)).rejects.toThrow('DuckDB was asked.');
  await sent(cache, huge);
  await expect(sent(cache, huge, never)).rejects.toThrow('DuckDB was asked.');
  await sent(cache, first, never);
});

test('a result that was not read to its end, or failed, is not kept, and leaves nothing', async () => {
  const plan = planOf(await lake.add('left', ['SELECT hash(i) AS h FROM range(500000) r(i)']));
  const cache = await open();
  for await (const { release } of cache.through(plan, 'none', () =>
    reader.read(plan, { signal: new AbortController().signal }),
  )) {
    release();
    break;
  }
  const wrong = { ...plan, rows: 1 };
  await expect(sent(cache, wrong)).rejects.toMatchObject({ code: 'object_corrupt' });
  expect(readdirSync(folder)).toEqual([]);
  expect(cache.bytes()).toBe(0);
});

test('what was made of a file that is gone is swept, while whoever reads it reads on', async () => {
  const table = await lake.add('erased', ['SELECT hash(i) AS h FROM range(400000) r(i)']);
  const plan = planOf(table);
  const cache = await open();
  const bytes = await sent(cache, plan);
  const hash = createHash('sha256');
  const reading = cache.through(plan, 'none', never);
  const first = await reading.next();
  hash.update(first.value?.frame as Buffer);
  for (const path of lake.pathsOf(table)) rmSync(path);
  await cache.sweep();
  expect([readdirSync(folder), cache.bytes()]).toEqual([[], 0]);
  for await (const { frame, release } of reading) {
    hash.update(frame);
    release();
  }
  expect(hash.digest('hex')).toBe(bytes);
});

test('two first reads at a time keep one file, and a folder that cannot be written costs nothing but the keeping', async () => {
  const plan = planOf(await lake.add('twice', ['SELECT hash(i) AS h FROM range(100000) r(i)']));
  const cache = await open();
  const [one, other] = await Promise.all([sent(cache, plan), sent(cache, plan)]);
  expect(one).toBe(other);
  expect(keptFiles()).toHaveLength(1);
  rmSync(folder, { recursive: true });
  const unkept = planOf(await lake.add('unkept', ['SELECT 7 AS a']));
  await sent(cache, unkept);
  expect(warnings).toEqual(['a result is not kept as it was encoded']);
  expect(await sent(cache, plan)).toBe(one); // The file is gone, too.
});

test('a large result is kept when it is read for the second time', async () => {
  const plan = planOf(await lake.add('huge', ['SELECT hash(i) AS h FROM range(3000000) r(i)']));
  const cache = await open();
  const bytes = await sent(cache, plan);
  expect(readdirSync(folder)).toEqual([]);
  await expect(sent(cache, plan, never)).rejects.toThrow('DuckDB was asked.');
  expect(await sent(cache, plan)).toBe(bytes);
  expect(await sent(cache, plan, never)).toBe(bytes);
});

test('all that is being written takes no more than half of it', async () => {
  const plans = [];
  for (const name of ['left_hand', 'right_hand'])
    plans.push(planOf(await lake.add(name, [`SELECT hash(i) AS h FROM range(20000) r(i)`])));
  const cache = await open(400_000);
  const reading = plans.map((plan) =>
    cache.through(plan, 'none', () => reader.read(plan, { signal: new AbortController().signal })),
  );
  let most = 0;
  for (let open = reading; open.length > 0;) {
    const next = await Promise.all(open.map((one) => one.next()));
    for (const { value } of next) value?.release();
    open = open.filter((_, index) => !next[index]?.done);
    const staged = readdirSync(folder).filter((name) => name.startsWith('.'));
    most = Math.max(
      most,
      staged.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0),
    );
  }
  expect(most).toBeLessThan(400_000 / 2 + 65_536 * 2);
  expect(keptFiles()).toHaveLength(1);
});

test('a result that is larger than its share is not written again', async () => {
  const plan = planOf(await lake.add('vast', ['SELECT hash(i) AS h FROM range(100000) r(i)']));
  const cache = await open(400_000);
  await sent(cache, plan);
  const again = cache.through(plan, 'none', () => reader.read(plan, { signal: new AbortController().signal }));
  for await (const { release } of again) {
    expect(readdirSync(folder)).toEqual([]);
    release();
  }
});

test('what cannot be opened any more is made again', async () => {
  const plan = planOf(await lake.add('gone', ['SELECT 1 AS a']));
  const cache = await open();
  const bytes = await sent(cache, plan);
  const path = join(folder, keptFiles()[0] as string);
  rmSync(path);
  const socket = createServer().listen(path); // It has a time of use, and cannot be opened.
  await once(socket, 'listening');
  const again = await sent(cache, plan).finally(() => socket.close());
  expect(again).toBe(bytes);
  expect(warnings).toEqual(['an encoded result could not be read, and is made again']);
});

test('0 bytes keep nothing', async () => {
  const plan = planOf(await lake.add('off', ['SELECT 1 AS a']));
  await sent(await open(0), plan);
  expect(readdirSync(folder)).toEqual([]);
});
