import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { OnlineReport } from '../../domain/publishing.js';
import type { SignedCertificate } from '../../domain/snapshots.js';
import { until } from '../../programs/waiting.js';
import { migrate, openDatabase, type Database } from '../../store/db.js';
import { countRecords, eraseRecords } from '../../store/erased-records.js';
import {
  abandonErasure,
  endErasure,
  erasureKey,
  getErasure,
  openErasure,
  type ErasureKey,
} from '../../store/erasures.js';
import { loadGeneration, planGeneration, rollBack } from '../../store/online-publish.js';
import { recordReport, repairKeys, type MendingRow } from '../../store/online-reports.js';
import { shapeOf } from '../../store/online-shapes.js';
import { liveGeneration, lockOnlineView, tableOf } from '../../store/online.js';
import { replayPushes } from '../../store/pushes.js';
import { getResource } from '../../store/resources.js';
import { markTable } from '../../store/retention.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { day, onlineProject, publishRows, push, seat } from './online-samples.js';

/** Erasing beside those who move pointers and mend, and work that takes longer than a statement may. */

let database: TestDatabase;
let db: Database;
let project: ProjectName;
let tests = 0;
beforeAll(async () => {
  database = await withDatabase();
  db = database.db;
});
afterAll(() => database.close());
beforeEach(async () => {
  project = `erasing${++tests}` as ProjectName;
  await onlineProject(db, project);
});

const keys = [
  { name: 'row', type: 'INTEGER' },
  { name: 'letter', type: 'VARCHAR' },
];
const tuples = [keys.map(({ name }) => name)];
async function open(): Promise<{ id: string; key: ErasureKey }> {
  const { id } = await openErasure(db, { project, entity: 'seat', keys, values: [1, 'A'], reason: 'case' }, anonymous);
  return { id, key: (await erasureKey(db, project, id)) as ErasureKey };
}
async function plan(madeBy: string) {
  const view = await getResource(db, project, 'FeatureView', 'seats');
  const shape = await shapeOf(db, project, view);
  const at = { snapshot: 1, watermark: day('31') };
  return planGeneration(db, { ...{ project, view: 'seats', revision: view.revision, shape, madeBy }, ...at, workflowId: madeBy, principal: anonymous }); // prettier-ignore
}
const liveKeys = async () => {
  const generation = await liveGeneration(db, project, 'seats');
  return (await db.query<{ key: string }>(`SELECT key FROM ${tableOf(generation?.id ?? 0)} ORDER BY key`)).map(({ key }) => key); // prettier-ignore
};

test('an erasure waits for whoever writes pushed rows into a generation, and takes them out of it', async () => {
  await publishRows(db, project, [{ letter: 'B', at: day('10'), amount: 1 }]);
  const planned = await plan('second');
  await push(db, project, [seat('A', day('19'))]);
  await loadGeneration(
    db,
    planned.id,
    async () => 'hash',
    () => Readable.from([]),
  );
  const { id, key } = await open();
  let erasing: Promise<unknown> = Promise.resolve();
  await db.transaction(async (tx) => {
    // As a flip and a roll-back do.
    await lockOnlineView(tx, project, 'seats');
    expect(await replayPushes(tx, project, 'seats', planned)).toBe(1);
    let done = false;
    erasing = eraseRecords(db, project, id, key, tuples).finally(() => (done = true));
    const waits = () => db.query(`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`); // prettier-ignore
    await until(async () => done || (await waits()).length > 0, 10_000);
    expect(done).toBe(false);
  });
  await erasing;
  expect(await db.query(`SELECT key FROM ${tableOf(planned.id)}`)).toEqual([]);
  expect(await countRecords(db, project, key, tuples)).toEqual({});
});

test('a report from before an erasure mends no erased key', async () => {
  await publishRows(db, project, [{ letter: 'B', at: day('10'), amount: 1 }]);
  const wanted: MendingRow = { eventMicros: 0, knownMicros: 0, sequence: 0, features: '[]' };
  const mending = ['A', 'C'].map((letter) => ({ key: `[1,"${letter}"]`, seen: null, wanted }));
  const report = { id: 'r', view: 'seats', generation: 1, repaired: 0, differing: 2, differences: [] };
  await recordReport(db, project, report as unknown as OnlineReport, mending, 'w', anonymous);
  await open();
  expect(await repairKeys(db, project, 'seats', 'r', anonymous)).toMatchObject({ repaired: 1 });
  expect(await liveKeys()).toEqual(['[1,"B"]', '[1,"C"]']);
});

test('an erasure that is abandoned while its certificate is written gets none', async () => {
  const { id } = await open();
  const certificate = { erasure: id, entity: 'seat', endedAt: day('19') };
  const signed = { certificate, sha256: '', signature: '' } as unknown as SignedCertificate;
  await abandonErasure(db, project, { id, reason: 'nobody can' }, anonymous);
  await expect(endErasure(db, project, signed, anonymous)).rejects.toMatchObject({ code: 'erasure_ended' });
  expect(await getErasure(db, project, id)).toMatchObject({ status: 'abandoned', certificate: null });
});

test('what takes longer, the more rows there are, is not ended for being slow', async () => {
  const hasty = openDatabase({ url: database.url, statementMsMax: 100 });
  const slow = (await mkdtemp(join(tmpdir(), 'eider-slow-'))) as string;
  try {
    await expect(hasty.query('SELECT pg_sleep(0.2)')).rejects.toMatchObject({ code: '57014' });
    await db.query(`CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END'`); // prettier-ignore
    for (const change of ['DELETE ON pushed_rows', 'INSERT ON online_history', 'UPDATE ON files'])
      await db.query(`CREATE TRIGGER slow AFTER ${change} FOR EACH STATEMENT EXECUTE FUNCTION slowly()`);
    await publishRows(hasty, project, [{ letter: 'A', at: day('10'), amount: 1 }]);
    await publishRows(hasty, project, [{ letter: 'A', at: day('11'), amount: 2 }]);
    await rollBack(hasty, project, 'seats', null, anonymous);
    const table = { project, schema: 'features', name: 'seats', revision: 1 } as const;
    await markTable(hasty, table, { before: day('01'), by: 'collect', dryRun: false });
    const { id, key } = await open();
    await eraseRecords(hasty, project, id, key, tuples);
    await writeFile(join(slow, '9000_slow.sql'), 'SELECT pg_sleep(0.2)');
    expect(await migrate(hasty, slow)).toEqual(['9000_slow.sql']);
  } finally {
    await rm(slow, { recursive: true });
    await hasty.close();
  }
});
