import { functionClass, tableFunctions } from '../../../lake/statements/functions.js';
import { createReader, type Reader } from '../../../lake/read/reader.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';

let lake: TestLake;
let reader: Reader;

beforeAll(async () => {
  lake = await createTestLake();
  reader = await createReader({ lakeRoot: lake.root, threads: 1, memoryLimit: '256MB', workers: 1 });
});
afterAll(async () => {
  await reader?.close();
  lake?.remove();
});

interface DuckdbFunction {
  readonly name: string;
  readonly type: 'scalar' | 'macro' | 'aggregate' | 'table' | 'table_macro';
  readonly stability: string | null;
  readonly macro: string | null;
}
const all = async (): Promise<DuckdbFunction[]> =>
  JSON.parse(
    await reader.text(
      `SELECT list(DISTINCT {name: function_name, type: function_type, stability: stability, macro: macro_definition})::JSON::VARCHAR
       FROM duckdb_functions() WHERE function_type <> 'pragma'`,
      [],
    ),
  ) as DuckdbFunction[];

/** Read for this version: what they do with names, files and lists of the engine's own. */
const refusedTableFunctions = new Set(
  `arrow_scan arrow_scan_dumb check_peg_parser checkpoint disable_logging disable_peg_parser disable_profiling enable_logging
   enable_peg_parser enable_profiling force_checkpoint glob histogram histogram_values json_execute_serialized_sql
   parquet_bloom_probe parquet_file_metadata parquet_full_metadata parquet_kv_metadata parquet_metadata parquet_scan parquet_schema
   pg_timezone_names query query_table read_blob read_csv read_csv_auto read_duckdb read_json read_json_auto read_json_objects
   read_json_objects_auto read_ndjson read_ndjson_auto read_ndjson_objects read_parquet read_text seq_scan sniff_csv
   sql_auto_complete summary test_vector_types truncate_duckdb_logs which_secret`.split(/\s+/),
);
const ofTheEngine = /^(duckdb|pragma)_/;

test('every function of this DuckDB is in exactly one class, so that an upgrade says what to read', async () => {
  const functions = await all();
  expect(functions.length).toBeGreaterThan(800);
  const isTable = ({ type }: DuckdbFunction) => type.startsWith('table');
  const unclassed = functions.filter((one) => !isTable(one) && functionClass(one.name) === null);
  expect(unclassed.map(({ name }) => name)).toEqual([]);
  const refused = (name: string) => refusedTableFunctions.has(name) || ofTheEngine.test(name);
  const tables = functions.filter(isTable).map(({ name }) => name);
  expect(tables.filter((name) => tableFunctions.has(name) === refused(name))).toEqual([]);
});

test('what DuckDB calls volatile is never called stable, nor is a macro that is made of it', async () => {
  const functions = await all();
  // `error` is called volatile so that it is not called before its time.
  const unstable = functions.filter(
    ({ name, stability }) => stability !== null && stability !== 'CONSISTENT' && name !== 'error',
  );
  const volatile = new Set(unstable.map(({ name }) => name));
  const macros = functions.filter(
    ({ macro, name }) =>
    [...(macro ?? '').matchAll(/(\w+)"?\(|current_\w+/g)].some(([all, called]) => called !== name && volatile.has(called ?? all)), // prettier-ignore
  );
  expect(unstable.length).toBeGreaterThan(20);
  for (const { name } of [...unstable, ...macros.filter(({ type }) => type === 'macro')])
    expect([name, functionClass(name)]).not.toEqual([name, 'stable']);
});

test('no macro that is allowed reads a table, a list of the engine, or a function that is refused', async () => {
  const macros = (await all()).filter(({ type, name }) => type === 'macro' && functionClass(name) !== 'refused');
  expect(macros.length).toBeGreaterThan(50);
  for (const { name, macro } of macros) {
    expect([name, /\bFROM\b/i.test(macro ?? '')]).toEqual([name, false]);
    const called = [...(macro ?? '').matchAll(/(\w+)"?\(/g)].map(([, one]) => one ?? '');
    expect([name, called.filter((one) => functionClass(one) === 'refused')]).toEqual([name, []]);
  }
});
