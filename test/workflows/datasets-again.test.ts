import { open, rename, stat, truncate } from 'node:fs/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createActivities } from '../../activities/index.js';
import type { DatasetManifest, RecreatedDataset, VerifiedDataset } from '../../domain/datasets.js';
import { DatasetSpec, relabelled } from '../../domain/datasets.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { Resource } from '../../domain/resources.js';
import { anonymous } from '../../domain/principal.js';
import { openEngine } from '../../lake/duckdb.js';
import { filesOfTrainingSet, getTrainingSet, listChecks } from '../../store/datasets.js';
import { putLabels } from '../../store/labels.js';
import { pushRows } from '../../store/pushes.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** Whether a training set still is what it was, and whether the same comes out of what it was made of. */

const days = 10;
let world: World;
let project: ProjectName;
let tests = 0;
let set: DatasetManifest;
let file: string;
beforeAll(async () => void (world = await withWorld()), 120_000);
afterAll(() => world.close());
beforeEach(async () => {
  project = `again${++tests}` as ProjectName;
  await source();
  await world.apply(
    eventResources({ path: `${world.home}/data/${project}.parquet`, endpoint: false }).filter(({ kind }) => kind !== 'Monitor').map((one) => Resource.parse(one)), // prettier-ignore
    project,
  );
  await materialize();
  set = await build();
  const [kept] = await filesOfTrainingSet(world.db, project, set.name);
  file = world.lake.path(kept?.key ?? '');
});

const source = (change?: string) =>
  world.write(`${project}.parquet`, eventsSql({ days, ...(change ? { change } : {}) }));
const materialize = () =>
  world.run('materializeView', `m/${project}`, {
    ...{ project, view: 'place_day', revision: 1, principal: 'ann', start: dayOf(1), end: dayOf(days + 1) },
  });
const spine = {
  from: 'sql',
  sources: ['events'],
  sql: 'SELECT id, "at" AS asked, place, a, happened FROM events WHERE id % 3 = 0',
};
async function build(more: object = {}): Promise<DatasetManifest> {
  const spec = DatasetSpec.parse({
    ...{ name: 'kept', spine, eventTime: 'asked', key: ['id'], features: ['place_day:mean', 'place_day:events'] },
    ...{ split: { by: 'random', parts: [{ name: 'train', share: 0.7 }, { name: 'test', share: 0.3 }] }, ...more }, // prettier-ignore
  });
  await world.run('buildDataset', workflowIds.dataset(project, spec.name), { project, spec, principal: 'ann' });
  return getTrainingSet(world.db, project, spec.name);
}
const asked = () => ({ project, name: set.name, principal: 'bob' });
const verify = (): Promise<VerifiedDataset> =>
  world.run('verifyDataset', workflowIds.verify(project, set.name), asked());
const recreate = (): Promise<RecreatedDataset> =>
  world.run('recreateDataset', workflowIds.recreate(project, set.name), asked());

async function flip(at: number): Promise<void> {
  const handle = await open(file, 'r+');
  const byte = Buffer.alloc(1);
  await handle.read(byte, 0, 1, at);
  await handle.write(Buffer.from([(byte[0] ?? 0) ^ 1]), 0, 1, at);
  await handle.close();
}
const partOf = async (column: string) => {
  const [part] = await world.query<{ at: number; bytes: number }>(
    `SELECT coalesce(dictionary_page_offset, data_page_offset)::DOUBLE AS at, total_compressed_size::DOUBLE AS bytes FROM parquet_metadata('${file}') WHERE path_in_schema = '${column}'`,
  );
  return part as NonNullable<typeof part>;
};

describe('verify', () => {
  test('an untouched set is intact, and every look is recorded', async () => {
    const rowHash = { recorded: set.rowHash, found: set.rowHash };
    expect(await verify()).toMatchObject({ verdict: 'intact', damage: [], rowHash });
    await verify();
    const checks = await listChecks(world.db, project, set.name);
    expect(checks.map(({ kind, verdict, principal }) => [kind, verdict, principal])).toEqual([
      ['verify', 'intact', 'bob'],
      ['verify', 'intact', 'bob'],
    ]);
  });

  test.each(['a', 'place_day__mean', 'split'])('one flipped byte is found: row group and column %s', async (column) => {
    const { at, bytes } = await partOf(column);
    await flip(at + Math.floor(bytes / 2));
    const verified = await verify();
    expect(verified).toMatchObject({ verdict: 'damaged', damage: [{ rowGroup: 0, column }] });
    expect(verified.reasons[0]).toContain(`row group 0, column ${column}`);
  });

  test('a flipped byte of the footer, a file that was cut, and one that is gone are told apart', async () => {
    const { size } = await stat(file);
    await flip(size - 1);
    expect((await verify()).reasons[0]).toContain('does not read as Parquet any more');
    await flip(size - 1);
    expect((await verify()).verdict).toBe('intact');
    await truncate(file, size - 100);
    expect((await verify()).reasons[0]).toContain(`has ${size - 100} bytes instead of ${size}`);
    await rename(file, `${file}.away`);
    expect(await verify()).toMatchObject({ verdict: 'damaged', rowHash: { found: null }, reasons: [expect.stringContaining('is missing'), 'Its rows cannot be read.'] }); // prettier-ignore
  });
});

