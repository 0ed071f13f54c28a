import { plusMicros } from '../../domain/instants.js';
import type { Instant } from '../../domain/ids.js';
import type { Database } from '../../store/db.js';
import { listSnapshots } from '../../store/history.js';
import { commitWindow } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { snapshotAt } from '../../store/time-travel.js';
import { withDatabase } from '../support/database.js';
import { race } from '../support/race.js';
import { commitOf, day, project, staged, view } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

const commit = (number: number, content: string, predecessor: number | null = null) =>
  commitWindow(db, commitOf(staged(number, content), predecessor));
const times = async (): Promise<Instant[]> =>
  (await listSnapshots(db, view, { limit: 100 })).map(({ committedAt }) => committedAt).reverse();
const resolve = (name: string) => tables(db).resolve(project, 'features', name);

test('a snapshot is found by its number and by any instant at which it was the newest', async () => {
  const first = await commit(1, 'a');
  await commit(2, 'a');
  await commit(1, 'b', first.commit);
  const committedAt = await times();
  for (const [index, at] of committedAt.entries()) {
    expect(await snapshotAt(db, view, at)).toBe(index + 1);
    expect(await resolve(`origin_hour@t${at}`)).toEqual(await resolve(`origin_hour@s${index + 1}`));
    expect(await resolve(`origin_hour@r1@t${at}`)).toEqual(await resolve(`origin_hour@r1@s${index + 1}`));
    // One microsecond earlier it was the one before.
    if (index > 0) expect(await snapshotAt(db, view, plusMicros(at, -1))).toBe(index);
  }
});

test('before the first commit, and after now, there is no snapshot', async () => {
  await expect(snapshotAt(db, view, day(1))).rejects.toMatchObject({ code: 'snapshot_unknown' });
  await commit(1, 'a');
  const [first] = await times();
  await expect(resolve(`origin_hour@t${plusMicros(first as Instant, -1)}`)).rejects.toMatchObject({
    code: 'snapshot_unknown',
    message: expect.stringContaining(first as string) as string,
  });
  await expect(resolve('origin_hour@t2100-01-01')).rejects.toMatchObject({ code: 'snapshot_unknown' });
  await expect(resolve('origin_hour@tomorrow')).rejects.toMatchObject({ code: 'request_invalid' });
  await expect(resolve('origin_hour@x1')).rejects.toMatchObject({ code: 'table_unknown' });
});

test('commit times follow the order of snapshots, whoever began first', async () => {
  await race(12, (at) => commit(at + 1, 'a'));
  const committedAt = await times();
  expect(committedAt).toEqual([...committedAt].sort());
  expect(new Set(committedAt).size).toBe(12);
});

test('the list says of each snapshot which window it has anew, how much it holds, and its row hash', async () => {
  const first = await commit(1, 'a');
  await commit(2, 'b');
  await commit(1, 'c', first.commit);
  const rows = await listSnapshots(db, view, { limit: 100 });
  expect(rows.map(({ snapshot, changed, windows, rows: count, readable }) => [snapshot, changed.start, windows, count, readable])).toEqual([[3, day(1), 2, 20, true], [2, day(2), 2, 20, true], [1, day(1), 1, 10, true]]); // prettier-ignore
  for (const { snapshot, rowHash } of rows) expect(rowHash).toBe((await resolve(`origin_hour@s${snapshot}`)).rowHash);
  expect((await listSnapshots(db, view, { limit: 1, before: 3 })).map(({ snapshot }) => snapshot)).toEqual([2]);
});
