import { createHmac, randomUUID } from 'node:crypto';
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import type { ProjectName } from '../../domain/ids.js';
import { canonicalJson, digestOf } from '../../domain/json.js';
import { anonymous } from '../../domain/principal.js';
import { migrate, openDatabase } from '../../store/db.js';
import { eraseRecords } from '../../store/erased-records.js';
import { erasureKey, openErasure, type ErasureKey } from '../../store/erasures.js';
import { givingRevisions } from '../../store/hand-over.js';
import { claimKey, recordAnswer, type KeyClaim } from '../../store/idempotency.js';
import { forgetPushes } from '../../store/pushes.js';
import { secretNamed } from '../../store/tombstones.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { day, onlineProject, push, seat } from './online-samples.js';

/** What is remembered of a push, so that it happens once: for a while, and nothing that tells its rows to others. */

let database: TestDatabase;
let project: ProjectName;
let tests = 0;
beforeAll(async () => (database = await withDatabase()));
afterAll(() => database.close());
beforeEach(async () => {
  project = `ledger${++tests}` as ProjectName;
  await onlineProject(database.db, project);
});

const rows = (letter: string, amount = 1) => [seat(letter, day('19'), { amount })];
const digestOfPush = async (id: string) =>
  (await database.db.query<{ digest: string | null }>('SELECT digest FROM pushes WHERE project = $1 AND id = $2', [project, id]))[0]?.digest; // prettier-ignore
const reused = { code: 'push_id_reused' };
const erase = async (letter: string) => {
  const keys = [
    { name: 'row', type: 'INTEGER' },
    { name: 'letter', type: 'VARCHAR' },
  ];
  const asked = { project, entity: 'seat', keys, values: [1, letter], reason: 'case' };
  const { id } = await openErasure(database.db, asked, anonymous);
  const key = (await erasureKey(database.db, project, id)) as ErasureKey;
  await eraseRecords(database.db, project, id, key, [keys.map(({ name }) => name)]);
};

test('the digest of a push cannot be found by trying rows without the key that lies in the database', async () => {
  await push(database.db, project, rows('A'), { id: 'one' });
  const content = { rows: rows('A'), to: 'online_and_offline' };
  const secret = await secretNamed(database.db, 'pushes');
  expect(await digestOfPush('one')).toBe(createHmac('sha256', secret).update(canonicalJson(content)).digest('hex'));
  expect(await digestOfPush('one')).not.toBe(digestOf(content));
  await expect(push(database.db, project, rows('A', 2), { id: 'one' })).rejects.toMatchObject(reused);
});

test('after an erasure no digest of then is left, of that key’s pushes none is made, and repeats still get the first answer', async () => {
  const { repeated: _, ...first } = await push(database.db, project, [...rows('A'), ...rows('B')], { id: 'both' });
  await push(database.db, project, [{ at: day('19'), rain: 1 }], { id: 'rain', view: 'weather' });
  await erase('A');
  expect([await digestOfPush('both'), typeof (await digestOfPush('rain'))]).toEqual([null, 'string']);
  expect(await push(database.db, project, rows('B', 7), { id: 'both' })).toEqual({ ...first, repeated: true });
  expect(await push(database.db, project, [...rows('A'), ...rows('C')], { id: 'again' })).toMatchObject({ rows: 1 });
  expect(await digestOfPush('again')).toBeNull();
  await push(database.db, project, rows('C'), { id: 'clean' });
  expect(typeof (await digestOfPush('clean'))).toBe('string');
});

test('a request that came with a key before an erasure is known by the key alone', async () => {
  const ask = (request: unknown) => claimKey(database.db, project, 'key', request);
  const answer = { status: 200, response: { rows: 1 } };
  await recordAnswer(database.db, (await ask({ body: rows('A') })) as KeyClaim, answer);
  await expect(ask({ body: rows('B') })).rejects.toMatchObject({ code: 'idempotency_key_reused' });
  const kept = () => database.db.query('SELECT fingerprint FROM idempotency_keys WHERE project = $1', [project]);
  expect(await kept()).not.toEqual([{ fingerprint: digestOf({ body: rows('A') }) }]);
  await erase('A');
  expect(await kept()).toEqual([{ fingerprint: null }]);
  expect(await ask({ body: rows('A') })).toEqual(answer);
});

