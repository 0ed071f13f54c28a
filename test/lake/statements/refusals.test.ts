import { symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDomainError } from '../../../domain/errors.js';
import { openSession, type StatementSession } from './session.js';

let session: StatementSession;

beforeAll(async () => {
  session = await openSession();
  await session.lake.add('rides', ['SELECT i AS id, i % 2 AS city FROM range(10) r(i)']);
  await session.lake.add('secret', ['SELECT 42 AS answer'], { schema: 'datasets' });
  writeFileSync(join(session.lake.root, 'note.txt'), 'a note');
  symlinkSync('/etc', join(session.lake.root, 'etc'));
});
afterAll(() => session?.close());

/** The code, or what the first row was. */
async function outcome(sql: string): Promise<string> {
  try {
    return (await session.rows(sql))[0] ?? 'no row';
  } catch (error) {
    return isDomainError(error) ? error.code : String(error);
  }
}

const parquet = 'datasets/secret/s1/0.parquet';

test.each([
  ["SELECT * FROM read_text('/etc/passwd')"],
  ["SELECT * FROM read_text('LAKE/note.txt')"],
  ["SELECT * FROM read_parquet('LAKE/PARQUET')"],
  ["SELECT * FROM parquet_scan(['LAKE/PARQUET'])"],
  ["SELECT * FROM parquet_metadata('LAKE/PARQUET')"],
  ["SELECT * FROM read_csv('LAKE/etc/passwd')"],
  ["SELECT * FROM sniff_csv('/etc/passwd')"],
  ["SELECT * FROM glob('LAKE/*')"],
  ["SELECT (SELECT list(file) FROM glob('/*'))"],
  ["SELECT id FROM features.rides WHERE id IN (SELECT size FROM read_blob('LAKE/note.txt'))"],
  ["WITH x AS (SELECT * FROM read_text('LAKE/note.txt')) SELECT 1 FROM x"],
  ["SELECT * FROM rides, LATERAL (SELECT * FROM read_text('LAKE/note.txt'))"],
  ["SELECT 1 UNION ALL SELECT size FROM read_text('LAKE/note.txt')"],
  ["SELECT * FROM query('SELECT 1')"],
  ["SELECT * FROM query_table('rides')"],
  ["SELECT * FROM query_table(['rides'])"],
  ["SELECT * FROM json_execute_serialized_sql('{}')"],
  ['SELECT * FROM histogram(rides, id)'],
  ['SELECT * FROM duckdb_settings()'],
  ['SELECT * FROM duckdb_secrets()'],
  ['SELECT * FROM duckdb_views()'],
  ["SELECT * FROM pragma_table_info('t1')"],
  ["SELECT * FROM which_secret('a', 's3')"],
  ['SELECT * FROM summary((SELECT 1))'],
  ["SELECT current_setting('temp_directory')"],
  ["SELECT getvariable('x')"],
  ["SELECT nextval('s')"],
  ["SELECT write_log('x')"],
  ['SELECT list_transform([1], x -> sleep_ms(x))'],
  ['SELECT pg_sleep(1)'],
  ["SELECT json_serialize_plan('SELECT * FROM read_text(''/etc/passwd'')')"],
  ['SELECT id, pg_get_viewdef(1) FROM rides ORDER BY current_query()'],
  ['SELECT sum(id) EXPORT_STATE FROM rides'],
  ['SHOW TABLES'],
  ['SHOW DATABASES'],
  ['SELECT * FROM (SHOW ALL TABLES)'],
  ['SELECT * FROM other.features.rides'],
  ['SELECT * FROM system.information_schema.tables'],
  ['SELECT * FROM temp.main.t1'],
  ['SET threads = 1'],
  ['RESET threads'],
  ['PRAGMA database_list'],
  ["ATTACH '/tmp/x.db' AS x"],
  ['DETACH memory'],
  ['USE memory'],
  ["COPY (SELECT 1) TO '/tmp/x.csv'"],
  ["COPY rides TO 'LAKE/x.parquet'"],
  ["EXPORT DATABASE '/tmp/x'"],
  ["IMPORT DATABASE '/tmp/x'"],
  ['INSTALL httpfs'],
  ['LOAD httpfs'],
  ['CREATE TABLE x AS SELECT 1'],
  ['CREATE TEMP VIEW t1 AS SELECT 1'],
  ['CREATE MACRO m() AS 1'],
  ['CREATE SECRET s (TYPE s3)'],
  ['DROP VIEW t1'],
  ['INSERT INTO rides VALUES (1)'],
  ['UPDATE rides SET id = 1'],
  ['DELETE FROM rides'],
  ['MERGE INTO rides USING rides AS r ON true WHEN MATCHED THEN DELETE'],
  ['TRUNCATE rides'],
  ['ALTER TABLE rides ADD COLUMN x INTEGER'],
  ['BEGIN TRANSACTION'],
  ['CHECKPOINT'],
  ['VACUUM'],
  ['CALL pragma_version()'],
  ['EXPLAIN SELECT 1'],
  ['EXPLAIN ANALYZE SELECT * FROM rides'],
  ['PREPARE p AS SELECT 1'],
  ['EXECUTE p'],
  ['DEALLOCATE p'],
  ['PIVOT rides ON city USING count(*)'],
  ['SELECT 1; SELECT 2'],
  ['SELECT 1; DROP VIEW t1'],
  ['-- a comment\n /* and one */ (INSERT INTO rides VALUES (1))'],
])('%s is refused', async (sql) => {
  const asked = sql.replaceAll('LAKE', session.lake.root).replaceAll('PARQUET', parquet);
  expect(['statement_refused', 'statement_invalid']).toContain(await outcome(asked));
});

