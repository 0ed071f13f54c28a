import { readdir } from 'node:fs/promises';
import type { Window } from '../../../domain/features.js';
import { instant } from '../../../domain/instants.js';
import type { ResourceName } from '../../../domain/ids.js';
import { pinSource, sourceVersion, type Source } from '../../../lake/sources/index.js';
import { checkSelect } from '../../../lake/sql.js';
import { withDatabase, type TestDatabase } from '../../support/database.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let database: TestDatabase;
let lake: TestLake;
beforeAll(async () => {
  [database, lake] = await Promise.all([withDatabase(), withLake()]);
}, 120_000);
afterAll(async () => {
  await Promise.all([database.close(), lake.close()]);
});

const source = (table: string, connection = 'shop'): Source =>
  sourceOf('', { format: 'postgres', path: undefined, connection: connection as ResourceName, table });
const access = (url = database.url) => lake.access({ connections: { shop: url } });
const day: Window = { start: instant('2001-01-01'), end: instant('2001-01-02') };

const rowsOf = (table: string, reach: Window | 'everything' = 'everything', columns = '* EXCLUDE (known_at)') =>
  lake.in(async (session) => {
    const pinned = await pinSource(session, source(table), access(), reach);
    return session.rows<Record<string, unknown>>(`SELECT ${columns} FROM ${pinned.relation()} ORDER BY "at"`);
  });

test('a table has no version, so its rows are always looked at', async () => {
  expect(await sourceVersion(source('events'), access())).toBeNull();
});

test('values keep their meaning', async () => {
  await database.db
    .query(`CREATE TABLE kinds (at timestamptz, naive timestamp, whole int, big bigint, exact numeric(10,3), loose numeric, huge numeric(50,1),
    id uuid, doc jsonb, list int[], amounts numeric[], flag bool, name text, day date, real float8, "Odd ""Name" text)`);
  await database.db.query(
    `INSERT INTO kinds VALUES ('2001-07-01 02:00:00.123456+02', '2001-07-01 02:00:00.123456', 1, 9007199254740993, 1.125, 'NaN', 12345678901234567890123456789012345678901234,
     '00000000-0000-0000-0000-000000000001', '{"a": 1}', '{1,2}', '{NaN,1.5}', true, 'é', '2001-07-01', 'NaN', 'odd')`,
  );
  await database.db.query('INSERT INTO kinds (at) VALUES (NULL)');
  expect(await rowsOf('public.kinds')).toEqual([
    {
      ...{
        at: '2001-07-01 00:00:00.123456+00',
        naive: '2001-07-01 02:00:00.123456',
        whole: 1,
        big: '9007199254740993',
      },
      ...{ exact: '1.125', loose: 'NaN', huge: 1.2345678901234567e43, id: '00000000-0000-0000-0000-000000000001' },
      ...{
        doc: '{"a": 1}',
        list: [1, 2],
        amounts: ['NaN', 1.5],
        flag: true,
        name: 'é',
        day: '2001-07-01',
        real: 'NaN',
      },
      ...{ 'Odd "Name': 'odd' },
    },
    expect.objectContaining({ at: null, naive: null, exact: null, loose: null, list: null }),
  ]);
});

test('a NaN that a decimal cannot hold is an error, not a zero', async () => {
  await database.db.query('CREATE TABLE spoiled (at timestamptz, price numeric(10,2))');
  await database.db.query("INSERT INTO spoiled VALUES ('2001-01-01', 1), ('2001-01-01', 'NaN')");
  await expect(rowsOf('spoiled')).rejects.toMatchObject({
    code: 'source_unreadable',
    message: expect.stringMatching(/column "price" holds NaN/),
  });
});

test.each([
  ['timestamptz', '2000-12-31 19:00:00-05', '2001-01-01 18:59:59.999999-05', '2001-01-01 19:00:00-05'],
  ['timestamp', '2001-01-01', '2001-01-01 23:59:59.999999', '2001-01-02'],
])('a slice of a %s column is half-open in UTC', async (type, first, last, end) => {
  await database.db.query(`CREATE TABLE slices_${type} (at ${type})`);
  await database.db.query(
    `INSERT INTO slices_${type} VALUES ('${first}'), ('${last}'), ('${end}'), (NULL), ('infinity')`,
  );
  expect(await rowsOf(`slices_${type}`, day)).toHaveLength(2);
});

