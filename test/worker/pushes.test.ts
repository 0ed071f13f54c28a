import { Client, Connection } from '@temporalio/client';
import { createLogger } from '../../apps/log.js';
import { flushDue } from '../../apps/worker/pushes.js';
import type { UpkeepDependencies } from '../../apps/worker/schedules.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { day, onlineProject, push, seat } from '../store/online-samples.js';
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
  dependencies = { db: database.db, client, taskQueue: 'upkeep', retention: '30d', log };
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
