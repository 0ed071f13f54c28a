import { tableFromIPC } from 'apache-arrow';
import type { PinnedTable } from '../../domain/tables.js';
import { createReader, type Reader } from '../../lake/read/reader.js';
import { encapsulated } from '../../lake/read/schema.js';
import { tablePlan } from '../../lake/read/table.js';
import type { Batch } from '../../lake/read/stream.js';
import { createTestLake, type TestLake } from '../flight/lake.js';

let lake: TestLake;
let reader: Reader;
let numbers: PinnedTable;
const numbersRows = 500_000;

beforeAll(async () => {
  lake = await createTestLake();
  reader = await createReader({ lakeRoot: lake.root, threads: 2, memoryLimit: '1GB', workers: 2 });
  numbers = await lake.add('numbers', [`SELECT i, hash(i) AS h, 'text ' || i AS t FROM range(${numbersRows}) r(i)`]);
});

afterAll(async () => {
  await reader?.close();
  lake?.remove();
});

/** Starts reading, in the table's order or in another. */
function read(table: PinnedTable, options: { signal?: AbortSignal; orderBy?: string; from?: Reader } = {}) {
  const plan = tablePlan(table, lake.root);
  const sql = options.orderBy === undefined ? plan.sql : `${plan.sql} ORDER BY ${options.orderBy}`;
  return (options.from ?? reader).read({ ...plan, sql }, { signal: options.signal ?? new AbortController().signal });
}

const prefixBytes = 5;

/** The record batch of a frame, as another reader of Arrow sees it. */
async function decode(table: PinnedTable, { frame }: Batch) {
  expect(frame.readUInt32BE(1)).toBe(frame.length - prefixBytes);
  const varint = (at: number): [value: number, next: number] => {
    let [value, shift] = [0, 0];
    for (; ; at++, shift += 7) {
      value += ((frame[at] as number) & 0x7f) * 2 ** shift;
      if ((frame[at] as number) < 0x80) return [value, at + 1];
    }
  };
  const [headerBytes, headerAt] = varint(prefixBytes + 1);
  const bodyTagAt = headerAt + headerBytes;
  expect([frame[prefixBytes], frame[bodyTagAt], frame[bodyTagAt + 1]]).toEqual([0x12, 0xc2, 0x3e]);
  const [bodyBytes, bodyAt] = varint(bodyTagAt + 2);
  expect(bodyAt + bodyBytes).toBe(frame.length);
  expect((bodyAt - prefixBytes) % 16).toBe(0);
  const header = encapsulated(frame.subarray(headerAt, bodyTagAt));
  const { schema } = await reader.describe(tablePlan(table, lake.root));
  return tableFromIPC(Buffer.concat([encapsulated(schema), header, frame.subarray(bodyAt)]));
}

test('a frame is a FlightData message whose header and body another Arrow library reads', async () => {
  const table = await lake.add('small', [
    `SELECT i, i % 2 = 0 AS even, CASE WHEN i <> 3 THEN 'n' || i END AS t FROM range(5) r(i)`,
  ]);
  const rows = [];
  const stream = read(table);
  await stream.next(); // The schema.
  for await (const batch of stream) {
    rows.push(...(await decode(table, batch)).toArray().map((row) => (row as { toJSON(): object }).toJSON()));
    batch.release();
  }
  expect(rows).toEqual([0n, 1n, 2n, 3n, 4n].map((i) => ({ i, even: i % 2n === 0n, t: i === 3n ? null : `n${i}` })));
});

test('rows can be asked for in another order', async () => {
  const table = await lake.add('unsorted', ['SELECT (i * 7919) % 100003 AS a FROM range(100003) r(i)']);
  const values: bigint[] = [];
  const stream = read(table, { orderBy: 'a' });
  await stream.next(); // The schema.
  for await (const batch of stream) {
    values.push(...((await decode(table, batch)).getChild('a')?.toArray() as BigInt64Array));
    batch.release();
  }
  expect(values).toHaveLength(100_003);
  expect(values.every((value, index) => value === BigInt(index))).toBe(true);
});

test('a consumer that releases nothing gets four batches, while its thread serves others', async () => {
  const own = await createReader({ lakeRoot: lake.root, threads: 2, memoryLimit: null, workers: 1 });
  const stream = read(numbers, { from: own });
  const held = [await stream.next(), await stream.next(), await stream.next(), await stream.next()];
  const fifth = stream.next();
  const other = readAll(numbers, own).then(() => 'the other stream ended first');
  expect(await Promise.race([fifth, other])).toBe('the other stream ended first');
  (held[0]?.value as Batch).release();
  expect((await fifth).done).toBe(false);
  await stream.return();
  expect(own.activeStreams()).toBe(0);
  await own.close();
});

test('aborting interrupts a query that has not answered yet, and frees its connection', async () => {
  const abort = new AbortController();
  const large = await lake.add('large', [`SELECT hash(i) AS a, hash(i + 1) AS b FROM range(4000000) r(i)`]);
  const next = read(large, { orderBy: 'a, b', signal: abort.signal }).next();
  const started = Date.now();
  setTimeout(() => abort.abort(), 20);
  await expect(next).rejects.toMatchObject({ code: 'cancelled' });
  expect(Date.now() - started).toBeLessThan(2_000);
  expect(reader.activeStreams()).toBe(0);
});

async function readAll(table: PinnedTable, from = reader): Promise<number> {
  let batches = -1; // The schema.
  for await (const { release } of read(table, { from })) {
    batches++;
    release();
  }
  return batches;
}

test.each([-1, 1])('files that hold other than the recorded rows (%i) are an error at the end', async (more) => {
  const [file] = numbers.files;
  const rows = numbersRows + more;
  const wrong = { ...numbers, files: [{ key: file?.key ?? '', bytes: 0, rows }] };
  await expect(readAll(wrong)).rejects.toMatchObject({
    code: 'object_corrupt',
    message: `The files hold ${numbersRows} rows where ${rows} are recorded.`,
  });
});

test('a missing file is named by its key, and one outside the lake is never opened', async () => {
  const gone = { ...numbers, files: [{ key: 'features/gone.parquet', rows: 1, bytes: 1 }] };
  await expect(readAll(gone)).rejects.toMatchObject({ code: 'object_missing' });
  await expect(readAll(gone)).rejects.toThrow('"features/gone.parquet"');
  for (const key of ['../other.parquet', 'a*.parquet'])
    await expect(readAll({ ...gone, files: [{ key, rows: 1, bytes: 1 }] })).rejects.toMatchObject({ code: 'internal' });
});

test('an interval beyond 64 bits of nanoseconds is an error', async () => {
  const hours = (count: number) =>
    lake.add(`hours_${count}`, [`SELECT '${count} hours' AS a`], { types: { a: 'INTERVAL' } });
  expect(await readAll(await hours(2_000_000))).toBe(1);
  await expect(readAll(await hours(20_000_000))).rejects.toThrow('An interval in column "a" does not fit');
});

test('closing cancels what is still read', async () => {
  const own = await createReader({ lakeRoot: lake.root, threads: 1, memoryLimit: null, workers: 1 });
  const stream = read(numbers, { from: own });
  await stream.next();
  const rest = (async () => {
    for await (const { release } of stream) release();
  })();
  const closed = own.close();
  await expect(rest).rejects.toMatchObject({ code: 'cancelled' });
  await closed;
  expect(own.activeStreams()).toBe(0);
});
