import { until } from '../../../programs/waiting.js';
import type { Asked } from '../asked.js';
import { startServed, type Served } from './served.js';

let served: Served;
let adbc: Asked;
beforeAll(async () => {
  served = await startServed();
  ({ adbc } = served);
  await served.lake.add('numbers', ["SELECT range AS a, range / 2 AS b, 'text ' || range AS c FROM range(100000)"]);
}, 300_000);
afterAll(() => served?.stop());

interface Executed {
  readonly columns: readonly [name: string, type: string][];
  /** As Python writes them. */
  readonly rows: readonly string[];
  readonly rowcount: number;
}
const execute = (sql: string, parameters?: string) =>
  adbc.ask<Executed>('execute', { sql, ...(parameters === undefined ? {} : { parameters }) });

test('a cursor executes, describes and fetches', async () => {
  expect(await execute('SELECT a, b, c FROM numbers WHERE a < 2 ORDER BY a')).toEqual({
    columns: [['a', 'int64'], ['b', 'double'], ['c', 'string']],
    rows: ["[0, 0.0, 'text 0']", "[1, 0.5, 'text 1']"],
    rowcount: -1,
  }); // prettier-ignore
  expect(await execute('SELECT a FROM numbers WHERE false')).toMatchObject({ rows: [], columns: [['a', 'int64']] });
});

test('a whole table says beforehand how many rows it has, and arrives as Arrow', async () => {
  const schema = [['a', 'int64', true], ['b', 'double', true], ['c', 'string', true]]; // prettier-ignore
  const whole = { schema, rows: 100_000, rowcount: 100_000 };
  expect(await adbc.ask('table', { sql: 'SELECT * FROM numbers' })).toEqual(whole);
  expect(await adbc.ask('table', { sql: 'select * from eider.features.numbers;' })).toEqual(whole);
  expect(await adbc.ask('table', { sql: 'SELECT * FROM numbers LIMIT 3' })).toEqual({ schema, rows: 3, rowcount: -1 });
});

test.each([
  ['None', 'None', null],
  ['a bool', 'True', 'bool'],
  ['an int', '7', 'int64'],
  ['a float', '0.1', 'double'],
  ['text', '"it\'s “text”"', 'string'],
  ['bytes', 'bytes([0, 92, 255])', 'binary'],
  ['a date', 'datetime.date(2001, 2, 3)', 'date32[day]'],
  ['a time', 'datetime.time(1, 2, 3, 4)', 'time64[us]'],
  ['a timestamp', 'datetime.datetime(2001, 2, 3, 4, 5, 6, 7)', 'timestamp[us]'],
  ['an instant', 'datetime.datetime(2001, 2, 3, 4, 5, 6, 7, zoneinfo.ZoneInfo("UTC"))', 'timestamp[us, tz=UTC]'],
  ['an instant before Christ’s thousandth year', 'datetime.datetime(1, 1, 1)', 'timestamp[us]'],
  ['a decimal', 'decimal.Decimal("-12345.678")', 'decimal128(8, 3)'],
])('%s is bound and comes back as it was', async (_, value, type) => {
  const { columns, rows } = await execute('SELECT ? AS v, ? IS NULL AS n', `[${value}, ${value}]`);
  const [same] = await adbc.ask<string[]>('python', { value: `[${value}, ${value} is None]` });
  expect(rows).toEqual([same]);
  if (type !== null) expect(columns[0]).toEqual(['v', type]);
});

