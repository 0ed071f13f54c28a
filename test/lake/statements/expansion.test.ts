import { checkStatement } from '../../../lake/statements/check.js';
import { parseStatement } from '../../../lake/statements/parse.js';
import { openSession, type StatementSession } from './session.js';

let session: StatementSession;

beforeAll(async () => (session = await openSession()));
afterAll(() => session?.close());

const nested = (before: string, inner: string, after: string) => (depth: number) =>
  `SELECT ${before.repeat(depth)}${inner}${after.repeat(depth)} FROM (SELECT 1 AS x)`;
const chain = (part: (index: number) => string) => (length: number) =>
  Array.from({ length }, (_, index) => part(index)).join(', ');

/** What is short, and makes DuckDB's parser or binder work for hours, or crash, when there is much of it. */
const bombs: Record<string, (size: number) => string> = {
  'sums in a row': (size) => `SELECT ${'x + '.repeat(size)}x FROM (SELECT 1 AS x)`,
  'joins in a row': (size) => `SELECT 1 FROM (SELECT 1) ${', (SELECT 1)'.repeat(size)}`,
  'unions in a row': (size) => `SELECT 1 ${'UNION ALL SELECT 1 '.repeat(size)}`,
  'nested calls': nested('abs(', 'x', ')'),
  'nested lists': nested('[', 'x', ']'),
  'nested subqueries': nested('(SELECT ', 'x', ')'),
  'nested tables': (size) => `SELECT * FROM ${'(SELECT * FROM '.repeat(size)}(SELECT 1)${')'.repeat(size)}`,
  'nested lambdas': (size) => `SELECT ${'x -> '.repeat(size)}x`,
  'nested BETWEEN': nested('(', 'x', ' BETWEEN 1 AND 2)::INTEGER'),
  'nested simple CASE': nested('CASE ', 'x', ' WHEN 1 THEN 1 WHEN 2 THEN 2 END'),
  'nested searched CASE': nested('CASE WHEN ', 'x = 1', ' THEN true END'),
  'nested macros': nested('nullif(', 'x', ', 2)'),
  'aliases of aliases': (size) =>
    `SELECT x AS a0, ${chain((i) => `a${i} + a${i} AS a${i + 1}`)(size)} FROM (SELECT 1 AS x)`,
  'copied WITHs': (size) =>
    `WITH c0 AS (SELECT 1), ${chain((i) => `c${i + 1} AS NOT MATERIALIZED (SELECT 1 FROM c${i}, c${i})`)(size)} FROM c${size}`,
  'copied windows': (size) =>
    `SELECT ${chain(() => 'sum(x) OVER w')(size)} FROM (SELECT 1 AS x) WINDOW w AS (PARTITION BY ${chain(() => 'x')(size)})`,
};
/** DuckDB itself makes little of these, or says that they are too deep. */
const harmless = new Set(['unions in a row', 'copied WITHs']);
const small = 4;

describe.each(Object.entries(bombs))('%s', (name, bomb) => {
  test('are read when there are few', async () => {
    await session.pin(bomb(small));
  });

  test.each([100, 250, 1_000])('are refused or bound within two seconds when there are %i', async (size) => {
    const started = process.cpuUsage();
    const outcome = await session
      .pin(bomb(size))
      .then(({ plan }) => session.reader.describe(plan()))
      .catch((error: { code?: string }) => error.code);
    const { user, system } = process.cpuUsage(started);
    expect((user + system) / 1e6).toBeLessThan(2);
    expect(outcome).not.toBe('internal');
    if (size > 200 && !harmless.has(name)) expect(outcome).toBe('statement_too_large');
  });
});

test('nothing that the parser multiplies reaches it', async () => {
  const parsed: string[] = [];
  const parser = { text: (_: string, [sql]: readonly string[]) => (parsed.push(sql ?? ''), Promise.resolve('')) };
  for (const name of ['nested simple CASE', 'copied windows'])
    await expect(parseStatement(parser, bombs[name]?.(1_000) ?? '')).rejects.toMatchObject({
      code: 'statement_too_large',
    });
  expect(parsed).toEqual([]);
});

