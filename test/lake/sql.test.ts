import { checkSelect, describeSelect, requireColumns } from '../../lake/sql.js';
import { withLake, type TestLake } from '../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const check = (sql: string, relations = ['flights']) => lake.in((session) => checkSelect(session, sql, relations));
const flights = [{ name: 'flights', relation: "(SELECT 'JFK' AS origin, 1 AS delay)" }];
const describe_ = (sql: string) => lake.in((session) => describeSelect(session, sql, flights));

test.each([
  ['a plain SELECT', 'SELECT origin, avg(delay) FROM flights GROUP BY ALL'],
  ['a SELECT that begins with FROM', 'FROM flights SELECT origin'],
  ['names of its own WITH', 'WITH late AS (SELECT * FROM flights) SELECT * FROM late JOIN flights USING (origin)'],
  ['a WITH inside of a subquery', 'SELECT * FROM (WITH late AS (SELECT * FROM flights) SELECT * FROM late)'],
  [
    'a recursive WITH',
    'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT * FROM n, flights',
  ],
  ['a WITH that reads the one before it', 'WITH a AS (FROM flights), b AS (FROM a) FROM b JOIN a USING (origin)'],
  ['a WITH that takes the name of what it reads', 'WITH flights AS (SELECT * FROM Flights) SELECT * FROM flights'],
  [
    'a WITH that is read in an argument',
    'WITH a AS (SELECT [1] AS l) SELECT * FROM flights, unnest((SELECT l FROM a))',
  ],
  ['a PIVOT over given values', "SELECT * FROM flights PIVOT (sum(delay) FOR origin IN ('JFK'))"],
  ['names in another case', 'SELECT * FROM Flights'],
  ['window functions', 'SELECT row_number() OVER (PARTITION BY origin ORDER BY delay) FROM flights'],
  ['rows made of nothing', 'SELECT * FROM flights, range(3), generate_series(1, 2), unnest([1, 2])'],
  ['VALUES', "SELECT * FROM flights JOIN (VALUES ('JFK')) v(origin) USING (origin)"],
  ['a set operation', 'SELECT * FROM flights UNION ALL SELECT * FROM flights'],
  ['a column that is called like the clock, of a table', 'SELECT flights.current_date FROM flights'],
  ['a comment at its end', 'SELECT * FROM flights -- all of them'],
])('%s may be declared', async (_, sql) => {
  await expect(check(sql)).resolves.toBeUndefined();
});

test.each([
  ['two statements', 'SELECT 1; SELECT 2', /2 statements/],
  ['no statement', '', /0 statements/],
  ['only a comment', '-- nothing', /0 statements/],
  ['INSERT', 'INSERT INTO flights VALUES (1)', /not a SELECT/],
  ['COPY', "COPY flights TO 'file.csv'", /not a SELECT/],
  ['ATTACH', "ATTACH 'file.db'", /not a SELECT/],
  ['SET', 'SET threads = 1', /not a SELECT/],
  ['PRAGMA', 'PRAGMA database_list', /not a SELECT/],
  ['an unknown table', 'SELECT * FROM flight', /reads flight, but only flights is declared/],
  ['a table of another schema', 'SELECT * FROM information_schema.tables', /information_schema\.tables/],
  ['a declared name in another schema', 'SELECT * FROM main.flights', /main\.flights/],
  [
    'a table whose name a WITH spells with its dot',
    'WITH "c.rows" AS (SELECT 1) SELECT * FROM c.rows',
    /reads c\.rows/,
  ],
  ['a WITH that reads itself', 'WITH duckdb_tables AS (FROM duckdb_tables) FROM duckdb_tables', /duckdb_tables/],
  ['a file that a WITH is named after', 'WITH "x.parquet" AS (FROM "x.parquet") FROM "x.parquet"', /x\.parquet/],
  ['a WITH whose name is not plain', 'WITH "x.parquet" AS (SELECT 1) SELECT * FROM flights', /x\.parquet/],
  ['a WITH outside of where it holds', 'SELECT * FROM (WITH a AS (SELECT 1) FROM a), a', /reads a,/],
  ['a WITH before it is there', 'WITH a AS (FROM b), b AS (SELECT 1) FROM a', /reads b,/],
  ['a recursive WITH that begins with itself', 'WITH RECURSIVE a AS (FROM a UNION ALL FROM a) FROM a', /reads a,/],
  ['a file in an argument', 'SELECT * FROM unnest((SELECT list(x) FROM "x.parquet"))', /x\.parquet/],
  ['all tables', 'SELECT * FROM (SHOW ALL TABLES)', /__show_tables_expanded/],
  ['a description', 'SELECT * FROM (DESCRIBE flights)', /DESCRIBE/],
  ['a file by its name', "SELECT * FROM '/etc/passwd.csv'", /passwd/],
  ['a file by a function', "SELECT * FROM read_csv('/etc/passwd')", /table function read_csv/],
  ['a file in a subquery', "SELECT (SELECT count(*) FROM read_parquet('x')) FROM flights", /read_parquet/],
  ['the text of a file', "SELECT * FROM read_text('/etc/passwd')", /read_text/],
  ['the catalogue', 'SELECT * FROM duckdb_settings()', /duckdb_settings/],
  ['SQL made of text', "SELECT * FROM query('SELECT 1')", /query/],
])('%s is refused', async (_, sql, message) => {
  await expect(check(sql)).rejects.toMatchObject({ code: 'sql_invalid', message: expect.stringMatching(message) });
});

