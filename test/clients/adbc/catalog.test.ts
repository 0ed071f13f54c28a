import type { Asked } from '../asked.js';
import { startServed, type Served } from './served.js';

let served: Served;
let adbc: Asked;
beforeAll(async () => {
  served = await startServed();
  ({ adbc } = served);
  await served.lake.add('origin_hour', ["SELECT 'ORD' AS origin, 1::BIGINT AS departures, 0.5::DOUBLE AS late_rate"]);
  await served.lake.add('originxhour', ['SELECT 1 AS a']);
  await served.lake.add('lateness_r1', ['SELECT 1 AS label'], { schema: 'datasets' });
  await served.lake.add('typed', [typedSql], { types: { huge: 'HUGEINT', id: 'UUID' } });
}, 300_000);
afterAll(() => served?.stop());

const typedSql = `SELECT 1::TINYINT AS small, 1.5::DECIMAL(10,2) AS price, DATE '2001-01-01' AS day, TIMESTAMP '2001-01-01 00:00:00' AS at,
  true AS late, 1::DOUBLE AS huge, 'x' AS id`;

interface Catalog {
  readonly catalog_name: string;
  readonly catalog_db_schemas:
    | { db_schema_name: string; db_schema_tables: { table_name: string; table_columns: unknown[] | null }[] | null }[]
    | null;
}
const objects = (filters: object) => adbc.ask<Catalog[]>('objects', { filters });
const tablesOf = (catalogs: readonly Catalog[]) =>
  catalogs.flatMap(({ catalog_db_schemas: schemas }) =>
    (schemas ?? []).flatMap(({ db_schema_name: schema, db_schema_tables: tables }) =>
      (tables ?? []).map((table) => `${schema}.${table.table_name}`),
    ),
  );
const everything = ['datasets.lateness_r1', 'features.origin_hour', 'features.originxhour', 'features.typed'];

test('a project is a catalog, whose schemas are those of tables', async () => {
  expect(await objects({ depth: 'catalogs' })).toEqual([{ catalog_name: 'eider', catalog_db_schemas: null }]);
  const [catalog] = await objects({ depth: 'db_schemas' });
  expect(catalog?.catalog_db_schemas?.map(({ db_schema_name: name }) => name)).toEqual(
    expect.arrayContaining(['datasets', 'features', 'inference']),
  );
});

test('tables are found by depth, and columns with them', async () => {
  expect(tablesOf(await objects({ depth: 'tables' }))).toEqual(everything);
  const [catalog] = await objects({ depth: 'all', table_name_filter: 'typed' });
  const [table] = catalog?.catalog_db_schemas?.find(({ db_schema_name: name }) => name === 'features')?.db_schema_tables ?? []; // prettier-ignore
  expect(table?.table_columns).toMatchObject([
    { column_name: 'small', ordinal_position: 1, xdbc_type_name: 'TINYINT', xdbc_is_autoincrement: false },
    { column_name: 'price', xdbc_type_name: 'DECIMAL', xdbc_scope_catalog: 'eider', xdbc_scope_table: 'typed' },
    ...['day', 'at', 'late', 'huge', 'id'].map((name) => ({ column_name: name })),
  ]);
});

test.each([
  ['a schema', { db_schema_filter: 'datasets' }, ['datasets.lateness_r1']],
  ['a pattern of schemas', { db_schema_filter: '%ea%' }, everything.slice(1)],
  ['a table; its _ is any character', { table_name_filter: 'origin_hour' }, everything.slice(1, 3)],
  ['a table; its \\_ is itself', { table_name_filter: 'origin\\_hour' }, everything.slice(1, 2)],
  ['a pattern of tables, in either case', { table_name_filter: 'ORIGIN%' }, everything.slice(1, 3)],
  ['no table', { table_name_filter: 'nothing' }, []],
  ['a table type', { table_types_filter: ['TABLE'] }, everything],
  ['another table type', { table_types_filter: ['VIEW'] }, []],
  ['another catalog', { catalog_filter: 'other' }, []],
])('the filter of %s is kept to', async (_, filters, found) => {
  expect(tablesOf(await objects({ depth: 'tables', ...filters }))).toEqual(found);
});

test('a table says what its columns are, and that nobody changes them', async () => {
  const columns = await adbc.ask<[string, string, Record<string, string>][]>('table_schema', { table: 'typed' });
  const of = (type: string, more: object = {}) => ({
    ...{ CATALOG_NAME: 'eider', DB_SCHEMA_NAME: 'features', TABLE_NAME: 'typed', TYPE_NAME: type },
    ...{ IS_AUTO_INCREMENT: '0', IS_CASE_SENSITIVE: type === 'VARCHAR' ? '1' : '0', IS_READ_ONLY: '1', IS_SEARCHABLE: '1' }, // prettier-ignore
    ...more,
  });
  expect(columns.filter(([name]) => !['huge', 'id'].includes(name))).toEqual([
    ['small', 'int8', of('TINYINT', { PRECISION: '3', SCALE: '0' })],
    ['price', 'decimal128(10, 2)', of('DECIMAL', { PRECISION: '10', SCALE: '2' })],
    ['day', 'date32[day]', of('DATE', { PRECISION: '10', SCALE: '0' })],
    ['at', 'timestamp[us]', of('TIMESTAMP', { PRECISION: '26', SCALE: '6' })],
    ['late', 'bool', of('BOOLEAN', { PRECISION: '1' })],
  ]);
  const [, , huge] = columns.find(([name]) => name === 'huge') ?? [];
  expect(huge).toMatchObject({ TYPE_NAME: 'HUGEINT', PRECISION: '38', SCALE: '0' });
});

test('a table’s schema is found in the schema that is named, or not at all', async () => {
  const filters = { db_schema_filter: 'datasets' };
  expect(await adbc.ask('table_schema', { table: 'lateness_r1', filters })).toMatchObject([['label', 'int32', {}]]);
  expect((await adbc.refusal('table_schema', { table: 'typed', filters })).message).toContain('No table found');
});

test('the server says who it is', async () => {
  expect(await adbc.ask('info')).toMatchObject({ vendor_name: 'Eider', vendor_version: '0.1.0' });
  expect(await adbc.ask('table_types')).toEqual(['TABLE']);
});

test('another connection reads another project', async () => {
  const connection = { 'adbc.flight.sql.rpc.call_header.eider-project': 'elsewhere' };
  await adbc.ask('connect', { on: 'elsewhere', connection });
  const [catalog] = await adbc.ask<Catalog[]>('objects', { on: 'elsewhere', filters: { depth: 'catalogs' } });
  expect(catalog?.catalog_name).toBe('elsewhere');
  const sql = 'SELECT 1 FROM eider.features.origin_hour';
  expect((await adbc.refusal('execute', { on: 'elsewhere', sql })).message).toContain('the session is in elsewhere');
});

test('a session has a schema of its own, which names are looked for in first', async () => {
  await served.lake.add('twin', ["SELECT 'feature' AS place"]);
  await served.lake.add('twin', ["SELECT 'dataset' AS place"], { schema: 'datasets' });
  const database = { 'adbc.flight.sql.rpc.with_cookie_middleware': 'true' };
  await adbc.ask('connect', { on: 'session', database, connection: { 'adbc.connection.db_schema': 'datasets' } });
  const sql = 'SELECT place FROM twin';
  expect(await adbc.ask('execute', { on: 'session', sql })).toMatchObject({ rows: ["['dataset']"] });
  expect((await adbc.refusal('execute', { sql })).message).toContain('write features.twin or datasets.twin');
});