test.each([
  ["SELECT * FROM 'LAKE/PARQUET'", 'table_unknown'],
  ['SELECT * FROM "LAKE/note.txt"', 'table_unknown'],
  ["FROM 'https://example.org/x.parquet'", 'table_unknown'],
  ['SELECT * FROM features."LAKE/PARQUET"', 'table_unknown'],
  ['WITH "LAKE/PARQUET" AS (SELECT * FROM "LAKE/PARQUET") SELECT * FROM "LAKE/PARQUET"', 'table_unknown'],
  ['SELECT * FROM t1', 'table_unknown'],
  ['SELECT * FROM rides, t1', 'table_unknown'],
  ['SELECT * FROM information_schema.tables', 'table_unknown'],
  ['SELECT * FROM pg_catalog.pg_class', 'table_unknown'],
  ['SELECT * FROM duckdb_tables', 'table_unknown'],
  ['SELECT * FROM main.t1', 'table_unknown'],
  ['SELECT * FROM sqlite_master', 'table_unknown'],
  ['SELECT * FROM quarantine.rides', 'table_unknown'],
  ['SELECT * FROM features.secret', 'table_unknown'],
  ['SELECT * FROM "rides@s9"', 'snapshot_unknown'],
  ['SELECT * FROM rides AT (VERSION => 9)', 'snapshot_unknown'],
])('%s has no table: %s', async (sql, code) => {
  expect(await outcome(sql.replaceAll('LAKE', session.lake.root).replaceAll('PARQUET', parquet))).toBe(code);
});

test.each([
  ['', 'statement_invalid', 'It is empty.'],
  [';;', 'statement_invalid', 'It is empty.'],
  ['-- only a comment', 'statement_invalid', 'It is empty.'],
  ['SELEC 1', 'statement_invalid', 'syntax error at or near "SELEC", at line 1, column 1.'],
  ['SELECT\n  1 +', 'statement_invalid', 'syntax error at end of input, at line 2, column 6.'],
  ['SELECT 1\0', 'statement_invalid', 'It has a character of code 0.'],
  ['SELECT nosuch(1)', 'statement_invalid', 'There is no function nosuch.'],
  ['SELECT $name', 'statement_invalid', 'A parameter is ? or $1, not $name.'],
  ['SELECT $2', 'statement_invalid', 'Parameters are numbered from $1 on; $1 is missing.'],
  ['SELECT * FROM rides AT (VERSION => ?)', 'statement_invalid', "AT takes a constant: AT (VERSION => 41) or AT (TIMESTAMP => '2026-11-23 10:00:00')."], // prettier-ignore
  ["SELECT * FROM rides AT (TIMESTAMP => 'soon')", 'statement_invalid', 'AT (TIMESTAMP => …) takes an instant, not "soon".'], // prettier-ignore
  ['INSERT INTO rides VALUES (1)', 'statement_refused', 'INSERT is not served: tables can be read here, by SELECT, and nothing can be changed.'], // prettier-ignore
  ['SELECT 1; SELECT 2', 'statement_refused', 'These are 2 statements; one is served at a time.'],
  ['SELECT * FROM other.features.rides', 'statement_refused', 'It names the project other; the session is in eider.'],
  ['SELECT * FROM monitoring.rides', 'table_unknown', 'There is no schema monitoring; features, datasets, inference, quarantine can be read.'], // prettier-ignore
  [`SELECT '${'x'.repeat(65_536)}'`, 'statement_too_large', 'It has 65545 bytes; 65536 is the limit.'],
  [Array.from({ length: 65 }, () => 'SELECT 1 FROM rides').join(' UNION ALL '), 'statement_too_large', 'It names 65 tables; 64 is the limit.'], // prettier-ignore
  [`SELECT ${Array.from({ length: 1025 }, () => '?').join()}`, 'statement_too_large', 'It has 1025 parameters; 1024 is the limit.'], // prettier-ignore
])('%j is %s: %s', async (sql, code, message) => {
  await expect(session.pin(sql)).rejects.toMatchObject({ code, message });
});

test('a name in two schemas has to be qualified', async () => {
  await session.lake.add('twice', ['SELECT 1 AS a']);
  await session.lake.add('twice', ['SELECT 2 AS a'], { schema: 'datasets' });
  await expect(session.pin('FROM twice')).rejects.toMatchObject({
    code: 'statement_invalid',
    message: 'twice is in features and in datasets: write features.twice or datasets.twice.',
  });
  expect(await session.rows('FROM twice', [], 'datasets')).toEqual(['(2)']);
  expect(await session.rows('FROM twice JOIN features.twice AS other USING (a)', [], 'datasets')).toEqual([]);
});