describe('recreate', () => {
  test('the same rows come out', async () => {
    const rowHash = { recorded: set.rowHash, found: set.rowHash };
    expect(await recreate()).toMatchObject({ verdict: 'same', spine: 'read', rowHash });
    expect(await listChecks(world.db, project, set.name)).toMatchObject([{ kind: 'recreate', verdict: 'same' }]);
  });

  test('and again after later backfills of a source that was corrected since, though not from it', async () => {
    await source('amount + 1');
    await materialize();
    expect(await recreate()).toMatchObject({ verdict: 'same', spine: 'read' });
    const anew = await build({ name: 'anew' });
    expect(anew.spineHash).toBe(set.spineHash);
    expect(anew.rowHash).not.toBe(set.rowHash);
  });

  test('so do those of a set as of a commit time, which is made of what was committed by then, whatever came since', async () => {
    const [{ then } = { then: '' }] = await world.db.query<{ then: string }>('SELECT max(committed_at) AS then FROM commits WHERE project = $1', [project]); // prettier-ignore
    await source('amount + 1');
    await materialize();
    await pushRows(world.db, { project, view: 'place_day', to: 'online_and_offline', id: 'one', rows: [{ place: 'place-3', event_time: dayOf(3), mean: 9, events: 1 }] }, anonymous); // prettier-ignore
    const { name: before } = set;
    const [now, back] = [await build({ name: 'now' }), await build({ name: 'back', systemTime: then })];
    expect([back.rowHash === set.rowHash, now.rowHash === set.rowHash]).toEqual([true, false]);
    expect(back.views).toEqual(set.views);
    set = back;
    expect(await recreate()).toMatchObject({ verdict: 'same', spine: 'read' });
    expect(await verify()).toMatchObject({ verdict: 'intact' });
    await source('amount + 2');
    await materialize();
    expect(await recreate()).toMatchObject({ verdict: 'same' });
    const again = relabelled(back, { name: 'again' as never });
    expect([again.systemTime, before]).toEqual([undefined, 'kept']);
  });

  test.each([
    ['before the first commit', () => dayOf(1)],
    ['that is still to come', () => instant('2999-01-01')],
  ])('a commit time %s is refused', async (_, systemTime) => {
    const spec = DatasetSpec.parse({ name: 'no', spine, eventTime: 'asked', features: ['place_day:mean'], systemTime: systemTime() }); // prettier-ignore
    const input = { project, spec, principal: 'ann' };
    expect(await world.failure('buildDataset', `no/${project}`, input)).toMatchObject({ code: 'snapshot_unknown' });
  });

  test('a grid of a view’s keys has those that it had by the commit time', async () => {
    const grid = { from: 'grid', keys: { view: 'place_day' }, start: dayOf(3), end: dayOf(4), step: '1d' };
    const [{ then } = { then: '' }] = await world.db.query<{ then: string }>('SELECT max(committed_at) AS then FROM commits WHERE project = $1', [project]); // prettier-ignore
    await world.write(`${project}.parquet`, `SELECT * REPLACE (place || '!' AS place) FROM (${eventsSql({ days })})`);
    await materialize();
    const spec = { spine: grid, key: undefined, features: ['place_day:mean'], systemTime: then };
    set = await build({ name: 'grid', ...spec });
    const [kept] = await filesOfTrainingSet(world.db, project, set.name);
    const rows = await world.query<{ place: string }>(`SELECT place FROM '${world.lake.path(kept?.key ?? '')}'`);
    expect(rows.map(({ place }) => place)).toEqual(['place-0', 'place-1', 'place-2', 'place-3']);
    expect(await recreate()).toMatchObject({ verdict: 'same' });
  });

  test('when the spine’s own rows changed, it is made of those that the set kept, and says so', async () => {
    await world.write(`${project}.parquet`, `SELECT * FROM (${eventsSql({ days })}) LIMIT 500`);
    const recreated = await recreate();
    expect(recreated).toMatchObject({ verdict: 'same', spine: 'kept' });
    expect(recreated.reasons).toEqual([
      'The spine reads otherwise today.',
      'Its rows were taken from the set itself.',
      'The same rows came out.',
    ]);
  });

  test('what is gone is named', async () => {
    const [view] = set.views;
    const [lost] = await world.db.query<{ key: string }>("SELECT key FROM files WHERE project = $1 AND schema = 'features' ORDER BY key", [project]); // prettier-ignore
    await rename(world.lake.path(lost?.key ?? ''), `${world.lake.path(lost?.key ?? '')}.away`);
    expect(await recreate()).toMatchObject({
      ...{ verdict: 'gone', rowHash: { found: null } },
      reasons: [`features/place_day@r1@s${view?.snapshot} lost its file ${lost?.key}.`],
    });
  });
});

