import type { PinnedTable } from '../../../domain/tables.js';
import { millionRows, startServed, type Served } from './served.js';

let served: Served;
beforeAll(async () => {
  served = await startServed();
}, 300_000);
afterAll(() => served?.stop());

const add: Served['lake']['add'] = (...table) => served.lake.add(...table);
const read = (table: PinnedTable, options?: object) => served.read(table, options);
const differences = (table: PinnedTable) => served.differences(table);

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
  const table = await add('types', [
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
    enumerated: ["ENUM('one', 'two')", "CASE i % 2 WHEN 0 THEN 'one' ELSE 'two' END", 'dictionary<values=string, indices=uint8, ordered=0>'], // prettier-ignore
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
  const table = await add('declared', [`SELECT ${nullable(expressions, 0)} FROM range(3001) t(i)`], { types });
  const { schema } = await read(table);
  expect(schema).toEqual(entries.map(([name, [, , arrow]]) => [name, arrow]));
  const value = async (column: string, row: number) => (await served.pyarrow.ask<string[]>('values', { column }))[row];
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
  const table = await add('extremes', [
    `SELECT timestamp_tz, COLUMNS(c -> NOT regexp_matches(c, '${without}')) FROM test_all_types()`,
  ]);
  // DuckDB has a time of 24:00:00, which Arrow's validation does not know.
  expect(await read(table, { validateFully: false })).toMatchObject({ rows: 3 });
  expect(await differences(table)).toEqual([]);
});

test('a million rows arrive in order, in aligned batches of at most 65,536 rows and 4 MiB', async () => {
  const answer = await read(served.million);
  expect(answer).toMatchObject({ rows: millionRows, misaligned: 0 });
  expect(Math.max(...answer.batchRows)).toBeLessThanOrEqual(65_536);
  expect(answer.bytesMax).toBeLessThan(4 * 2 ** 20);
  expect(await differences(served.million)).toEqual([]);
});

test('wide rows are cut so that no message exceeds 4 MiB, and long texts arrive whole', async () => {
  const table = await add('wide', [
    `SELECT repeat(i::VARCHAR, 2000 + (i % 5)::INTEGER * 3000) AS t, i FROM range(3000) r(i)`,
  ]);
  const answer = await read(table);
  expect(answer).toMatchObject({ rows: 3000, misaligned: 0 });
  expect(answer.batchRows.length).toBeGreaterThan(8);
  expect(answer.bytesMax).toBeLessThan(4 * 2 ** 20);
  expect(await differences(table)).toEqual([]);
});
