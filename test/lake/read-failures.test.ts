import { openSync, closeSync, readSync, writeSync, statSync } from 'node:fs';
import type { ReadPlan } from '../../lake/read/plan.js';
import { createReader, type Reader } from '../../lake/read/reader.js';
import { tablePlan } from '../../lake/read/table.js';
import { createTestLake, type TestLake } from '../flight/lake.js';

let lake: TestLake;
let reader: Reader;

beforeAll(async () => {
  lake = await createTestLake();
  reader = await createReader({ lakeRoot: lake.root, threads: 2, memoryLimit: '300MB', workers: 1 });
});
afterAll(async () => {
  await reader?.close();
  lake?.remove();
});
afterEach(() => expect(reader.activeStreams()).toBe(0));

const planOf = (sql: string, more: Partial<ReadPlan> = {}): ReadPlan => ({
  setup: [],
  sql,
  files: [],
  rows: null,
  ...more,
});
const never = new AbortController().signal;

/** How many batches came, the schema included. */
async function readAll(plan: ReadPlan, signal = never): Promise<number> {
  let batches = 0;
  for await (const { release } of reader.read(plan, { signal })) {
    batches++;
    release();
  }
  return batches;
}

/** Takes minutes, and has no row before its end. */
const endless = 'SELECT sum(hash(i)) AS h FROM range(1000000000000) t(i)';
const endlessSetup = [`CREATE TEMP TABLE never AS ${endless}`];
/** Has rows at once, and none for minutes after them. */
const dry = 'SELECT i FROM range(1000000000000) t(i) WHERE i < 2000000 OR i = 900000000000';

const failing: [string, string, object][] = [
  [
    'error() at row 5,000,000',
    `SELECT CASE WHEN i = 5000000 THEN error('boom') ELSE i::VARCHAR END AS a FROM range(10000000) t(i)`,
    // Sometimes DuckDB only says that it was interrupted by a failure elsewhere.
    { code: 'query_failed', message: expect.stringMatching(/boom|another part of it failed/) as string },
  ],
  [
    'a cast that fails late',
    `SELECT CAST(CASE WHEN i = 900000 THEN 'x' ELSE i::VARCHAR END AS INTEGER) AS a FROM range(1000000) t(i)`,
    { code: 'query_failed', message: expect.stringContaining("'x'") as string },
  ],
  [
    'a lack of memory',
    `SELECT i, list(j) AS l FROM range(1000) a(i), range(100000) b(j) GROUP BY i`,
    { code: 'query_failed', message: expect.stringContaining('Out of Memory') as string },
  ],
  [
    'an error in setting up',
    'SELECT 1',
    { code: 'query_failed', message: expect.stringContaining('nowhere') as string },
  ],
];
test.each(failing)('%s reaches the consumer', async (what, sql, error) => {
  const setup = what.includes('setting up') ? ['CREATE TEMP VIEW v AS SELECT * FROM nowhere'] : [];
  await expect(readAll(planOf(sql, { setup }))).rejects.toMatchObject(error);
});

test('a row group with bytes of something else is an error, after the row groups before it were sent', async () => {
  const table = await lake.add('torn', [`SELECT i, hash(i) AS h, 'text ' || hash(i) AS t FROM range(600000) r(i)`]);
  const path = lake.pathsOf(table)[0] as string;
  const file = openSync(path, 'r+');
  const at = Math.floor(statSync(path).size * 0.7);
  const bytes = Buffer.alloc(50_000);
  readSync(file, bytes, 0, bytes.length, at);
  writeSync(file, bytes.map((byte) => byte ^ 0xa5), 0, bytes.length, at); // prettier-ignore
  closeSync(file);
  await expect(readAll(tablePlan(table, lake.root))).rejects.toMatchObject({ code: 'object_corrupt' });
});

test('temporary views of the setup are there for the statement, and for nobody else', async () => {
  const setup = ['CREATE TEMP VIEW numbers AS SELECT i FROM range(10) t(i)'];
  expect(await readAll(planOf('SELECT sum(i) AS s FROM numbers', { setup }))).toBe(2);
  await expect(readAll(planOf('SELECT * FROM numbers'))).rejects.toThrow('numbers');
});

test.each([
  ['has no row yet', planOf(endless)],
  ['is being set up', planOf('FROM never', { setup: endlessSetup })],
])('aborting ends a statement that %s', async (_, plan) => {
  const abort = new AbortController();
  const rows = readAll(plan, abort.signal);
  await other();
  abort.abort();
  await expect(rows).rejects.toMatchObject({ code: 'cancelled' });
});

test('aborting ends a statement that has sent rows and finds no more', async () => {
  const abort = new AbortController();
  const stream = reader.read(planOf(dry), { signal: abort.signal });
  await stream.next(); // The schema.
  const next = (async () => {
    for await (const { release } of stream) release();
  })();
  await other();
  abort.abort();
  await expect(next).rejects.toMatchObject({ code: 'cancelled' });
});

/** A small statement, and a question. */
async function other(): Promise<void> {
  expect(await readAll(planOf('SELECT 1 AS a'))).toBe(2);
  expect((await reader.describe(planOf('SELECT 1 AS a'))).columns).toEqual([{ name: 'a', type: 'INTEGER' }]);
  expect(await reader.text('SELECT $1', ['text'])).toBe('text');
}

test('small statements and questions are answered beside several that work for minutes', async () => {
  const abort = new AbortController();
  const long = [planOf(endless), planOf(dry), planOf(endless), planOf('FROM never', { setup: endlessSetup })];
  const ends = Promise.allSettled(long.map((plan) => readAll(plan, abort.signal)));
  for (let round = 0; round < 5; round++) await other();
  abort.abort();
  expect((await ends).map(({ status }) => status)).toEqual(long.map(() => 'rejected'));
});

test.each([
  ['has no row yet', planOf(endless, { timeMaxMs: 300 })],
  ['finds no more rows', planOf(dry, { timeMaxMs: 300 })],
  ['is being set up', planOf('FROM never', { setup: endlessSetup, timeMaxMs: 300 })],
])('a statement that %s when its time is over ends with statement_timeout', async (_, plan) => {
  await expect(readAll(plan)).rejects.toMatchObject({ code: 'statement_timeout' });
});

test('a question that takes longer than the statement may ends, too', async () => {
  const plan = planOf('FROM never', { setup: endlessSetup, timeMaxMs: 100 });
  await expect(reader.describe(plan)).rejects.toMatchObject({ code: 'statement_timeout' });
});

test('the time in which the consumer takes nothing does not count', async () => {
  const plan = planOf(`SELECT i, 'text ' || i AS t FROM range(2000000) r(i)`, { timeMaxMs: 3_000 });
  const clock = performance.now();
  let batches = 0;
  for await (const { release } of reader.read(plan, { signal: never })) {
    // Other work, while four batches wait.
    if (batches === 2) while (performance.now() - clock < plan.timeMaxMs! + 200) await reader.text('SELECT $1', ['']);
    batches++;
    release();
  }
  expect(batches).toBeGreaterThan(8);
});
