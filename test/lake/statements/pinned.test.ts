import { Recent } from '../../../lake/statements/recent.js';
import { statements } from '../../../lake/statements/statements.js';
import { openSession, type StatementSession } from './session.js';

let session: StatementSession;

beforeAll(async () => {
  session = await openSession();
  await session.lake.add('rides', ['SELECT i AS id FROM range(2::INTEGER) r(i)']);
  await session.lake.add('rides', ['SELECT i AS id FROM range(3::INTEGER) r(i)'], { snapshot: 2 });
  await session.lake.add('typed', [`SELECT 1::INTEGER AS i, 'it''s $1' AS t, 1.50::DECIMAL(9,2) AS d`]);
});
afterAll(() => session?.close());

test('a table is pinned once, and other snapshots of it beside that', async () => {
  const pinned = await session.pin('SELECT (SELECT count(*) FROM rides), a.id FROM features.rides a, "rides@s1" b, (FROM rides AT (VERSION => 1)) c, RIDES d'); // prettier-ignore
  expect(pinned.tables.map(({ as, table: { name, snapshot } }) => [as, name, snapshot])).toEqual([
    ['t1', 'rides', 2],
    ['t2', 'rides', 1],
  ]);
  expect((await session.read(pinned)).length).toBe(3 * 2 * 2 * 3);
});

test('what was pinned stays when a newer snapshot comes, and is opened again from what a ticket says', async () => {
  await session.lake.add('grows', ['SELECT 1 AS a']);
  const pinned = await session.pin('SELECT count(*) AS n FROM grows WHERE a <= ?');
  await session.lake.add('grows', ['SELECT unnest([1, 1]) AS a'], { snapshot: 2 });
  const said = {
    ...{ sql: pinned.sql, repeatable: pinned.repeatable },
    tables: pinned.tables.map(({ table, as }) => ({ ref: table, as })),
  };
  const reopened = await session.statements.reopen(JSON.parse(JSON.stringify(said)) as typeof said, 'eider' as never);
  const one = [{ type: 'INTEGER', text: '1' }];
  expect(await session.read(pinned, one)).toEqual(['(1)']);
  expect(await session.read(reopened, one)).toEqual(['(1)']);
  expect(reopened.plan(one)).toEqual(pinned.plan(one));
  expect(await session.rows('SELECT count(*) AS n FROM grows')).toEqual(['(2)']);
});

test.each([
  ["SELECT * FROM read_text('/etc/passwd')", 'statement_refused'],
  ['SELECT * FROM rides', 'statement_refused'],
  ['SELECT * FROM temp.main.t2', 'statement_refused'],
  ['SELECT * FROM "x.parquet"', 'statement_refused'],
  ['SELECT 1; SELECT 2', 'statement_refused'],
])('a ticket that says %s is not opened, whoever signed it', async (sql, code) => {
  const [table] = (await session.pin('FROM rides')).tables;
  const said = { sql, repeatable: true, tables: [{ ref: table?.table as never, as: 't1' }] };
  await expect(session.statements.reopen(said, 'eider' as never)).rejects.toMatchObject({ code });
});

test.each([
  ['SELECT * FROM rides', true],
  ['SELECT random() FROM rides', false],
  ['SELECT now()', false],
  ['SELECT current_date', false],
  ["SELECT age(TIMESTAMP '2020-01-01')", false],
  ['SELECT * FROM rides TABLESAMPLE 50%', false],
  ['SELECT * FROM rides USING SAMPLE 1', false],
  ['WITH x AS (SELECT uuid() AS u) SELECT * FROM x', false],
  ['SELECT list_transform([1], x -> random())', false],
])('%s is repeatable: %s', async (sql, repeatable) => {
  expect((await session.pin(sql)).repeatable).toBe(repeatable);
});

const hostile = `'; DROP TABLE x; -- $1 $2 "\\' /* é🚲`;

