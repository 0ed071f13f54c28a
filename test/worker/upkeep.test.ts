import { Client, Connection } from '@temporalio/client';
import { createLogger } from '../../apps/log.js';
import type { UpkeepDependencies } from '../../apps/worker/schedules.js';
import { keepUp, reconcile } from '../../apps/worker/upkeep.js';
import { workflowIds } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { until } from '../../programs/waiting.js';
import { announceRollout, findRollout } from '../../store/deployment.js';
import { applyResources, deleteResource } from '../../store/resources.js';
import { getRun } from '../../store/training.js';
import { day, flights, project, registered, startedRun } from '../store/samples.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { withTemporal } from '../support/temporal.js';

const lines: string[] = [];
let database: TestDatabase;
let connection: Connection;
let dependencies: UpkeepDependencies;
const taskQueue = 'upkeep';
const monitor = 'lateness_weekly';

beforeAll(async () => {
  const { address, namespace } = await withTemporal();
  connection = await Connection.connect({ address });
  database = await withDatabase();
  const log = createLogger('worker', 'info', (line) => lines.push(line));
  dependencies = { db: database.db, client: new Client({ connection, namespace }), taskQueue, retention: '30d', idempotency: '30d', log };
});
afterAll(async () => {
  await connection.close();
  await database.close();
});

test('what a terminated workflow left open is closed with the reason, what runs is left alone', async () => {
  const { db, client } = dependencies;
  const { version } = await registered(db);
  const { run } = await startedRun(db, day(2));
  const start = async (workflowId: string) => client.workflow.start('anything', { workflowId, taskQueue });
  const terminated = await start('deploy/terminated');
  await start(run.workflowId);
  const of = { model: 'lateness', version, dataInstant: day(1) };
  await announceRollout(
    db,
    project,
    { id: 'terminated', endpoint: 'a', workflowId: 'deploy/terminated', ...of },
    anonymous,
  );
  await announceRollout(
    db,
    project,
    { id: 'forgotten', endpoint: 'b', workflowId: 'deploy/forgotten', ...of },
    anonymous,
  );
  await announceRollout(db, project, { id: 'young', endpoint: 'c', workflowId: 'deploy/young', ...of }, anonymous);
  await terminated.terminate();
  await db.query("UPDATE rollouts SET opened_at = now() - interval '2 minutes' WHERE id <> 'young'");
  await db.query("UPDATE runs SET started_at = now() - interval '2 minutes'");
  await reconcile(dependencies);
  const closed = { status: 'failed', reason: 'Its workflow ended without a word, as one that is terminated does.' };
  expect(await findRollout(db, project, 'terminated')).toMatchObject(closed);
  expect(await findRollout(db, project, 'forgotten')).toMatchObject(closed);
  expect(await findRollout(db, project, 'young')).toMatchObject({ status: 'open' });
  expect(await getRun(db, project, run.id)).toMatchObject({ status: 'running' });
  await client.workflow.getHandle(run.workflowId).terminate();
  await reconcile(dependencies);
  expect(await getRun(db, project, run.id)).toMatchObject({ status: 'failed', error: { code: 'internal' } });
});

test('a schedule follows its Monitor: made by the outbox, changed in place, deleted with it', async () => {
  const { db, client } = dependencies;
  const handle = client.schedule.getHandle(workflowIds.schedule(project, monitor));
  const everyMs = async () => (await handle.describe().catch(() => null))?.spec.intervals?.[0]?.every ?? null;
  const dayMs = 86_400_000;
  const upkeep = keepUp(dependencies);
  try {
    await applyResources(db, project, flights(), anonymous);
    expect(await until(async () => (await everyMs()) === 7 * dayMs, 15_000)).toBe(true);
    await handle.pause('by an operator');
    const changed = flights().filter((one) => one.kind === 'Monitor').map((one) => ({ ...one, spec: { ...one.spec, window: '14d' } })); // prettier-ignore
    await applyResources(db, project, changed as never, anonymous);
    expect(await until(async () => (await everyMs()) === 14 * dayMs, 15_000)).toBe(true);
    // It was not made anew: what an operator said of it still holds.
    expect((await handle.describe()).state).toMatchObject({ paused: true, note: 'by an operator' });
    await deleteResource(db, project, 'Monitor', monitor, anonymous);
    expect(await until(async () => (await everyMs()) === null, 15_000)).toBe(true);
  } finally {
    await upkeep.stop();
  }
});

test('every project has a daily collection of garbage, which follows the retention', async () => {
  const { client } = dependencies;
  const handle = client.schedule.getHandle(workflowIds.collect(project));
  const asked = async () => ((await handle.describe()).action.args ?? [])[0];
  await reconcile(dependencies);
  expect(await asked()).toEqual({ project, keep: '30d', dryRun: false, principal: 'schedule' });
  expect((await handle.describe()).spec.intervals).toMatchObject([{ every: 86_400_000 }]);
  await reconcile({ ...dependencies, retention: '7d' });
  expect(await asked()).toMatchObject({ keep: '7d' });
});
