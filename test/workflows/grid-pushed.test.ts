import { DatasetSpec } from '../../domain/datasets.js';
import { workflowIds } from '../../domain/ids.js';
import { getTrainingSet } from '../../store/datasets.js';
import { tables } from '../../store/tables.js';
import { withWorld, type World } from '../support/world.js';
import { openShop, row } from './online-shop.js';

/** A grid over the keys of a view that is pushed to. */

let world: World;
beforeAll(async () => (world = await withWorld()), 120_000);
afterAll(() => world.close());

test('a grid has a key that was pushed, before it is flushed, and the same keys when it is made again', async () => {
  const shop = await openShop(world, 'grid');
  const { project } = shop;
  await shop.materialize();
  const { sequence } = await shop.push([row(3, '08', 300)], 'offline');
  const spine = { from: 'grid', keys: { view: 'shop_day' }, start: '2001-01-08', end: '2001-01-10', step: '1d' };
  const spec = DatasetSpec.parse({ name: 'grid', spine, eventTime: 'asked', features: ['shop_day:amount'] });
  await world.run('buildDataset', workflowIds.dataset(project, 'grid'), { project, spec, principal: 'ann' });
  const { rows, tables: pinned, rowHash } = await getTrainingSet(world.db, project, 'grid');
  expect(rows).toEqual({ all: 3 * 2 });
  expect(pinned).toMatchObject([{ schema: 'features', name: 'shop_day', sequence }]);
  const [file] = (await tables(world.db).resolve(project, 'datasets', 'grid')).files;
  const kept = await world.query(`SELECT shop::INTEGER AS shop, shop_day__amount AS amount FROM read_parquet('${world.lake.path(file?.key ?? '')}')`); // prettier-ignore
  expect(kept).toEqual([[1, 71], [1, 81], [2, 72], [2, 82], [3, 300], [3, 300]].map(([shop, amount]) => ({ shop, amount }))); // prettier-ignore
  await shop.push([row(4, '08', 400)], 'offline');
  const recreated = () => world.run('recreateDataset', `again/${project}`, { project, name: 'grid', principal: 'ann' });
  expect(await recreated()).toMatchObject({ verdict: 'same', spine: 'read', rowHash: { found: rowHash } });
  await shop.flush();
  expect(await recreated()).toMatchObject({ verdict: 'same', spine: 'read', rowHash: { found: rowHash } });
});
