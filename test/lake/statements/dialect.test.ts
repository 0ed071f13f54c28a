import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import { openSession, type StatementSession } from './session.js';

let session: StatementSession;
let real: DuckDBConnection;

/** What the tables hold, here and in the database whose answers are the right ones. */
const tables = {
  'features.rides': `SELECT i AS id, i % 3 AS city, TIMESTAMP '2026-01-01' + to_hours(i) AS ts, i * 1.5 AS fare, 'c' || (i % 3) AS name,
    {'field': i, 'inner': {'deep': i * 2}} AS s, [i, i + 1] AS l, MAP {'k': i} AS m FROM range(12::INTEGER) r(i)`,
  'features.cities': `SELECT i AS city, 'city ' || i AS title, TIMESTAMP '2026-01-01' + to_hours(i * 3) AS ts FROM range(3::INTEGER) r(i)`,
  'datasets.rides': `SELECT i AS id, -i AS label FROM range(4::INTEGER) r(i)`,
  'datasets.train': `SELECT i AS id, i % 2 AS label, 'é🚲 ' || i AS "Größe" FROM range(6::INTEGER) r(i)`,
};

beforeAll(async () => {
  session = await openSession();
  real = await (await DuckDBInstance.create(':memory:')).connect();
  for (const statement of ["SET TimeZone = 'UTC'", "ATTACH ':memory:' AS eider"]) await real.run(statement);
  for (const schema of ['features', 'datasets']) await real.run(`CREATE SCHEMA eider.${schema}`);
  await real.run('USE eider.features');
  for (const [name, query] of Object.entries(tables)) {
    const [schema, table] = name.split('.') as ['features' | 'datasets', string];
    await session.lake.add(table, [query], { schema });
    await real.run(`CREATE TABLE eider.${name} AS ${query}`);
  }
});

afterAll(async () => {
  real?.closeSync();
  await session?.close();
});

/** The right answer: rows as text, sorted. */
async function rightRows(sql: string): Promise<string[]> {
  const asRows = `SELECT CAST(struct_values(q) AS VARCHAR) FROM (${sql.replace(/;\s*$/, '')}\n) AS q`;
  return (await real.runAndReadAll(asRows)).getRows().map(([row]) => String(row)).sort(); // prettier-ignore
}

