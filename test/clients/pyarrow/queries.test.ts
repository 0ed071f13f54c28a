import fc from 'fast-check';
import { startQueries, type Queries } from './queries.js';
import { randomType, type RandomType } from './random-values.js';

let queries: Queries;
beforeAll(async () => {
  queries = await startQueries();
}, 300_000);
afterAll(() => queries?.stop());

/** Their greatest values have 39 digits. */
const beyondDecimals = ['hugeint', 'uhugeint'];

test('all of DuckDB’s types, with their extreme values, arrive as DuckDB itself exports them', async () => {
  const sql = `SELECT * EXCLUDE (${beyondDecimals.join(', ')}) FROM test_all_types()`;
  // DuckDB has a time of 24:00:00, which Arrow's validation does not know.
  expect(await queries.read(sql, { validateFully: false })).toMatchObject({ rows: 3, misaligned: 0 });
  expect(await queries.differences(sql)).toEqual([]);
});

test('every type alone: all null, and no rows', async () => {
  const columns = `COLUMNS(c -> c NOT IN (${beyondDecimals.map((name) => `'${name}'`).join(', ')}))`;
  for (const sql of [
    `SELECT ${columns} FROM test_all_types() WHERE bool IS NULL`,
    `SELECT ${columns} FROM test_all_types() WHERE false`,
  ]) {
    await queries.read(sql);
    expect(await queries.differences(sql)).toEqual([]);
  }
});

const isLong = process.env['EIDER_LONG'] !== undefined;
const rows = 5_003;
/** So large that messages end within DuckDB's chunks, at odd rows. */
const ballast = `repeat(chr((97 + i % 26)::INTEGER), (hash(i) % 2600)::INTEGER) AS ballast`;
const queryOf = (types: readonly RandomType[]): string => {
  const columns = types.map((type, index) => `${type.value(`(i + ${index * 7_000_003})`)} AS "column ${index}"`);
  return `SELECT ${[...columns, ballast].join(', ')} FROM range(${rows}) t(i)`;
};

test('random nested values with nulls and empty lists, cut at odd rows, arrive as DuckDB itself exports them', async () => {
  const several = fc.array(randomType, { minLength: 5, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(several, async (types) => {
      const sql = queryOf(types);
      const answer = await queries.read(sql);
      expect(answer).toMatchObject({ rows, misaligned: 0 });
      expect(answer.batchRows.length).toBeGreaterThan(2);
      expect(answer.batchRows.some((count) => count % 2_048 !== 0)).toBe(true);
      expect(answer.bytesMax).toBeLessThan(4 * 2 ** 20);
      expect(await queries.differences(sql)).toEqual([]);
    }),
    { seed: 20_261_123, numRuns: isLong ? 60 : 4, endOnFailure: true },
  );
}, 900_000);

test.each([
  ['HUGEINT', "'-100000000000000000000000000000000000000'::HUGEINT"],
  ['UHUGEINT', "'100000000000000000000000000000000000000'::UHUGEINT"],
  ['HUGEINT in a list', "[NULL, '-100000000000000000000000000000000000000'::HUGEINT]"],
  ['UHUGEINT in a struct', "{'a': '340282366920938463463374607431768211455'::UHUGEINT}"],
])('a %s of more than 38 digits is an error, and never another number', async (_, value) => {
  const refusal = await queries.pyarrow.refusal('read', { ticket: ticketOf(`SELECT ${value} AS big`) });
  expect(refusal.message).toContain('A number in column "big" has more than 38 digits');
});

test('the greatest numbers of 38 digits arrive', async () => {
  const digits = '9'.repeat(38);
  const sql = `SELECT '${digits}'::HUGEINT a, '-${digits}'::HUGEINT b, '${digits}'::UHUGEINT c, ['-${digits}'::HUGEINT] d`;
  await queries.read(sql);
  expect(await queries.differences(sql)).toEqual([]);
});

test.each([
  ['alone', 'to_microseconds(9223372036854775807)'],
  ['in a list', '[to_microseconds(9223372036854775807)]'],
  ['in a map of structs', "MAP {'k': {'a': [to_microseconds(9223372036854776)]}}"],
  ['in an array', '[NULL, to_microseconds(-9223372036854776)]::INTERVAL[2]'],
  ['in a union', 'union_value(a := to_microseconds(-9223372036854776))'],
])('an interval %s beyond 64 bits of nanoseconds is an error', async (_, value) => {
  const refusal = await queries.pyarrow.refusal('read', { ticket: ticketOf(`SELECT ${value} AS long`) });
  expect(refusal.message).toContain('An interval in column "long" does not fit');
});

test('a type that has no place in Arrow is named with its column', async () => {
  const refusal = await queries.pyarrow.refusal('read', { ticket: ticketOf("SELECT 1 AS a, {'b': 2::VARIANT} AS c") });
  expect(refusal.message).toContain('type_unsupported: Column "c" has the type VARIANT');
});

test('the values of enums come once a stream, and codes in every batch', async () => {
  const colours = "ENUM('red', 'green', 'blue')";
  const pick = "(['red', 'green', 'blue'])[1 + (i % 3)]";
  const sql = `SELECT ${pick}::${colours} AS a, [NULL, ${pick}::${colours}] AS b, {'c': ${pick}::ENUM('blue', 'green', 'red')} AS d FROM range(200000) t(i)`;
  const { batchRows, schema } = await queries.read(sql);
  expect(schema[0]).toEqual(['a', 'dictionary<values=string, indices=uint8, ordered=0>']);
  expect(batchRows.length).toBeGreaterThan(3);
  expect(await queries.differences(sql)).toEqual([]);
});

test.each(['lz4', 'zstd'] as const)('bodies compressed by %s are read by pyarrow, and smaller', async (compression) => {
  const sql = `SELECT i, i % 10 AS digit, CASE WHEN i % 3 > 0 THEN 'text ' || (i % 1000) END AS t, [i, NULL] AS l,
    md5(i::VARCHAR) AS random, ['a', 'b'][1 + i % 2]::ENUM('a', 'b') AS e, i % 5 = 0 AS f, NULL::DOUBLE AS n FROM range(150000) t(i)`;
  const plain = await queries.sent(sql);
  const answer = await queries.read(sql, { compression });
  expect(answer.rows).toBe(150_000);
  expect(await queries.differences(sql)).toEqual([]);
  expect(await queries.sent(sql, { compression })).toBeLessThan(plain * 0.7);
});

const ticketOf = (sql: string): string => Buffer.from(sql).toString('base64');
