import { tablePlan } from '../../lake/read/table.js';
import { isTypeName } from '../../lake/read/type-name.js';

test.each([
  'INTEGER',
  'TIMESTAMP WITH TIME ZONE[]',
  'DECIMAL(18,3)[3][]',
  `STRUCT("a b" INTEGER[3], "q""x" MAP(VARCHAR, ENUM('a', 'it''s')), c STRUCT(d BLOB))`,
  `UNION("name" VARCHAR, age SMALLINT)`,
  `GEOMETRY('OGC:CRS84')`,
])('%s is the name of a type', (type) => expect(isTypeName(type)).toBe(true));

test.each([
  '',
  'INTEGERS',
  'INTEGER) FROM secrets --',
  "ENUM('a') || getenv('HOME')",
  `STRUCT(a INTEGER, b (SELECT 1))`,
  `STRUCT("a" INTEGER`,
  'MAP(VARCHAR; INTEGER)',
  'INTEGER[',
  'STRUCT(a '.repeat(100) + 'INTEGER' + ')'.repeat(100),
])('%j is none, and gets into no query', (type) => {
  expect(isTypeName(type)).toBe(false);
  const table = { columns: [{ name: 'a', type }], files: [] };
  expect(() => tablePlan(table, '/lake')).toThrow('which is no type of DuckDB');
});