test.each(
  String.raw`
SELECT * FROM rides
FROM rides
FROM rides SELECT id, fare WHERE city = 1
TABLE cities
SELECT rides.id, features.rides.fare, eider.features.rides.name FROM eider.features.rides
SELECT features.rides.s.field, rides.s.inner.deep, s.field, (s).inner.deep FROM features.rides
SELECT RIDES.ID, Features.Rides.Name FROM FEATURES.RIDES
SELECT r.id FROM features.rides AS r WHERE r.city IN (SELECT city FROM features.cities WHERE title LIKE '%1')
SELECT "Größe", train.label FROM datasets.train
SELECT "train"."Größe" AS "a ""quoted"" name", 'it''s', $$dollar 'quoted'$$, $tag$ $1 ? $tag$ FROM datasets.train
SELECT /* a comment with 'quotes */ id -- and another "one
FROM rides WHERE name <> '-- no comment' /* nested /* comments */ */
SELECT '$1', "$1" FROM (SELECT id AS "$1" FROM rides)
SELECT e'tab\tand \x41', '🚲', 'a' || chr(10) FROM cities
SELECT 9007199254740993, 170141183460469231731687303715884105727, 1e300, 1.50, 99999999999999999999.5, 0.1, 1.0::DOUBLE, -0.0, 1_000, 0xFF
SELECT true, NULL, DATE '2020-02-29', INTERVAL 3 DAYS, INTERVAL '1 month', TIMESTAMPTZ '2020-01-01 00:00:00+02', '\x00\xFF'::BLOB, 'nan'::DOUBLE
WITH rides AS (SELECT 1 AS id) SELECT * FROM rides
WITH rides AS (SELECT * FROM features.rides WHERE id < 3) SELECT rides.id FROM rides
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM a, b
WITH rides AS (SELECT 7 AS id), inner_one AS (WITH rides AS (SELECT 8 AS id) SELECT * FROM rides) SELECT * FROM rides, inner_one
WITH x AS (SELECT id FROM rides), rides AS (SELECT 99 AS id) SELECT * FROM x UNION ALL SELECT * FROM rides
SELECT * FROM (WITH rides AS (SELECT 1 AS one) SELECT * FROM rides), (SELECT count(*) AS n FROM rides)
WITH "odd name.parquet" AS (SELECT 5 AS five) SELECT "odd name.parquet".five FROM "odd name.parquet"
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5) SELECT * FROM c
WITH RECURSIVE c AS (SELECT id, city FROM rides WHERE id = 0 UNION SELECT r.id, r.city FROM rides r JOIN c ON r.id = c.id + 1) SELECT count(*), max(c.id) FROM c
WITH RECURSIVE rides AS (SELECT 1 AS id UNION ALL SELECT id + 1 FROM rides WHERE id < 3) SELECT sum(rides.id) FROM rides
WITH RECURSIVE t(a, b) USING KEY (a) AS (SELECT 1, 10 UNION SELECT a + 1, b FROM t WHERE a < 4) SELECT * FROM t
WITH a AS MATERIALIZED (SELECT * FROM rides), b AS NOT MATERIALIZED (SELECT * FROM a) SELECT b.id FROM b
SELECT * FROM rides JOIN cities USING (city)
SELECT * FROM rides NATURAL JOIN (SELECT city, title FROM cities)
SELECT r.id, c.title FROM rides r ASOF JOIN cities c ON r.ts >= c.ts
SELECT rides.id, cities.title FROM rides ASOF LEFT JOIN cities USING (city, ts)
SELECT a.id, b.title FROM rides a POSITIONAL JOIN cities b
SELECT * FROM rides SEMI JOIN cities USING (city)
SELECT id FROM rides ANTI JOIN (SELECT 1 AS city) x USING (city)
SELECT rides.id, x.twice FROM rides, LATERAL (SELECT rides.id * 2 AS twice) x
SELECT features.rides.id, x.d FROM features.rides, LATERAL (SELECT datasets.train.label + features.rides.id AS d FROM datasets.train WHERE datasets.train.id = features.rides.id) x
SELECT id, (SELECT title FROM features.cities WHERE features.cities.city = features.rides.city) AS t FROM features.rides
SELECT f.id, d.label FROM features.rides f JOIN datasets.rides d ON f.id = d.id
SELECT a.id, b.id FROM rides a, rides b WHERE a.id = b.id + 1
SELECT id, row_number() OVER (PARTITION BY city ORDER BY ts) AS n FROM rides QUALIFY n = 1
SELECT id, sum(fare) OVER w, lag(id, 1, -1) OVER w, first_value(name) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM rides WINDOW w AS (PARTITION BY city ORDER BY id)
SELECT city, count(*) FILTER (WHERE id % 2 = 0), sum(fare), list(id ORDER BY id DESC), string_agg(name, ',' ORDER BY id), avg(id)::DECIMAL(9,3) FROM rides GROUP BY ALL
SELECT city, name, count(*), grouping(city) FROM rides GROUP BY GROUPING SETS ((city, name), (city), ())
SELECT city, count(*) AS n FROM rides GROUP BY ROLLUP (city) HAVING count(*) > 3
SELECT list_transform(l, x -> x + 1), list_filter(l, lambda x, i: x > i), [x * 2 FOR x IN l IF x > 3] FROM rides
SELECT list_reduce(l, (a, b) -> a + b), l[1], l[1:2], m['k'], {'a': id, b: name}, MAP {id: name}, struct_pack(x := id), row(id, name) FROM rides
SELECT * EXCLUDE (s, l, m) REPLACE (fare * 2 AS fare) FROM rides
SELECT rides.* EXCLUDE (s, l, m), * EXCLUDE (rides.s, rides.l, rides.m, cities.ts) FROM rides JOIN cities USING (city)
SELECT * RENAME (id AS number) FROM datasets.train
SELECT COLUMNS('i.*|c.*'), COLUMNS(c -> c LIKE 'f%') + 1 FROM rides
SELECT min(COLUMNS(*)) FROM datasets.train
SELECT * LIKE 'l%' FROM datasets.train
SELECT coalesce(*COLUMNS('id|label')) FROM datasets.train
SELECT DISTINCT city FROM rides
SELECT DISTINCT ON (city) city, id FROM rides ORDER BY city, id
SELECT id FROM rides UNION SELECT id FROM datasets.rides
SELECT id FROM rides EXCEPT ALL SELECT id FROM datasets.rides
SELECT id FROM rides INTERSECT SELECT id FROM datasets.rides
SELECT id, city FROM rides UNION ALL BY NAME SELECT label, id FROM datasets.rides
(SELECT id FROM rides ORDER BY id LIMIT 2) UNION ALL (SELECT id FROM rides ORDER BY id DESC LIMIT 2)
VALUES (1, 'a'), (2, NULL)
SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v(n, t) WHERE n IN (SELECT id FROM rides)
SELECT id FROM rides ORDER BY id DESC NULLS LAST LIMIT 3 OFFSET 1
SELECT id, city FROM rides ORDER BY ALL LIMIT 2
SELECT id FROM rides ORDER BY id LIMIT 25%
SELECT * FROM (PIVOT_WIDER (FROM datasets.train SELECT id, label) ON label IN (0, 1) USING count(*))
SELECT * FROM (SELECT id, city, fare FROM rides) PIVOT (sum(fare) FOR city IN (0, 1, 2))
SELECT * FROM (SELECT id, label FROM datasets.train) UNPIVOT (v FOR k IN (id, label))
UNPIVOT datasets.train ON id, label INTO NAME k VALUE v
SELECT * FROM range(3) r(i), generate_series(1, 2) g(j), unnest([7, 8]) u(k)
SELECT unnest(l), id FROM rides
SELECT rides.id, u.x FROM rides, unnest(rides.l) u(x)
SELECT key, value FROM json_each('{"a": 1}')
DESCRIBE rides
DESCRIBE SELECT id, fare FROM rides
SELECT column_name FROM (SUMMARIZE rides)
SELECT CASE city WHEN 0 THEN 'zero' WHEN 1 THEN 'one' ELSE NULL END, CASE WHEN id > 3 THEN id END, if(id > 3, 1, 0), ifnull(NULL, id), nullif(id, 3) FROM rides
SELECT id BETWEEN 2 AND 4, id NOT IN (1, 2), name ILIKE 'C%', name SIMILAR TO 'c.', name ~ 'c0', name GLOB 'c*', NOT (id > 3), id IS NULL, id IS DISTINCT FROM 3 FROM rides
SELECT EXISTS (SELECT 1 FROM rides), 3 = ANY (SELECT id FROM rides), 3 > ALL (SELECT id FROM datasets.rides), ARRAY(SELECT city FROM cities ORDER BY city)
SELECT CAST(id AS VARCHAR), id::DOUBLE, TRY_CAST(name AS INTEGER), try(1 // 0), id::DECIMAL(10,2), l::BIGINT[], l::INTEGER[2] FROM rides
SELECT ts AT TIME ZONE 'Europe/Berlin', extract(hour FROM ts), date_trunc('day', ts), strftime(ts, '%Y'), ts + INTERVAL 1 DAY FROM rides
SELECT substring(name FROM 1 FOR 1), position('c' IN name), trim(both 'c' FROM name), name || '!', name COLLATE NOCASE = 'C0', -id, id ** 2, id // 2, id % 5, id & 1, ~id FROM rides
SELECT rides FROM rides
SELECT unnest(s) FROM rides
SELECT id AS x, x + 1 AS y FROM rides WHERE y > 3
SELECT #1, count(*) FROM rides GROUP BY 1 ORDER BY 2
SELECT city, arg_max(id, ts), max(id, 2), median(fare), quantile_cont(fare, 0.5), mode(city), histogram(city) FROM rides GROUP BY city
SELECT title.upper().lower() FROM cities
SELECT ('a', 1), (SELECT max(id) FROM rides), [1, 2][1], 'abc'[1:2], {'k': [1]}.k[1]
SELECT 1;
`
    .trim()
    .replace(/\n(?=FROM rides WHERE name <>)/, ' \n ')
    .split(/\n(?! )/)
    .map((sql) => [sql]),
)('%s', async (sql) => {
  const rows = (await session.rows(sql, [], 'features')).sort();
  expect(rows).toEqual(await rightRows(sql));
  const plan = (await session.pin(sql, { schema: 'features' })).plan();
  const names = (await session.reader.describe({ ...plan, sql: `SELECT * FROM (${plan.sql})` })).columns.map(
    ({ name }) => name,
  );
  const right = (await real.runAndReadAll(`DESCRIBE SELECT * FROM (${sql.replace(/;\s*$/, '')}\n)`)).getRows().map(([name]) => String(name)); // prettier-ignore
  // A column without a name is called what DuckDB writes of it, which may be more or less quoted.
  const isNamed = (_: string, index: number) => /^[\p{L}\w$ ]+$/u.test(right[index] ?? '');
  expect(names.length).toBe(right.length);
  expect(names.filter(isNamed)).toEqual(right.filter(isNamed));
});