test.each([
  ['int8', '[pa.array([-8], pa.int8())]', '-8', 'int8'],
  ['uint64', '[pa.array([2**64 - 1], pa.uint64())]', '18446744073709551615', 'uint64'],
  ['float32', '[pa.array([0.5], pa.float32())]', '0.5', 'float'],
  ['large text', '[pa.array(["x"], pa.large_string())]', "'x'", 'string'],
  ['a dictionary of text', '[pa.array(["x"]).dictionary_encode()]', "'x'", 'string'],
  [
    'nanoseconds',
    '[pa.array([2000], pa.timestamp("ns"))]',
    'datetime.datetime(1970, 1, 1, 0, 0, 0, 2)',
    'timestamp[ns]',
  ],
  ['seconds', '[pa.array([1], pa.timestamp("s"))]', 'datetime.datetime(1970, 1, 1, 0, 0, 1)', 'timestamp[us]'],
  ['date64', '[pa.array([86400000], pa.date64())]', 'datetime.date(1970, 1, 2)', 'date32[day]'],
  ['time32', '[pa.array([1500], pa.time32("ms"))]', 'datetime.time(0, 0, 1, 500000)', 'time64[us]'],
  ['decimal256', '[pa.array([decimal.Decimal("1.25")], pa.decimal256(50, 2))]', "Decimal('1.25')", 'decimal128(38, 2)'],
  ['a duration', '[pa.array([1], pa.duration("s"))]', 'MonthDayNano(months=0, days=0, nanoseconds=1000000000)', 'month_day_nano_interval'], // prettier-ignore
  ['an interval', '[pa.array([(1, 2, 3000)], pa.month_day_nano_interval())]', 'MonthDayNano(months=1, days=2, nanoseconds=3000)', 'month_day_nano_interval'], // prettier-ignore
])('an Arrow batch with %s is bound', async (_, arrays, value, type) => {
  const bound = await execute('SELECT ? AS v', `pa.record_batch(${arrays}, ["x"])`);
  expect({ type: bound.columns[0]?.[1], rows: bound.rows }).toEqual({
    type,
    rows: [expect.stringContaining(value) as string],
  });
});

test.each([
  ['two rows', 'SELECT ? AS v', 'pa.record_batch([pa.array([1, 2])], ["x"])', 'one row of parameters, not 2'],
  ['a list', 'SELECT ? AS v', 'pa.record_batch([pa.array([[1]])], ["x"])', 'Column "x" of the parameters is List'],
  ['too few values', 'SELECT ? AS v, ? AS w', '[1]', 'The statement has 2 parameters, and 1 are bound.'],
  ['values for none', 'SELECT 1 AS v', '[1]', 'The statement has 0 parameters, and 1 are bound.'],
])('%s are refused', async (_, sql, parameters, sentence) => {
  const refusal = await adbc.refusal('execute', { sql, parameters });
  expect(refusal.message).toMatch(/^AdbcStatusCode.INVALID_ARGUMENT|^5/);
  expect(refusal.message).toContain(sentence);
});

test('a statement without the values that it needs says so', async () => {
  expect((await adbc.refusal('execute', { sql: 'SELECT a FROM numbers WHERE a = ?' })).message).toContain('has 1 parameter, and 0 are bound'); // prettier-ignore
});

test('a prepared statement is executed again with other values, and tells the types that it takes', async () => {
  const sql = 'SELECT c FROM numbers WHERE a = ? OR b = ?';
  const parameters = await adbc.ask('prepare', { id: 1, sql });
  expect(parameters).toEqual([['1', 'int64', true], ['2', 'double', true]]); // prettier-ignore
  expect(await adbc.ask('again', { id: 1, sql, parameters: '[3, 0.5]' })).toEqual(["['text 1']", "['text 3']"]);
  expect(await adbc.ask('again', { id: 1, sql, parameters: '[4, None]' })).toEqual(["['text 4']"]);
  await adbc.ask('close', { id: 1 });
});

test('instants are asked for in milliseconds, as the JDBC driver binds them, and what no type can be told of as null', async () => {
  const sql = "SELECT 1 AS x WHERE TIMESTAMP '2001-01-01' < ? AND TIME '01:00' < ?";
  expect(await adbc.ask('prepare', { id: 2, sql })).toEqual([['1', 'timestamp[ms]', true], ['2', 'time32[ms]', true]]); // prettier-ignore
  expect(await adbc.ask('prepare', { id: 3, sql: 'SELECT ? + 1 AS x' })).toEqual([['1', 'null', true]]);
});

