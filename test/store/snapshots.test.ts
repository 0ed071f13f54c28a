import type { ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { membersOf, recordCompaction } from '../../store/compaction.js';
import { recordTrainingSet } from '../../store/datasets.js';
import type { Database } from '../../store/db.js';
import {
  commitWindow,
  isDistinct,
  ledger,
  tableState,
  tableSummary,
  touchHeads,
  windowHeads,
} from '../../store/snapshots.js';
import { promiseSnapshots } from '../../store/leases.js';
import { applyResources } from '../../store/resources.js';
import { tables } from '../../store/tables.js';
import { until } from '../../programs/waiting.js';
import { withDatabase } from '../support/database.js';
import { race } from '../support/race.js';
import { commitOf, day, flights, project, staged, trainingSetManifest, view } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

const commit = (number: number, content: string, predecessor: number | null, attempt?: string) =>
  commitWindow(db, commitOf(staged(number, content, attempt), predecessor));
const keysAt = async (name: string) =>
  (await tables(db).resolve(project, 'features', name)).files.map(({ key }) => key);

test('commits number the snapshots from 1 without gaps', async () => {
  const snapshots = [];
  for (const number of [1, 2, 3]) snapshots.push((await commit(number, 'a', null)).snapshot);
  expect(snapshots).toEqual([1, 2, 3]);
  expect(await tableState(db, view)).toEqual({ snapshot: 3, windows: 3 });
});

test('of eight who commit the same window at once one does, and all get the recorded commit', async () => {
  const { values, codes } = await race(8, (at) => commit(1, 'a', null, String(at)));
  expect(codes).toEqual([]);
  expect(new Set(values.map((one) => `${one.commit} ${one.snapshot}`)).size).toBe(1);
  expect(values.filter(({ repeated }) => !repeated)).toHaveLength(1);
  expect(await ledger(db, view, { all: true })).toHaveLength(1);
  expect(await keysAt('origin_hour')).toHaveLength(1);
  expect(await tableState(db, view)).toEqual({ snapshot: 1, windows: 1 });
});

test('of eight who commit different content on the same head one does, and the others are told', async () => {
  const { values, codes } = await race(8, (at) => commit(1, `content-${at}`, null));
  expect(values).toMatchObject([{ repeated: false }]);
  expect(codes).toEqual(Array.from({ length: 7 }, () => 'generation_moved'));
  expect((await tableState(db, view)).snapshot).toBe(1);
});

test('many windows committed at once have as many snapshots, each number once', async () => {
  const { values } = await race(12, (at) => commit(at + 1, 'a', null));
  expect(values.map(({ snapshot }) => snapshot).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 12 }, (_, at) => at + 1),
  );
});

test('a lease that is taken again waits for a collection that is marking, and is told what that removed', async () => {
  const first = await commit(1, 'a', null);
  await commit(1, 'b', first.commit);
  const ref = { ...view, snapshot: 1 };
  await promiseSnapshots(db, [ref], 0);
  const again = await db.transaction(async (tx) => {
    await tx.query('SELECT 1 FROM lake_tables FOR UPDATE');
    let ended = false;
    const codes = race(1, () => promiseSnapshots(db, [ref], 60_000)).finally(() => (ended = true));
    const waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    expect(await until(async () => ended || (await db.query(waits)).length > 0, 20_000)).toBe(true);
    await tx.query("UPDATE files SET removed_at = now(), removed_by = 'gc' WHERE end_snapshot IS NOT NULL");
    // In an object, or the transaction would wait for what waits for it.
    return { codes };
  });
  expect((await again.codes).codes).toEqual(['snapshot_collected']);
});

test('a snapshot that is named more than once is promised once', async () => {
  await commit(1, 'a', null);
  const ref = { ...view, snapshot: 1 };
  await promiseSnapshots(db, [ref, { ...ref }, ref], 60_000);
  expect(await db.query('SELECT snapshot FROM leases')).toEqual([{ snapshot: 1 }]);
});

test('windows that rows were pushed to after a compaction was planned are not compacted', async () => {
  await applyResources(db, project, flights(), anonymous);
  const range = { first: day(1), last: day(3) };
  for (const number of [1, 2, 3]) await commit(number, 'a', null);
  const pushed = await commitWindow(db, { ...commitOf(staged(2, 'pushed'), null), lane: 'pushes' });
  expect(pushed.repeated).toBe(false);
  await expect(membersOf(db, view, range)).rejects.toMatchObject({ code: 'generation_moved' });
  const [file] = staged(9).files;
  const made = { table: view, ...range, members: await keysAt('origin_hour'), workflowId: 'w', principal: anonymous };
  expect(made.members).toHaveLength(4);
  await expect(
    recordCompaction(db, { ...made, file: { key: '', rows: 0, bytes: 0, sha256: '', ...file, rowHash: '' } }),
  ).rejects.toMatchObject({ code: 'generation_moved' });
  expect(await keysAt('origin_hour')).toEqual(made.members);
});

