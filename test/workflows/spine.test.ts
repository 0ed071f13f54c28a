import { MockActivityEnvironment } from '@temporalio/testing';
import { readdir } from 'node:fs/promises';
import { createActivities } from '../../activities/index.js';
import type { ProjectName } from '../../domain/ids.js';
import type { BuildTrainingSet } from '../../domain/training.js';
import type { Objects } from '../../lake/objects.js';
import { sourceVersion } from '../../lake/sources.js';
import { getResource } from '../../store/resources.js';
import { findTrainingSet } from '../../store/training.js';
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
    new MockActivityEnvironment().run(createActivities({ ...world, lake }).buildTrainingSet, setInput());
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
    expect(manifest?.source.version).toBe(await sourceVersion(source, world.roots));
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