test.each([
  ['an unknown column', 'SELECT nope FROM numbers', 'INVALID_ARGUMENT', /Referenced column "nope" not found.*near "nope FROM/s],
  ['an unknown function', 'SELECT nope(a) FROM numbers', 'INVALID_ARGUMENT', /nope/],
  ['a text that is no number', "SELECT CAST(c AS INTEGER) FROM numbers", 'INVALID_ARGUMENT', /Could not convert string 'text \d+' to INT32/],
  ['no SQL', 'SELECT 1 +', 'INVALID_ARGUMENT', /at line 1, column \d+/],
  ['an unknown table', 'SELECT * FROM nothing', 'NOT_FOUND', /There is no table nothing in features or datasets/],
  ['a statement that changes something', 'CREATE TABLE x (a INT)', 'UNAUTHORIZED', /CREATE is not served/],
  ['a file', "SELECT * FROM read_csv('/etc/passwd')", 'UNAUTHORIZED', /read_csv/],
  ['two statements', 'SELECT 1; SELECT 2', 'UNAUTHORIZED', /one is served at a time/],
])('%s is refused with a sentence and a code of ADBC’s', async (_, sql, code, sentence) => {
  const { message } = await adbc.refusal('execute', { sql });
  expect(message).toContain(code);
  expect(message).toMatch(sentence);
}); // prettier-ignore

test.each([
  ['executemany', 'many', { sql: 'SELECT a FROM numbers WHERE a = ?', parameters: '[[1], [2]]' }, /nothing can be changed/],
  ['an update', 'update', { sql: 'DELETE FROM numbers' }, /nothing can be changed/],
  ['ingestion', 'ingest', { table: 'x' }, /cannot be ingested/],
  ['a transaction', 'transaction', {}, /does not report transaction support/],
])('%s is refused', async (_, what, values, sentence) => {
  expect((await adbc.refusal(what, values)).message).toMatch(sentence);
}); // prettier-ignore

test('the schema of a statement is known without running it', async () => {
  const sql = 'SELECT a, sum(b) AS s FROM numbers GROUP BY a';
  expect(await adbc.ask('schema', { sql })).toEqual([['a', 'int64', true], ['s', 'double', true]]); // prettier-ignore
});

test('partitions are read one by one', async () => {
  const partitions = await adbc.ask<{ partitions: number }>('partitions', { sql: 'SELECT a FROM numbers' });
  expect(partitions).toEqual({ partitions: 1, schema: [['a', 'int64', true]], rows: 100_000 });
});

test('a statement that is polled has ended when it is first asked for', async () => {
  expect(await adbc.ask('poll', { sql: 'SELECT a FROM numbers' })).toEqual([1, 0]);
});

test('cancelling a long statement frees what it used', async () => {
  const sql = 'SELECT sum(hash(x.range) % 7) FROM range(100000000) x, range(1000000) y';
  expect((await adbc.refusal('cancel', { sql, after: 0.3 })).message).toContain('CANCELLED');
  expect(await until(() => served.flight.activeStreams() === 0, 10_000, { everyMs: 10 })).toBe(true);
});

test('a statement reads the snapshots that GetFlightInfo pinned', async () => {
  await served.lake.add('moving', ['SELECT 1 AS a'], { snapshot: 1 });
  const first = await adbc.ask<{ rows: number }>('partitions', { sql: 'SELECT * FROM moving' });
  await served.lake.add('moving', ['SELECT 2 AS a FROM range(2)'], { snapshot: 2 });
  const second = await adbc.ask<{ rows: number }>('partitions', { sql: 'SELECT * FROM moving' });
  expect([first.rows, second.rows]).toEqual([1, 2]);
});
