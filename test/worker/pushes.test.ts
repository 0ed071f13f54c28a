import { Client, Connection } from '@temporalio/client';
import { createLogger } from '../../apps/log.js';
import { flushDue, forgetOldIds } from '../../apps/worker/pushes.js';
import type { UpkeepDependencies } from '../../apps/worker/schedules.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { claimKey, recordAnswer, type KeyClaim } from '../../store/idempotency.js';
import { planGeneration } from '../../store/online-publish.js';
import { shapeOf } from '../../store/online-shapes.js';
import { listGenerations } from '../../store/online.js';
import { getResource } from '../../store/resources.js';
import { anonymous } from '../../domain/principal.js';
import { dropAbandoned } from '../../apps/worker/upkeep.js';
import { day, onlineProject, publishRows, push, seat } from '../store/online-samples.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { withTemporal } from '../support/temporal.js';

const project = 'waiting' as ProjectName;
let database: TestDatabase;
let connection: Connection;
let dependencies: UpkeepDependencies;
beforeAll(async () => {
  const { address, namespace } = await withTemporal();
  connection = await Connection.connect({ address });
  database = await withDatabase();
  const log = createLogger('worker', 'error', () => undefined);
  const client = new Client({ connection, namespace });
  dependencies = { db: database.db, client, taskQueue: 'upkeep', retention: '30d', idempotency: '30d', log };
  await onlineProject(database.db, project);
});
afterAll(async () => {
  await connection.close();
  await database.close();
});

test('a flush is started once rows have waited for a minute, and only for rows that the lake shall hold', async () => {
  await push(database.db, project, [seat('A', day('19'))]);
  expect(await flushDue(dependencies)).toBe(0);
  const age = () => database.db.query("UPDATE pushed_rows SET pushed_at = pushed_at - interval '61 seconds'");
  await age();
  expect(await flushDue(dependencies)).toBe(1);
  // One that is open goes on.
  expect(await flushDue(dependencies)).toBe(1);
  const { type, status } = await dependencies.client.workflow.getHandle(workflowIds.flush(project, 'seats')).describe();
  expect([type, status.name]).toEqual(['flushPushes', 'RUNNING']);
  await database.db.query('UPDATE pushed_rows SET flushed_snapshot = 1');
  await push(database.db, project, [seat('A', day('19'))], { to: 'online' });
  await age();
  expect(await flushDue(dependencies)).toBe(0);
});

test('ids of pushes and keys of requests are kept for as long as the setting says', async () => {
  const { db } = dependencies;
  const count = async (table: string) =>
    (await db.query(`SELECT 1 FROM ${table} WHERE project = $1`, [project])).length;
  const ids = async () => [await count('pushes'), await count('idempotency_keys')];
  const claim = (await claimKey(db, project, 'key', 'a request')) as KeyClaim;
  await recordAnswer(db, claim, { status: 200, response: {} });
  await db.query('DELETE FROM pushed_rows WHERE project = $1', [project]);
  await forgetOldIds(dependencies);
  expect(await ids()).toEqual([2, 1]);
  await forgetOldIds({ ...dependencies, idempotency: '0s' });
  expect(await ids()).toEqual([0, 0]);
});

test('what a terminated publish has begun is dropped, what an open one has begun is left alone, and readers notice nothing', async () => {
  const { db, client } = dependencies;
  await publishRows(db, project, [{ letter: 'A', at: day('19'), amount: 1 }], 'published');
  const workflowId = workflowIds.publish(project, 'seats');
  const publish = () => client.workflow.start('publishView', { workflowId, taskQueue: 'upkeep' });
  const plan = async (madeBy: string) => {
    const view = await getResource(db, project, 'FeatureView', 'seats');
    const { revision } = view;
    return planGeneration(db, {
      ...{ project, view: 'seats', revision, shape: await shapeOf(db, project, view), snapshot: 1 },
      ...{ watermark: day('31'), madeBy, workflowId, principal: anonymous },
    });
  };
  const status = async () => (await listGenerations(db, project, 'seats')).map((one) => one.status);
  const first = await publish();
  await plan('first');
  await db.query("UPDATE online_generations SET created_at = created_at - interval '2 minutes' WHERE project = $1", [project]); // prettier-ignore
  await dropAbandoned(dependencies);
  const [building, live, ...older] = await status();
  expect([building, live]).toEqual(['building', 'live']);
  await first.terminate();
  // Another publish of the view has begun: it drops what it finds when it ends.
  const second = await publish();
  await dropAbandoned(dependencies);
  expect((await status())[0]).toBe('building');
  await second.terminate();
  await dropAbandoned(dependencies);
  expect(await status()).toEqual(['dropped', 'live', ...older]);
  await plan('young');
  await dropAbandoned(dependencies);
  expect((await status())[0]).toBe('building');
});
