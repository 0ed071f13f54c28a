import type { Column } from '../../domain/features.js';
import { hashRows } from '../../lake/rows.js';
import { withLake, type TestLake } from '../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const columns: Column[] = [
  { name: 'a', type: 'VARCHAR' },
  { name: 'b', type: 'VARCHAR' },
];
const hash = (relation: string, of: readonly Column[] = columns) =>
  lake.in((session) => hashRows(session, `(${relation})`, of));
const values = (...rows: string[]) => `SELECT * FROM (VALUES ${rows.map((row) => `(${row})`).join(', ')}) v(a, b)`;
const one = (value: string, type: string) => hash(`SELECT ${value}::${type} AS a`, [{ name: 'a', type }]);

test('the order of rows and how they lie in files do not matter', async () => {
  const rows = (order: string) =>
    `SELECT i::VARCHAR AS a, (i % 7)::VARCHAR AS b FROM range(5000) t(i) ORDER BY ${order}`;
  const whole = await lake.write('whole.parquet', rows('hash(i)'));
  const parts = [
    await lake.write('one.parquet', `SELECT * FROM (${rows('i DESC')}) WHERE b < '3'`),
    await lake.write('two.parquet', `SELECT * FROM (${rows('i')}) WHERE b >= '3'`),
  ];
  const expected = await hash(rows('i'));
  expect(expected.rows).toBe(5000);
  expect(await hash(`SELECT * FROM read_parquet('${whole}')`)).toEqual(expected);
  expect(await hash(`SELECT * FROM read_parquet(['${parts.join("', '")}'])`)).toEqual(expected);
});

test.each([
  ['a row that is there twice', values("'x', 'y'", "'x', 'y'"), values("'x', 'y'")],
  ['a row that is there twice instead of another', values("'x', 'y'", "'x', 'y'", "'p', 'q'"), values("'x', 'y'", "'p', 'q'", "'p', 'q'")], // prettier-ignore
  ['one value', values("'x', 'y'"), values("'x', 'z'")],
  ['NULL and the empty text', values("'x', NULL"), values("'x', ''")],
  ['NULL and the letter that stands for it', values("'x', NULL"), values("'x', 'n'")],
  ['which column holds NULL', values("NULL, 'x'"), values("'x', NULL")],
  ['where one text ends and the next begins', values("'a|b', 'c'"), values("'a', 'b|c'")],
  ['a text that looks like a border', values("'a', 'b'"), values("'a|v1:b', NULL")],
  ['texts that look alike but are not composed alike', values("'é', 'y'"), values("'e\u0301', 'y'")],
])('%s makes a difference', async (_, left, right) => {
  expect((await hash(left)).rowHash).not.toBe((await hash(right)).rowHash);
});

test('no rows have a hash of their own, which is that of the schema', async () => {
  const none = await hash(`${values("'x', 'y'")} WHERE false`);
  expect(none.rows).toBe(0);
  expect(none.rowHash).not.toBe((await hash(values('NULL, NULL'))).rowHash);
  expect(none.rowHash).not.toBe((await hash(`${values("'x', 'y'")} WHERE false`, columns.slice(0, 1))).rowHash);
});

test('names, types and order of columns belong to it', async () => {
  const row = "SELECT 1 AS a, '1' AS b, 1 AS c";
  const of = async (...schema: [string, string][]) =>
    (await hash(row, schema.map(([name, type]) => ({ name, type })))).rowHash; // prettier-ignore
  const hashes = [
    await of(['a', 'INTEGER']),
    await of(['a', 'BIGINT']),
    await of(['c', 'INTEGER']),
    await of(['a', 'INTEGER'], ['b', 'VARCHAR']),
    await of(['b', 'VARCHAR'], ['a', 'INTEGER']),
  ];
  expect(new Set(hashes).size).toBe(hashes.length);
});

test.each([
  ['DOUBLE', '-0.0', '0.0'],
  ['DOUBLE', "'NaN'", "-'NaN'::DOUBLE"],
  ['FLOAT', '-0.0', '0.0'],
  ['TIMESTAMP WITH TIME ZONE', "'2001-03-05 00:00:00+05:30'", "'2001-03-04 18:30:00+00'"],
])('as %s, %s is %s', async (type, left, right) => {
  expect((await one(left, type)).rowHash).toBe((await one(right, type)).rowHash);
});

test.each([
  ['DOUBLE', '0.1', '0.1 + 1e-17::DOUBLE + 1.4e-17::DOUBLE'],
  ['DOUBLE', "'NaN'", 'NULL'],
  ['DOUBLE', "'NaN'", "'Infinity'"],
  ['FLOAT', '0.1', '0.10000001'],
  ['TIMESTAMP', "'2001-03-05 00:00:00.000001'", "'2001-03-05'"],
  ['TIMESTAMP', "'infinity'", 'NULL'],
  ['TIMESTAMP', "'infinity'", "'-infinity'"],
  ['TIMESTAMP_NS', "'2001-03-05 00:00:00.000000001'", "'2001-03-05'"],
  ['DATE', "'2001-03-05'", "'2001-03-06'"],
  ['BOOLEAN', 'true', 'NULL'],
  ['DECIMAL(18,3)', '1.001', '1.01'],
  ['HUGEINT', '170141183460469231731687303715884105727', '0'],
  ['BLOB', "'\\x00'::BLOB", "''::BLOB"],
  ['VARCHAR[]', "['a, b']", "['a', 'b']"],
])('as %s, %s is not %s', async (type, left, right) => {
  expect((await one(left, type)).rowHash).not.toBe((await one(right, type)).rowHash);
});

test('lists cannot be shifted between columns', async () => {
  const schema = ['a', 'b'].map((name) => ({ name, type: 'VARCHAR[]' }));
  const of = (a: string, b: string) => hash(`SELECT ${a} AS a, ${b} AS b`, schema);
  expect((await of("['x]|v[y']", "['z']")).rowHash).not.toBe((await of("['x']", "['y]|v[z']")).rowHash);
});

test('the hash is the same on every machine and version: it is written down here', async () => {
  const { rowHash } = await hash(values("'x', NULL", "'é|', 'y'"));
  expect(rowHash).toMatchInlineSnapshot(`"98e1c621887f8a28e333bafc209640045d40ba621b7d0162674dbde983c3307a"`);
});