test('ids are forgotten once they are old and none of their rows is staged, not before', async () => {
  const dayMicros = 86_400e6;
  const age = (days: number) =>
    database.db.query(`UPDATE pushes SET pushed_at = now() - make_interval(days => $2) WHERE project = $1`, [project, days]); // prettier-ignore
  for (const id of ['gone', 'staged']) await push(database.db, project, rows('A'), { id });
  // As a collection of garbage does with rows that were flushed.
  await database.db.query("DELETE FROM pushed_rows WHERE project = $1 AND push_id = 'gone'", [project]);
  await age(29);
  expect(await forgetPushes(database.db, 30 * dayMicros)).toBe(0);
  expect(await push(database.db, project, rows('A'), { id: 'gone' })).toMatchObject({ repeated: true });
  await age(31);
  expect(await forgetPushes(database.db, 30 * dayMicros)).toBe(1);
  expect(await push(database.db, project, rows('A', 9), { id: 'gone' })).toMatchObject({ repeated: false });
  expect(await push(database.db, project, rows('A'), { id: 'staged' })).toMatchObject({ repeated: true });
});

test('what was pushed before there were hand-overs is known to have been pushed, flushed and collected or not, and no digest of then is kept', async () => {
  const folder = join(projectRoot, 'store', 'migrations');
  const then = await mkdtemp(join(tmpdir(), 'eider-then-'));
  const url = new URL(database.url);
  url.pathname = `/then_${randomUUID().slice(0, 8)}`;
  await database.db.query(`CREATE DATABASE ${url.pathname.slice(1)}`);
  const db = openDatabase({ url: url.href });
  try {
    for (const name of (await readdir(folder)).filter((one) => one < '0007')) await copyFile(join(folder, name), join(then, name)); // prettier-ignore
    await migrate(db, then);
    await db.query("INSERT INTO projects (name, principal) VALUES ('p', 'ann')");
    await db.query(
      "INSERT INTO pushes (project, view, id, digest, answer, principal) VALUES ('p', 'v', 'a', 'sha', '{}', 'ann')",
    );
    await db.query("INSERT INTO pushed_rows (project, view, sequence, revision, push_id, row_index, target, key, event_time, features) VALUES ('p', 'v', 7, 2, 'a', 0, 'online', '[]', now(), '[]')"); // prettier-ignore
    await db.query(
      "INSERT INTO lake_tables (project, schema, name, revision, columns) VALUES ('p', 'features', 'v', 1, '[]')",
    );
    await db.query(`INSERT INTO commits (project, schema, name, revision, window_start, window_end, snapshot, rows, bytes, row_hash, source_fingerprint, duration_ms, workflow_id, principal, lane, details)
      VALUES ('p', 'features', 'v', 1, '2001-01-01', '2001-01-02', 1, 1, 1, '', '', 1, '', '', 'pushes', '{"sequence": 5}')`); // prettier-ignore
    expect(await migrate(db, folder)).toContain('0007_hand_over.sql');
    expect(await db.query('SELECT digest FROM pushes')).toEqual([{ digest: null }]);
    expect(await givingRevisions(db, { project: 'p' as ProjectName, view: 'v', revision: 3 })).toEqual([
      { revision: 1, above: true },
      { revision: 2, above: true },
    ]);
    expect(await givingRevisions(db, { project: 'p' as ProjectName, view: 'v', revision: 2 })).toEqual([{ revision: 1, above: false }]); // prettier-ignore
  } finally {
    await db.close();
    await database.db.query(`DROP DATABASE ${url.pathname.slice(1)} WITH (FORCE)`);
    await rm(then, { recursive: true });
  }
});