test('a window is committed anew on its head only', async () => {
  const first = await commit(1, 'a', null);
  await expect(commit(1, 'b', null)).rejects.toMatchObject({ code: 'generation_moved' });
  const second = await commit(1, 'b', first.commit);
  expect(second).toMatchObject({ snapshot: 2, repeated: false });
  await expect(commit(1, 'c', first.commit)).rejects.toMatchObject({ code: 'generation_moved' });
});

test('content that comes back is a third commit with the first one’s row hash', async () => {
  const first = await commit(1, 'a', null);
  const second = await commit(1, 'b', first.commit, 'second');
  await commit(1, 'a', second.commit, 'third');
  const hashes = (await ledger(db, view, { all: true })).map(({ rowHash }) => rowHash);
  expect(hashes).toHaveLength(3);
  expect(hashes[2]).toBe(hashes[0]);
  const reader = tables(db);
  const [at1, at2, at3] = await Promise.all(
    [1, 2, 3].map((number) => reader.resolve(project, 'features', `origin_hour@s${number}`)),
  );
  expect(at3?.rowHash).toBe(at1?.rowHash);
  expect(at2?.rowHash).not.toBe(at1?.rowHash);
});

test('a reader at a snapshot gets the same files, whatever is committed meanwhile', async () => {
  let head = (await commit(1, 'v0', null)).commit;
  await commit(2, 'a', null);
  const before = await keysAt('origin_hour@s2');
  const writer = (async () => {
    for (let at = 1; at <= 30; at++) head = (await commit(1, `v${at}`, head)).commit;
  })();
  let reads = 0;
  for (let writing = true; writing; reads++) {
    writing = await Promise.race([writer.then(() => false), keysAt('origin_hour@s2').then(() => true)]);
    expect(await keysAt('origin_hour@s2')).toEqual(before);
    expect(await keysAt('origin_hour')).toHaveLength(2);
  }
  expect(reads).toBeGreaterThan(1);
  expect(await keysAt('origin_hour')).toEqual(['1/v30-first.parquet', '2/a-first.parquet']);
});

test('what belongs to a commit is done with it or not at all, and once', async () => {
  const refused = { ...commitOf(staged(1), null), also: () => Promise.reject(new Error('no')) };
  await expect(commitWindow(db, refused)).rejects.toThrow('no');
  expect(await tableState(db, view)).toEqual({ snapshot: 0, windows: 0 });
  let times = 0;
  const counted = { ...commitOf(staged(1), null), also: async () => void times++ };
  await commitWindow(db, counted);
  await commitWindow(db, counted);
  expect(times).toBe(1);
});

test('heads are those of the windows that a range touches', async () => {
  for (const number of [1, 2, 3]) await commit(number, 'a', null);
  const starts = async (start: number, end: number) =>
    (await windowHeads(db, view, { start: day(start), end: day(end) })).map((head) => head.start);
  expect(await starts(2, 3)).toEqual([day(2)]);
  expect(await starts(1.5, 2.5)).toEqual([day(1), day(2)]);
  expect(await starts(4, 9)).toEqual([]);
});

test('a head that was looked at keeps its commit and notes the state of the source', async () => {
  const first = await commit(1, 'a', null);
  const second = await commit(2, 'a', null);
  await commit(2, 'b', second.commit);
  // The second is no head any more: whoever found it current says nothing of the one that took its place.
  await touchHeads(db, view, [first.commit, second.commit], 'version-2');
  const heads = await windowHeads(db, view, { start: day(1), end: day(3) });
  expect(heads.map((head) => head.sourceVersion)).toEqual(['version-2', 'version-1']);
});

