import { join } from 'node:path';
import fc from 'fast-check';
import { isDomainError } from '../../../domain/errors.js';
import { functionClass, tableFunctions } from '../../../lake/statements/functions.js';
import { openSession, type StatementSession } from './session.js';

let session: StatementSession;

beforeAll(async () => {
  session = await openSession();
  await session.lake.add('rides', ["SELECT i AS id, i % 2 AS city, {'f': i} AS s, [i] AS l FROM range(5) r(i)"]);
  await session.lake.add('train', ['SELECT i AS id, -i AS label FROM range(5) r(i)'], { schema: 'datasets' });
});
afterAll(() => session?.close());

/** Parts that are put together anyhow; some of them are hostile. */
const parts = [
  ...['SELECT', 'FROM', 'WHERE', 'GROUP BY', 'ORDER BY', 'LIMIT', 'WITH', 'WITH RECURSIVE', 'AS', 'UNION ALL', 'JOIN', 'ON', 'USING'],
  ...['LATERAL', 'ASOF JOIN', 'PIVOT', 'UNPIVOT', 'QUALIFY', 'OVER', 'VALUES', 'DESCRIBE', 'SUMMARIZE', 'EXISTS', 'IN', 'CASE', 'WHEN', 'END'],
  ...['(', ')', '(', ')', ',', ';', '.', '*', '=', '::', '->', '[', ']', '{', '}', '+', '$1', '?', '--', '/*', '*/', '\n', '"', "'", '$$', '#1', '😀', '\u0000'],
  ...['rides', 'features.rides', 'eider.datasets.train', 'train', 'id', 'city', 's.f', 'l', 't1', 'temp.main.t1', 'with_1', 'x', '1', '2.5', "'text'", 'NULL'],
  ...["'/etc/passwd'", '"x.parquet"', "'LAKE/datasets/train/s1/0.parquet'", "read_text('/etc/passwd')", "glob('LAKE/*')", 'duckdb_settings()', 'range(3)'],
  ...['sum(id)', 'getvariable', "current_setting('threads')", 'nextval', 'random()', 'AT (VERSION => 1)', 'INSERT INTO', 'COPY', 'SET', 'ATTACH', 'TABLESAMPLE 10%'],
]; // prettier-ignore
const statements = [
  'SELECT id , city FROM rides WHERE id > 1 ORDER BY id LIMIT 3',
  'WITH x AS ( SELECT * FROM rides ) SELECT x . id FROM x JOIN train USING ( id )',
  'SELECT features.rides.id , ( SELECT max ( label ) FROM train WHERE train . id = rides . id ) FROM features.rides',
  'WITH RECURSIVE x AS ( SELECT 1 AS n UNION ALL SELECT n + 1 FROM x WHERE n < 4 ) SELECT * FROM x , range(2) r',
  'SELECT city , count ( * ) FILTER ( WHERE id > $1 ) , list ( id ) FROM rides GROUP BY ALL QUALIFY true',
  'SELECT * FROM ( FROM rides SELECT id , city ) PIVOT ( sum(id) FOR city IN ( 0 , 1 ) )',
  'VALUES ( 1 , 2 ) UNION ALL SELECT id , label FROM eider.datasets.train',
  'SELECT list_transform ( l , x -> x + 1 ) , CASE WHEN id = 1 THEN s.f ELSE NULL END FROM rides',
];

const part = fc.constantFrom(...parts);
const mutation = fc.record({ at: fc.nat(40), remove: fc.nat(2), insert: fc.array(part, { maxLength: 3 }) });
const sql = fc.oneof(
  { weight: 4, arbitrary: fc.tuple(fc.constantFrom(...statements), fc.array(mutation, { maxLength: 4 })).map(mutated) },
  { weight: 1, arbitrary: fc.array(part, { maxLength: 25 }).map((all) => `SELECT ${all.join(' ')}`) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 60 }).map((text) => `SELECT ${text}`) },
);

function mutated([statement, mutations]: [string, { at: number; remove: number; insert: string[] }[]]): string {
  const words = statement.split(' ');
  for (const { at, remove, insert } of mutations) words.splice(at % (words.length + 1), remove, ...insert);
  return words.join(' ');
}

const codes = ['statement_invalid', 'statement_refused', 'statement_too_large', 'table_unknown', 'snapshot_unknown'];

interface TreeNode {
  readonly [field: string]: unknown;
}
/** Every object of a tree, whatever it is: another reading than the one that is tested. */
function* nodesOf(value: unknown): Generator<TreeNode> {
  if (value === null || typeof value !== 'object') return;
  if (!Array.isArray(value)) yield value as TreeNode;
  for (const inner of Object.values(value)) yield* nodesOf(inner);
}

const runs = process.env['EIDER_LONG'] === undefined ? 500 : 20_000;

test('of anything that is written, nothing but pinned tables is read, and no error is ours', async () => {
  let pinnedCount = 0;
  await fc.assert(
    fc.asyncProperty(sql, async (text) => {
      const asked = text.replaceAll('LAKE', session.lake.root);
      const pinned = await session.pin(asked).catch((error: unknown) => {
        if (!isDomainError(error)) throw error;
        expect(codes).toContain(error.code);
        return null;
      });
      if (!pinned) return;
      pinnedCount++;
      const plan = pinned.plan();
      const owned = pinned.tables.flatMap(({ table }) => table.files.map(({ key }) => join(session.lake.root, key)));
      expect(plan.files).toEqual(owned);
      const tree = JSON.parse(await session.reader.text('SELECT json_serialize_sql($1::VARCHAR)::VARCHAR', [plan.sql])) as object; // prettier-ignore
      for (const node of nodesOf(tree)) {
        const name = String(node['table_name']);
        if (node['type'] === 'BASE_TABLE' && !/^with_\d+$/.test(name))
          expect([node['catalog_name'], pinned.tables.some(({ as }) => as === name)]).toEqual(['temp', true]);
        if (node['type'] === 'TABLE_FUNCTION')
          expect(tableFunctions).toContain(String((node['function'] as TreeNode)['function_name']).toLowerCase());
        else if ('function_name' in node && node['children'] && !tableFunctions.has(String(node['function_name'])))
          expect(functionClass(String(node['function_name']))).toMatch(/^(stable|varying)$/);
      }
    }),
    { numRuns: runs },
  );
  expect(pinnedCount).toBeGreaterThan(runs / 20);
}, 600_000);