test.each([
  ['SELECT ? AS a', [{ type: 'VARCHAR', text: hostile }], `(${hostile})`],
  ['SELECT $2, $1, $2', [{ type: 'INTEGER', text: '1' }, { type: 'BIGINT', text: '9007199254740993' }], '(9007199254740993, 1, 9007199254740993)'], // prettier-ignore
  [`SELECT '$1', "$1" FROM (SELECT 5 AS "$1") WHERE "$1" = $1`, [{ type: 'INTEGER', text: '5' }], '($1, 5)'],
  [
    'SELECT id FROM rides WHERE id = ? LIMIT ?',
    [
      { type: 'INTEGER', text: '2' },
      { type: 'BIGINT', text: '1' },
    ],
    '(2)',
  ],
  ['SELECT i FROM typed WHERE t = ? AND d = ?', [{ type: 'VARCHAR', text: "it's $1" }, { type: 'DECIMAL(9,2)', text: '1.5' }], '(1)'], // prettier-ignore
  [
    'SELECT count(*) FROM range(?) WHERE ? IS NULL',
    [
      { type: 'BIGINT', text: '7' },
      { type: 'DATE', text: null },
    ],
    '(7)',
  ],
  ['SELECT ?::DATE + INTERVAL (?) DAY', [{ type: 'DATE', text: '2026-01-31' }, { type: 'INTEGER', text: '1' }], "('2026-02-01 00:00:00')"], // prettier-ignore
  [
    'SELECT ?, ?',
    [
      { type: 'INTEGER[]', text: '[1, 2]' },
      { type: 'NULL', text: null },
    ],
    '([1, 2], NULL)',
  ],
])('%s takes its parameters as what they are', async (sql, parameters, row) => {
  expect((await session.rows(sql, parameters))[0]?.replaceAll(/^\('(.*)'\)$/g, sql.includes('DATE') ? "('$1')" : '($1)').replaceAll("\\'", "'").replaceAll('\\\\', '\\')).toBe(row); // prettier-ignore
});

test.each([
  ['INTEGER); DROP', 'which is not taken'],
  ["ENUM('a')", 'which is not taken'],
  ['x', 'which is not taken'],
])('a parameter of the type %s is refused', async (type, message) => {
  const pinned = await session.pin('SELECT ?');
  expect(() => pinned.plan([{ type, text: '1' }])).toThrow(message);
  expect(() => pinned.plan([])).toThrow('It has 1 parameters, and 0 values were given.');
});

test('without values the parameters stay, and DuckDB says their types', async () => {
  const { plan, parameterCount } = await session.pin('SELECT id FROM rides WHERE id = ? AND ? = 2.5');
  const { parameters } = await session.reader.describe(plan());
  expect([parameterCount, parameters]).toEqual([2, ['BIGINT', 'DECIMAL(2,1)']]);
});

test('a statement that takes too long is stopped, and its sentence says how long it had', async () => {
  const { reader, lake } = session;
  const hasty = statements({ reader, tables: lake.reader, lakeRoot: lake.root, timeMaxMs: 200 });
  const pinned = await hasty.pin('SELECT count(*) FROM range(1000000000000) a, rides', { project: 'eider' as never });
  await expect(session.read(pinned)).rejects.toMatchObject({ code: 'statement_timeout' });
  expect(reader.activeStreams()).toBe(0);
});

test('a text that comes again is not parsed again, is pinned anew all the same, and means what its tables mean now', async () => {
  const { reader, lake } = session;
  const asked: string[] = [];
  const counting = {
    text: (sql: string, values: readonly string[]) => (asked.push(values[0] ?? ''), reader.text(sql, values)),
  };
  const own = statements({ reader: counting, tables: lake.reader, lakeRoot: lake.root, timeMaxMs: 10_000 });
  const sql = 'SELECT count(*) FROM twice a, "twice@s1" b';
  const rows = async () => session.read(await own.pin(sql, { project: 'eider' as never }));
  await lake.add('twice', ['SELECT unnest([1, 2]) AS a']);
  expect([await rows(), await rows(), asked.length]).toEqual([['(4)'], ['(4)'], 2]);
  await lake.add('twice', ['SELECT unnest([1, 2, 3]) AS a'], { snapshot: 2 });
  expect([await rows(), await rows(), asked.length]).toEqual([['(6)'], ['(6)'], 4]);
});

test('what is remembered of texts is bounded, and what was used last stays', () => {
  const recent = new Recent<number>(10);
  recent.set('aaaa', 1);
  recent.set('bbbb', 2);
  expect(recent.get('aaaa')).toBe(1);
  recent.set('cccc', 3);
  expect(['aaaa', 'bbbb', 'cccc'].map((text) => recent.get(text))).toEqual([1, undefined, 3]);
  recent.set('d'.repeat(11), 4);
  expect(recent.get('d'.repeat(11))).toBeUndefined();
});