test('an engine that fails says nothing of the set: no verdict is recorded', async () => {
  const temp = `${world.home}/tmp`;
  const options = { threads: 1, memoryLimit: '100kB', tempDirectory: temp };
  const engine = await openEngine({ ...options, allowedDirectories: [world.lake.root, temp, `${world.home}/data`] });
  const { verifyDataset, recreateDataset } = createActivities({ ...world, engine });
  for (const check of [verifyDataset, recreateDataset])
    await expect(new MockActivityEnvironment().run(check, asked())).rejects.toMatchObject({
      ...{ code: 'query_failed', message: expect.stringMatching(/Out of Memory/) },
    });
  expect(await listChecks(world.db, project, set.name)).toEqual([]);
  engine.close();
});

test('what a set kept cannot stand for its spine when its own file was changed', async () => {
  await world.write(`${project}.parquet`, `SELECT * FROM (${eventsSql({ days })}) LIMIT 500`);
  const { at, bytes } = await partOf('a');
  await flip(at + Math.floor(bytes / 2));
  const [kept] = await filesOfTrainingSet(world.db, project, set.name);
  expect(await recreate()).toMatchObject({
    ...{ verdict: 'gone', spine: null },
    reasons: ['The spine reads otherwise today.', `${kept?.key} is missing, or not what was written.`],
  });
});

test('a Model’s training set is one like any other: verified, made again, and its uploaded labels with it', async () => {
  const label = (id: number, value: boolean, known: number) => ({ key: { id }, label: value, knownAt: dayOf(known) });
  await putLabels(world.db, project, { model: 'risk' }, [label(10, true, 2), label(11, false, 2)], anonymous);
  const asOf = dayOf(9);
  const input = { project, model: 'risk', revision: 1, asOf, principal: 'ann' };
  const { name } = await world.run('buildTrainingSet', workflowIds.trainingSet(project, 'risk', 1, asOf), input);
  set = await getTrainingSet(world.db, project, name);
  expect(set).toMatchObject({ model: 'risk', labels: { used: 2 }, cuts: [{ name: 'test', from: dayOf(6) }] });
  // What is uploaded later for the same instant counts for later sets alone.
  await putLabels(world.db, project, { model: 'risk' }, [label(10, false, 2), label(12, true, 1)], anonymous);
  expect((await verify()).verdict).toBe('intact');
  expect(await recreate()).toMatchObject({ verdict: 'same', spine: 'read' });
});

test('a Model may be divided otherwise than by its last days', async () => {
  const resources = eventResources({ path: `${world.home}/data/${project}.parquet`, endpoint: false });
  const declared = resources.find(({ kind }) => kind === 'Model') as Extract<Resource, { kind: 'Model' }>;
  const { holdout: _holdout, ...spec } = declared.spec;
  const split = { by: 'group', columns: ['place'], parts: [{ name: 'train', share: 0.5 }, { name: 'test', share: 0.5 }], seed: 1 }; // prettier-ignore
  expect(Resource.safeParse({ ...declared, spec: { ...declared.spec, split } }).success).toBe(false);
  await world.apply([Resource.parse({ ...declared, spec: { ...spec, split } })], project);
  const asOf = dayOf(9);
  const input = { project, model: 'risk', revision: 2, asOf, principal: 'ann' };
  const { name } = await world.run('buildTrainingSet', workflowIds.trainingSet(project, 'risk', 2, asOf), input);
  const { rows, cuts } = await getTrainingSet(world.db, project, name);
  expect([Object.keys(rows).sort(), cuts]).toEqual([['test', 'train'], []]);
  const [kept] = await filesOfTrainingSet(world.db, project, name);
  const divided = await world.query<{ parts: number }>(`SELECT count(DISTINCT split)::INTEGER AS parts FROM read_parquet('${world.lake.path(kept?.key ?? '')}') GROUP BY place`); // prettier-ignore
  expect(divided.every(({ parts }) => parts === 1)).toBe(true);
});
