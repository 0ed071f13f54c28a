import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import { migrate, only, openDatabase, recordLineage, type Database } from '../../store/db.js';
import { walkLineage } from '../../store/lineage.js';
import { commitWindow } from '../../store/snapshots.js';
import { until } from '../../programs/waiting.js';
import { withDatabase } from '../support/database.js';
import { commitOf, project, staged } from './samples.js';

let db: Database;
let url: string;
let close: () => Promise<void>;
beforeAll(async () => ({ db, url, close } = await withDatabase()));
afterAll(() => close());

test.each([
  ['whole seconds', "TIMESTAMPTZ '2001-03-05 00:00:00+00'", '2001-03-05T00:00:00.000000Z'],
  ['microseconds', "TIMESTAMPTZ '2001-03-05 01:02:03.123456+00'", '2001-03-05T01:02:03.123456Z'],
  ['another zone', "TIMESTAMPTZ '2001-03-05 01:00:00+05:30'", '2001-03-04T19:30:00.000000Z'],
  ['an instant before 1970', "TIMESTAMPTZ '1969-12-31 23:59:59.5+00'", '1969-12-31T23:59:59.500000Z'],
  ['a BIGINT', '9007199254740991::bigint', 9_007_199_254_740_991],
  ['a count', '(SELECT count(*) FROM projects)', 1],
  ['a sum of BIGINT', '(SELECT sum(x) FROM (VALUES (1::bigint), (2::bigint)) v(x))', 3],
  ['a double', '0.1::float8', 0.1],
  ['NaN', "'NaN'::float8", NaN],
  ['JSON', `'{"a":[1,null]}'::jsonb`, { a: [1, null] }],
  ['NULL', 'NULL::timestamptz', null],
])('%s comes out as we speak of it', async (_, sql, expected) => {
  expect(only(await db.query<{ value: unknown }>(`SELECT ${sql} AS value`)).value).toEqual(expected);
});

test('a BIGINT beyond what a number can hold is refused, not rounded', async () => {
  await expect(db.query('SELECT 9007199254740993::bigint')).rejects.toMatchObject({ code: 'internal' });
});

test('an instant survives the way there and back', async () => {
  const at = '2001-03-05T01:02:03.000001Z';
  expect(only(await db.query<{ at: string }>('SELECT $1::timestamptz AS at', [at])).at).toBe(at);
});

test('a transaction that throws leaves nothing, and its connection is used again', async () => {
  for (let at = 0; at < 20; at++)
    await expect(
      db.transaction(async (tx) => {
        await tx.query("INSERT INTO secrets (name, value) VALUES ('half', '')");
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
  expect(await db.query("SELECT 1 FROM secrets WHERE name = 'half'")).toEqual([]);
});

test('a connection that the server ends is an unreachable database, and the next query has another one', async () => {
  const ended = db.transaction(async (tx) => {
    await tx.query('SELECT pg_terminate_backend(pg_backend_pid())');
  });
  await expect(ended).rejects.toMatchObject({ code: 'database_unreachable', row: { retry: true } });
  expect(await db.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test.each(["SELECT 'unterminated", 'SELECT * FROM nothing'])(
  'a fault of ours is no unreachable database: %s',
  async (sql) => {
    const error = await db.query(sql).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toMatchObject({ code: 'database_unreachable' });
  },
);

test('nobody there is an unreachable database', async () => {
  const nobody = openDatabase({ url: 'postgresql://eider@127.0.0.1:1/eider' });
  await expect(nobody.query('SELECT 1')).rejects.toMatchObject({ code: 'database_unreachable' });
  await expect(nobody.transaction(async () => undefined)).rejects.toMatchObject({ code: 'database_unreachable' });
  await nobody.close();
});

test('migrating again does nothing, and four who start together migrate once', async () => {
  const folder = join(projectRoot, 'store/migrations');
  expect(await migrate(db, folder)).toEqual([]);
  await db.query('CREATE DATABASE fresh_for_migrations');
  const fresh = new URL(url);
  fresh.pathname = '/fresh_for_migrations';
  const four = Array.from({ length: 4 }, () => openDatabase({ url: fresh.href, poolMax: 1 }));
  const ran = await Promise.all(four.map((one) => migrate(one, folder)));
  expect(ran.filter((names) => names.length > 0)).toHaveLength(1);
  await Promise.all(four.map((one) => one.close()));
  await db.query('DROP DATABASE fresh_for_migrations WITH (FORCE)');
});

test('a listener hears what is notified, and again after its connection was lost', async () => {
  const heard: string[] = [];
  const stop = await db.listen('eider_test', (payload) => heard.push(payload));
  const hears = (text: string) =>
    until(async () => {
      await db.query("SELECT pg_notify('eider_test', $1)", [text]);
      return heard.includes(text);
    }, 10_000);
  expect(await hears('first')).toBe(true);
  await db.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()",
  );
  expect(await hears('second')).toBe(true);
  await stop();
});

test('lineage is walked both ways, over the files of a snapshot too', async () => {
  const made = await commitWindow(db, {
    ...commitOf(staged(1), null),
    lineage: [{ from: ['source', 'flights@r1'], to: ['table', 'features/origin_hour@r1'] }],
  });
  await recordLineage(db, project, [
    { from: ['snapshot', 'features/origin_hour@r1@s1'], to: ['training_set', 'set'] },
    { from: ['training_set', 'set'], to: ['run', 'run'] },
    { from: ['run', 'run'], to: ['training_set', 'set'] },
  ]);
  const shown = async (kind: string, id: string, direction: 'forward' | 'backward') =>
    (await walkLineage(db, project, { kind, id }, direction, 100)).edges.map(
      ({ from, to }) => `${from.kind}>${to.kind}`,
    );
  const commit = String(made.commit);
  expect(await shown('commit', commit, 'forward')).toEqual(
    expect.arrayContaining(['commit>table', 'commit>snapshot', 'snapshot>training_set', 'training_set>run']),
  );
  expect(await shown('run', 'run', 'backward')).toEqual(
    expect.arrayContaining(['training_set>run', 'commit>snapshot']),
  );
  expect(await walkLineage(db, project, { kind: 'commit', id: commit }, 'forward', 1)).toMatchObject({
    truncated: true,
  });
});
