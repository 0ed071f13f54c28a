import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import type { TrainedModelSummary } from '../../domain/training.js';
import { openErasure } from '../../store/erasures.js';
import { listFindings } from '../../store/monitoring.js';
import { ledger } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { serveInstance } from '../support/instance.js';
import { withWorld, type World } from '../support/world.js';

/** A revision of the Model renames an input while an older one serves: each version keeps the columns it asks for. */

const project = 'renamed' as ProjectName;
const days = 36;
const renamedSpine = 'SELECT id, "at" AS asked, place, a, b AS c, happened, known_at FROM events';

let world: World;
let stopServing: () => Promise<void>;
let second: TrainedModelSummary;
beforeAll(async () => {
  world = await withWorld();
  stopServing = await serveInstance(world);
  const path = await world.write('events.parquet', eventsSql({ days }));
  await world.apply(eventResources({ path }), project);
  const range = { start: dayOf(1), end: dayOf(days + 1) };
  await world.run('materializeView', 'm', { project, view: 'place_day', revision: 1, ...range, principal: 'ann' });
  await train(1, dayOf(15));
  await tick(22);
  const renamed = eventResources({ path, spineSql: renamedSpine }).map((one) =>
    one.kind === 'Model' ? { ...one, spec: { ...one.spec, inputs: ['a', 'c', 'place_day:mean'] } } : one,
  );
  await world.apply(renamed, project);
  second = await train(2, dayOf(22));
  // The first version still serves, with the columns of its own revision.
  await tick(29);
  await world.run('deployVersion', 'deploy', {
    ...{ project, endpoint: 'risk', model: 'risk', version: 2, asOf: dayOf(29), reason: 'by hand', principal: 'ann' },
  });
  await tick(36);
}, 120_000);
afterAll(async () => {
  await stopServing();
  await world.close();
});

const train = (revision: number, asOf: Instant) =>
  world.run('trainModel', workflowIds.train(project, 'risk', revision, asOf), {
    ...{ project, model: 'risk', revision, asOf, trigger: { kind: 'manual' as const }, principal: 'ann' },
  });
const tick = (day: number) =>
  world.run('monitorTick', workflowIds.monitor(project, 'weekly', dayOf(day)), {
    ...{ project, monitor: 'weekly', asOf: dayOf(day), principal: 'ann' },
  });
const table = (revision: number) => ({ project, schema: 'inference' as const, name: 'risk', revision });
const starts = async (revision: number) => (await ledger(world.db, table(revision))).map(({ start }) => start);

test('a champion that asks for columns which the training set lacks makes the verdict inconclusive', () => {
  expect(second).toMatchObject({
    ...{ verdict: 'inconclusive', version: 2, rollout: null },
    reasons: ['the champion asks for columns b that this training set lacks'],
  });
});

test('predictions of each revision are a table of their own, and its plain name means the newest', async () => {
  expect(await starts(1)).toEqual([dayOf(15), dayOf(22)]);
  expect(await starts(2)).toEqual([dayOf(29)]);
  const named = async (name: string) =>
    (await tables(world.db).resolve(project, 'inference', name)).columns.map((column) => column.name);
  expect(await named('risk@r1')).toEqual(expect.arrayContaining(['a', 'b']));
  expect(await named('risk')).toEqual(expect.arrayContaining(['a', 'c']));
  expect(await named('risk')).not.toContain('b');
});

test('a week is scored once, by whichever revision, and anew when it is asked for', async () => {
  const score = { project, endpoint: 'risk', start: dayOf(22), end: dayOf(29), asOf: dayOf(36), principal: 'ann' };
  expect(await world.run('scoreWindow', 'once', { ...score, once: true })).toMatchObject({ version: 1 });
  expect(await world.run('scoreWindow', 'anew', score)).toMatchObject({ version: 2, rows: 700 });
  expect(await starts(2)).toEqual([dayOf(22), dayOf(29)]);
});

test('weeks are judged by the version that scored them; a first version that lacks columns is no baseline', async () => {
  await tick(43);
  const judged = (await listFindings(world.db, project, 'weekly')).filter(({ test }) => test === 'auc');
  expect(judged.map(({ window, version }) => [window.start, version])).toEqual([
    [dayOf(36), 2],
    [dayOf(29), 2],
    [dayOf(22), 1],
    // Scored anew above.
    [dayOf(22), 2],
    [dayOf(15), 1],
  ]);
});

test('a log over both has what a version does not know as NULL', async () => {
  const range = { start: dayOf(15), end: dayOf(36) };
  const log = await world.run('commitInferenceLog', 'log', { project, endpoint: 'risk', ...range, principal: 'ann' });
  expect(log).toMatchObject({ table: 'risk_log', committed: 21, rows: 2100 });
  const { files, revision } = await tables(world.db).resolve(project, 'inference', 'risk_log');
  const list = files.map(({ key }) => `'${world.lake.path(key)}'`).join(', ');
  const rows = await world.query(
    `SELECT model_version AS version, count(*)::INTEGER AS rows, count(a)::INTEGER AS a, count(c)::INTEGER AS c FROM read_parquet([${list}]) GROUP BY 1 ORDER BY 1`,
  );
  expect(revision).toBe(2);
  expect(rows).toEqual([
    { version: 1, rows: 700, a: 700, c: 0 },
    { version: 2, rows: 1400, a: 1400, c: 1400 },
  ]);
});

test('a log that is committed while an erasure is open leaves the key out, whatever it reads still holds', async () => {
  const held = async () => {
    const { files } = await tables(world.db).resolve(project, 'inference', 'risk_log');
    const list = files.map(({ key }) => `'${world.lake.path(key)}'`).join(', ');
    return world.query(`SELECT key FROM read_parquet([${list}]) WHERE json_extract_string(key, '$.id') = '1500'`);
  };
  expect(await held()).toHaveLength(1);
  await world.apply([Resource.parse({ kind: 'Entity', name: 'event', spec: { keys: [{ name: 'id', type: 'BIGINT' }] } })], project); // prettier-ignore
  await openErasure(world.db, { project, entity: 'event', keys: [{ name: 'id', type: 'BIGINT' }], values: [1500], reason: 'case 4711' }, anonymous); // prettier-ignore
  const range = { start: dayOf(15), end: dayOf(36) };
  const log = await world.run('commitInferenceLog', 'log-again', { project, endpoint: 'risk', ...range, principal: 'ann' }); // prettier-ignore
  expect(log).toMatchObject({ committed: 1, rows: 99 });
  expect(await held()).toEqual([]);
});