test('SQL that does not parse is refused with DuckDB’s sentence', async () => {
  const refusal = { code: 'sql_invalid', message: 'syntax error at or near "SELEC"' };
  await expect(check('SELEC 1')).rejects.toMatchObject(refusal);
  await expect(check('SELECT (FROM flights')).rejects.toMatchObject({ message: expect.stringMatching(/syntax error/) });
});

test.each([
  ['now()', 'SELECT now() FROM flights'],
  ['random()', 'SELECT * FROM flights WHERE random() < 0.5'],
  ['random()', 'SELECT * FROM range((random() * 9)::BIGINT)'],
  ['current_setting()', "SELECT current_setting('temp_directory')"],
  ['getvariable()', "SELECT getvariable('x')"],
  ['today()', 'SELECT today()'],
  ['uuid()', 'SELECT uuid()'],
  ['nextval()', "SELECT nextval('s')"],
  ['error()', "SELECT error('no')"],
  ['random()', 'SELECT sum(delay) OVER (ORDER BY random()) FROM flights'],
  ['random()', 'SELECT * FROM flights ORDER BY random()'],
  ['random()', 'WITH r AS (SELECT RANDOM() AS x) SELECT * FROM r'],
  ['current_timestamp', 'SELECT current_timestamp'],
  ['current_date', "SELECT * FROM flights WHERE current_date > DATE '2001-01-01'"],
  ['localtime', 'SELECT LocalTime'],
  ['ago()', 'SELECT ago(INTERVAL 1 DAY)'],
  ['sample', 'SELECT * FROM flights USING SAMPLE 10%'],
  ['sample', 'SELECT * FROM flights TABLESAMPLE reservoir(3)'],
])('what calls %s could answer otherwise tomorrow: %s', async (name, sql) => {
  await expect(check(sql)).rejects.toMatchObject({
    code: 'sql_not_deterministic',
    message: expect.stringContaining(name),
  });
});

test.each([
  ['SELECT origin, delay::DOUBLE AS delay FROM flights', ['origin VARCHAR', 'delay DOUBLE']],
  ['SELECT origin FROM flights;', ['origin VARCHAR']],
  ['SELECT origin FROM flights -- a comment', ['origin VARCHAR']],
  ['WITH flights AS (SELECT delay FROM flights) SELECT * FROM flights', ['delay INTEGER']],
])('%s yields %j', async (sql, columns) => {
  expect((await describe_(sql)).map(({ name, type }) => `${name} ${type}`)).toEqual(columns);
});

test('a SELECT that does not bind is refused with DuckDB’s sentence', async () => {
  await expect(describe_('SELECT dealy FROM flights')).rejects.toMatchObject({
    code: 'sql_invalid',
    message: expect.stringMatching(/Referenced column "dealy" not found/),
  });
});

test('a missing column is named with its purpose, beside those that are there', async () => {
  const columns = await describe_('SELECT origin FROM flights');
  expect(() => requireColumns(columns, [{ name: 'origin', purpose: 'the key' }])).not.toThrow();
  expect(() => requireColumns(columns, [{ name: 'event_time', purpose: 'the event time' }])).toThrow(
    'The SQL does not yield the event time "event_time"; it yields origin.',
  );
});