test('a quote of any kind hides no CASE from the count', async () => {
  const bomb = bombs['nested simple CASE']?.(20) ?? '';
  const parser = { text: () => Promise.reject(new Error('It was parsed.')) };
  for (const quote of [
    "'it''s' AS a, ",
    '"a""b", ',
    "$$ ' $$ AS a, ",
    '$q$ " $$ $q$ AS a, ',
    "/* ' */ ",
    "/* /* */ ' */ ",
    "-- '\n",
    '-- \r',
    '1 AS "\'", ',
    "e'a' AS a, ",
    '1.5 AS a, $1.end AS b, ',
  ])
    await expect(
      parseStatement(
        parser,
        bomb.replace('SELECT ', () => `SELECT ${quote}`),
      ),
    ).rejects.toMatchObject({
      code: 'statement_too_large',
    });
});

test('a keyword that is a name there ends no CASE', async () => {
  const parser = { text: () => Promise.reject(new Error('It was parsed.')) };
  for (const name of ['x.end', 'x./**/END', '$end', '(SELECT 1 AS end)', '.5.end', '$1.end', 'x.case', '1.'])
    await expect(
      parseStatement(parser, nested(`CASE ${name} + (`, 'x', ') WHEN 1 THEN 1 WHEN 2 THEN 1.END')(20)),
    ).rejects.toMatchObject({ code: 'statement_too_large' });
});

test.each([
  ['a backslash before a quote', (bomb: string) => `SELECT E'\\'', ${bomb}, ''`],
  ['the same in a text that goes on', (bomb: string) => `SELECT E'a'\n'\\'', ${bomb}, ''`],
  ['the same behind a number', (bomb: string) => `SELECT 1E'\\'', ${bomb}, ''`],
  ['the same behind a space that is none', (bomb: string) => `SELECT x\u00a0E'\\'', ${bomb}, ''`],
  ['a quote with a name that is not ASCII', (bomb: string) => `SELECT $é$ ' $é$, ${bomb}, ''`],
  ['keywords beside spaces that are none', (bomb: string) => `SELECT ${bomb.replaceAll('CASE', 'CASE\u00a0')}`],
  ['the definition of a macro', (bomb: string) => `CREATE MACRO f() AS ${bomb}`],
])('where DuckDB may read quotes otherwise, it is not asked: %s', async (_, around) => {
  const parser = { text: () => Promise.reject(new Error('It was parsed.')) };
  await expect(parseStatement(parser, around('CASE 1 WHEN 2 THEN 3 END'))).rejects.toMatchObject({
    code: 'statement_refused',
  });
});

test('texts of any kind, comments and names are read as they are meant', async () => {
  const sql = `/* a /* b */ c */ SELECT E'a\\n', $q$it's$q$, 'née''s', 1.5, x.end AS end, "case" -- when\r\n FROM (SELECT {'end': 2} AS x, 3 AS "case")`;
  await expect(session.rows(sql)).resolves.toHaveLength(1);
});

test('what begins a statement that is refused is found at once, whatever stands before it', async () => {
  const parser = { text: () => Promise.resolve('{"error":true,"error_type":"not implemented"}') };
  const started = performance.now();
  for (const before of [`${'/**/'.repeat(10_000)}--\u2028\n`, '/* '.repeat(20_000), '(;'.repeat(30_000)])
    await expect(parseStatement(parser, `${before}${before.includes('/* ') ? '' : 'SET x = 1'}`)).rejects.toThrow(
      before.includes('/* ') ? 'This is not served' : 'SET is not served',
    );
  expect(performance.now() - started).toBeLessThan(1_000);
});

test('a kind of node, or a field of one, that is not known is refused', () => {
  const tree = (from: object) => ({ node: { type: 'SELECT_NODE', select_list: [], from_table: from } });
  const refused = (from: object) => expect(() => checkStatement(tree(from))).toThrow('not served here');
  checkStatement(tree({ type: 'EMPTY', alias: '' }));
  refused({ type: 'COLUMN_DATA' });
  refused({ type: 'EMPTY', hidden: { type: 'BASE_TABLE' } });
  refused({ type: 'TABLE_FUNCTION', function: { class: 'SUBQUERY', function_name: 'range', secret: 1 } });
  refused({ type: '__proto__' });
});