test('all reads of a session see one state, whatever is written meanwhile', async () => {
  await database.db.query('CREATE TABLE moving (at timestamptz, value int)');
  await database.db.query("INSERT INTO moving SELECT '2001-01-01', i FROM generate_series(1, 1000) AS i");
  await lake.in(async (session) => {
    const pinned = await pinSource(session, source('moving'), access(), day);
    const sum = async () => (await session.rows(`SELECT sum(value)::INT AS sum FROM ${pinned.relation(day)}`))[0];
    const before = await sum();
    await database.db.query('UPDATE moving SET value = 0');
    expect(await sum()).toEqual(before);
    expect(await pinned.isUnchanged()).toBe(true);
  });
  expect(await rowsOf('moving', day, 'max(value) AS "at"')).toEqual([{ at: 0 }]);
});

test('a copy is one statement: it never holds half of a transaction', async () => {
  await database.db.query('CREATE TABLE pairs (at timestamptz, value int)');
  await database.db.query("INSERT INTO pairs SELECT '2001-01-01', 0 FROM generate_series(1, 200000)");
  let going = true;
  const writer = (async () => {
    for (let value = 1; going; value++) await database.db.query('UPDATE pairs SET value = $1', [value]);
  })();
  for (let round = 0; round < 5; round++)
    expect(await rowsOf('pairs', day, 'count(DISTINCT value)::INT AS "at"')).toEqual([{ at: 1 }]);
  going = false;
  await writer;
}, 60_000);

test('SQL of people reaches neither a copy nor a secret, and the engine that runs it has learnt nothing', async () => {
  await database.db.query('CREATE TABLE guarded (at timestamptz)');
  await lake.in(async (session) => {
    const pinned = await pinSource(session, source('guarded'), access(), 'everything');
    for (const sql of [
      `SELECT * FROM ${pinned.rows}`,
      'SELECT * FROM duckdb_secrets()',
      'SELECT * FROM duckdb_databases()',
      "SELECT * FROM postgres_query('pg', 'SELECT 1')",
      "SELECT * FROM read_parquet('s3://warehouse/x')",
    ])
      await expect(checkSelect(session, sql, ['guarded'])).rejects.toMatchObject({ code: 'sql_invalid' });
    await expect(session.rows('SELECT * FROM duckdb_secrets()')).rejects.toThrow(/Permission/);
    await expect(session.run("SELECT * FROM postgres_scan('', 'public', 'x')")).rejects.toThrow(/postgres_scan/);
  });
});

test('copies are gone when the session ends', async () => {
  await database.db.query('CREATE TABLE once (at timestamptz)');
  await rowsOf('once');
  const attached = await lake.query("SELECT 1 FROM duckdb_databases() WHERE database_name LIKE 'copy%'");
  expect(attached).toEqual([]);
  expect((await readdir(lake.folder)).filter((name) => name.startsWith('copy_'))).toEqual([]);
});

test.each([
  [
    'an unknown connection',
    () => source('events', 'other'),
    undefined,
    'connection_unknown',
    /"other"; EIDER_CONNECTIONS has shop/,
  ],
  [
    'a connection named like a method',
    () => source('events', 'constructor'),
    undefined,
    'connection_unknown',
    /has shop/,
  ],
  ['an unknown table', () => source('nothing'), undefined, 'source_missing', /table nothing/],
  [
    'a server that is away',
    () => source('events'),
    'postgresql://reader:s%40fe-secret@127.0.0.1:1/shop',
    'source_unreachable',
    /refused/,
  ],
  [
    'a server that is away, and a password with a plain %',
    () => source('events'),
    'postgresql://reader:s%40fe-100%@127.0.0.1:1/shop',
    'source_unreachable',
    /refused/,
  ],
  [
    'a server that is away, and a password in the query',
    () => source('events'),
    'postgresql://reader@127.0.0.1:1/shop?password=s@fe-secret',
    'source_unreachable',
    /refused/,
  ],
])('%s is refused, without a secret in the sentence', async (_, declared, url, code, message) => {
  const failing = lake.in((session) => pinSource(session, declared(), access(url), 'everything'));
  const error = await failing.then(
    () => null,
    (thrown: unknown) => thrown as Error & { code: string },
  );
  expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
  for (let at: unknown = error; at instanceof Error; at = at.cause)
    expect(JSON.stringify([at.message, at.stack, { ...at }])).not.toMatch(/s%40fe|s@fe/);
});