test('the ledger lists the newest state of each window in time order, all of them in commit order, page by page', async () => {
  const second = await commit(2, 'a', null);
  await commit(1, 'a', null);
  await commit(2, 'b', second.commit);
  const shown = async (options: Parameters<typeof ledger>[2]) =>
    (await ledger(db, view, options)).map(({ start, snapshot }) => [start, snapshot]);
  expect(await shown({})).toEqual([[day(1), 2], [day(2), 3]]); // prettier-ignore
  expect(await shown({ all: true })).toEqual([[day(2), 1], [day(1), 2], [day(2), 3]]); // prettier-ignore
  const [first] = await ledger(db, view, { limit: 1 });
  expect(await shown({ after: first?.commit })).toEqual([[day(2), 3]]);
  expect(await tableSummary(db, view)).toEqual({
    ...{ snapshot: 3, windows: 2, rows: 20, bytes: 200 },
    ...{ start: day(1), end: day(3) },
  });
});

test.each([
  ['both windows', [true, true], true],
  ['only one', [true, false], false],
  ['neither', [undefined, undefined], false],
])('a snapshot is known to be distinct when %s was found so', async (_, found, expected) => {
  for (const [at, distinct] of found.entries())
    await commitWindow(db, { ...commitOf(staged(at + 1), null), details: { distinct } });
  expect(await isDistinct(db, view, 2)).toBe(expected);
});

describe('names of tables', () => {
  const other = { ...view, revision: 2 };
  beforeEach(async () => {
    await applyResources(db, project, flights(), anonymous);
    for (const number of [1, 2]) await commit(number, 'a', null);
    await commitWindow(db, commitOf(staged(1, 'r2'), null, other));
  });
  const resolve = (name: string) => tables(db).resolve(project, 'features', name);

  test.each([
    ['origin_hour', 1, 2, 2],
    ['origin_hour@r1', 1, 2, 2],
    ['origin_hour@r2', 2, 1, 1],
    ['origin_hour@s1', 1, 1, 1],
    ['origin_hour@s2', 1, 2, 2],
  ])('%s is revision %d at snapshot %d with %d files', async (name, revision, snapshot, files) => {
    const table = await resolve(name);
    expect(table).toMatchObject({ revision, snapshot, rows: files * 10, bytes: files * 100 });
    expect(table.files).toHaveLength(files);
    expect(await tables(db).at(project, 'features', 'origin_hour', revision, snapshot)).toEqual(table);
  });

  test.each([
    ['origin_hour@r3', 'table_unknown'],
    ['origin_day', 'table_unknown'],
    ['origin_hour@s3', 'snapshot_unknown'],
    ['origin_hour@s0', 'snapshot_unknown'],
    ['origin_hour@x1', 'table_unknown'],
    ['origin_hour@s1@r1', 'table_unknown'],
    ['', 'table_unknown'],
  ])('%j is refused as %s', async (name, code) => {
    await expect(resolve(name)).rejects.toMatchObject({ code });
  });

  test('a training set is named by its row hash, too, within its schema and project', async () => {
    const manifest = trainingSetManifest('train_1');
    const set = { ...view, schema: 'datasets' as const, name: manifest.name };
    await commitWindow(db, commitOf(staged(1, 'set'), null, set));
    await recordTrainingSet(db, project, manifest, null, anonymous);
    const byHash = (hash: string) => tables(db).resolve(project, 'datasets', `sha256:${hash}`);
    expect(await byHash(manifest.rowHash)).toEqual(await tables(db).resolve(project, 'datasets', manifest.name));
    await expect(byHash('0'.repeat(64))).rejects.toMatchObject({ code: 'table_unknown' });
    await expect(resolve(`sha256:${manifest.rowHash}`)).rejects.toMatchObject({ code: 'table_unknown' });
  });

  test('the list has every table once, at its active revision and newest snapshot', async () => {
    const list = await tables(db).list(project);
    expect(list.map(({ name, revision, snapshot }) => [name, revision, snapshot])).toEqual([['origin_hour', 1, 2]]);
    expect(await tables(db).list(project, 'datasets')).toEqual([]);
    await expect(tables(db).list('nobody' as ProjectName)).rejects.toMatchObject({ code: 'project_unknown' });
  });

  test('the key that signs tickets is made once, whoever asks first', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => tables(db).ticketKey()));
    expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
    expect(keys[0]?.length).toBe(32);
  });
});

test('a table keeps its columns: a commit of others is refused and changes nothing', async () => {
  await commitWindow(db, commitOf(staged(1), null));
  const other = { ...commitOf(staged(2), null), columns: [{ name: 'origin', type: 'INTEGER' }] };
  await expect(commitWindow(db, other)).rejects.toMatchObject({
    ...{ code: 'table_columns_changed', data: { table: 'features/origin_hour@r1' } },
  });
  expect(await tableState(db, view)).toEqual({ snapshot: 1, windows: 1 });
});
