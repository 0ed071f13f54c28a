import { MockActivityEnvironment } from '@temporalio/testing';
import { readdir } from 'node:fs/promises';
import { createActivities } from '../../activities/index.js';
import type { ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { BuildTrainingSet, BuiltTrainingSet } from '../../domain/training.js';
import type { Objects } from '../../lake/objects.js';
import { sourceVersion } from '../../lake/sources/index.js';
import { putLabels } from '../../store/labels.js';
import { getResource } from '../../store/resources.js';
import { tables } from '../../store/tables.js';
import { findTrainingSet } from '../../store/datasets.js';
import { dayOf, eventResources, eventsSql, type EventResources } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** What a spine is joined from: a source that holds still, and features of its whole range. */

const days = 16;
const asOf = dayOf(15);

let world: World;
let project: ProjectName;
let path: string;
let tests = 0;
beforeAll(async () => void (world = await withWorld()));
afterAll(() => world.close());
beforeEach(async () => {
  project = `spine${++tests}` as ProjectName;
  path = await world.write(`${project}.parquet`, eventsSql({ days }));
});

const declare = (more: Partial<EventResources> = {}) =>
  world.apply(eventResources({ path, endpoint: false, ...more }), project);
const materialize = (from = 1, to = days + 1) =>
  world.run('materializeView', `m/${project}/${from}/${to}`, {
    ...{ project, view: 'place_day', revision: 1, principal: 'ann' },
    ...{ start: dayOf(from), end: dayOf(to) },
  });
const setInput = (): BuildTrainingSet => ({ project, model: 'risk', revision: 1, asOf, principal: 'ann' });

describe('a source that changes while it is read', () => {
  /** Writes the source anew each time that a file is staged, `times` times; a row more each time. */
  function disturbed(times: number): { lake: Objects; staged: () => number } {
    let staged = 0;
    const stage = async (key: string) => {
      if (++staged <= times) await world.write(`${project}.parquet`, eventsSql({ days: days + staged }));
      return world.lake.stage(key);
    };
    return { lake: { ...world.lake, stage }, staged: () => staged };
  }
  const build = (lake: Objects) =>
    new MockActivityEnvironment().run(
      createActivities({ ...world, lake }).buildTrainingSet,
      setInput(),
    ) as Promise<BuiltTrainingSet>;
  const files = async () =>
    (await readdir(world.lake.root, { recursive: true })).filter(
      (name) => name.startsWith(`${project}/datasets`) && name.endsWith('.parquet'),
    );

  test('the set is built anew from what it is now, and names that version', async () => {
    await declare();
    await materialize();
    const { lake, staged } = disturbed(2);
    const built = await build(lake);
    expect(staged()).toBe(3);
    expect(await files()).toHaveLength(1);
    const manifest = await findTrainingSet(world.db, project, built.name);
    const source = await getResource(world.db, project, 'Source', 'events');
    expect(manifest?.sources[0]?.version).toBe(await sourceVersion(source, world.access));
  });

  test('one that never holds still ends with source_changed, and leaves nothing', async () => {
    await declare();
    await materialize();
    const { lake, staged } = disturbed(Infinity);
    await expect(build(lake)).rejects.toMatchObject({ code: 'source_changed', data: { source: 'events' } });
    expect(staged()).toBe(5);
    expect(await files()).toEqual([]);
  });
});

describe('features of the whole range', () => {
  const build = () => world.run('buildTrainingSet', `set/${project}`, setInput());
  const refused = async () => (await world.failure('buildTrainingSet', `set/${project}`, setInput())).message;

  test('a view that ends before the rows do is refused, with the command that mends it', async () => {
    await declare();
    await materialize(1, 12);
    const message = await refused();
    const [, start, end] = /eider materialize place_day --start (\S+) --end (\S+?)\.$/.exec(message) ?? [];
    expect([start, end]).toEqual(['2001-01-12T00:00:00Z', '2001-01-15T00:00:00Z']);
    await materialize(12, 15);
    expect((await build()).rows).toBe(1396);
  });

  test.each([
    ['of the range', 5, ['2001-01-05T00:00:00Z', '2001-01-08T00:00:00Z']],
    ['before a row’s first day', 1, ['2001-01-01T00:00:00Z', '2001-01-04T00:00:00Z']],
  ])('a gap %s is refused, and named as one', async (_, gap, [start, end]) => {
    await declare();
    if (gap > 1) await materialize(1, gap);
    await materialize(gap + 3);
    expect(await refused()).toContain(`--start ${start} --end ${end}.`);
  });

  test('days without rows need no features, and what a TTL reaches before the first window is not asked for', async () => {
    path = await world.write(`${project}.parquet`, `SELECT * FROM (${eventsSql({ days })}) WHERE "at" >= TIMESTAMP '2001-01-04'`); // prettier-ignore
    await declare();
    await materialize(4, 15);
    expect((await build()).rows).toBe(1100 - 4);
  });
});

test('a training set takes the uploaded label that was known by then, and the source’s before that', async () => {
  await declare();
  await materialize();
  const upload = (id: number, label: boolean, known: number) => ({ key: { id }, label, knownAt: dayOf(known) });
  const truth = await world.query<{ id: number; happened: boolean }>(
    `SELECT file_row_number::INTEGER AS id, happened FROM read_parquet('${path}', file_row_number = true) WHERE file_row_number IN (10, 20, 30) ORDER BY 1`,
  );
  const [ten, twenty, thirty] = truth.map(({ happened }) => happened) as [boolean, boolean, boolean];
  const labels = [
    ...[upload(10, !ten, 5), upload(20, !twenty, 5), upload(20, twenty, 6)],
    // The last is known too late, and the row of the last hour early.
    ...[upload(30, !thirty, 16), upload(1399, true, 15)],
  ];
  await putLabels(world.db, project, { model: 'risk' }, labels, anonymous);
  const built = await world.run('buildTrainingSet', `set/${project}`, setInput());
  const [file] = (await tables(world.db).resolve(project, 'datasets', built.name)).files;
  const rows = await world.query<{ id: number; happened: boolean }>(
    `SELECT id::INTEGER AS id, happened FROM read_parquet('${world.lake.path(file?.key ?? '')}') WHERE id IN (10, 20, 30, 1399) ORDER BY id`,
  );
  expect(rows.map(({ happened }) => happened)).toEqual([!ten, twenty, thirty, true]);
  expect(built.rows).toBe(1397);
});
