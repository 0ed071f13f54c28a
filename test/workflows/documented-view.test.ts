import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { projectRoot } from '../../apps/config.js';
import { defaultProject } from '../../domain/ids.js';
import { Resource } from '../../domain/resources.js';
import { tables } from '../../store/tables.js';
import { dayOf } from '../support/events.js';
import { withWorld, type World } from '../support/world.js';

/** The example of docs/features.md does what the page says. */

let world: World;
beforeAll(async () => (world = await withWorld()));
afterAll(() => world.close());

test('the view of the page is applied, materialized, and keeps impossible readings aside', async () => {
  const path = await world.write(
    'readings.parquet',
    `SELECT TIMESTAMP '2001-01-01' + to_minutes((i * 10)::BIGINT) AS "at", 'sensor-' || (i % 2) AS sensor, CASE WHEN i BETWEEN 60 AND 65 THEN 999 ELSE i % 7 END AS value FROM range(432) t(i)`,
  );
  const page = readFileSync(join(projectRoot, 'docs', 'features.md'), 'utf8');
  const yaml = /```yaml\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const resources = parseAllDocuments(yaml)
    .map((document) => Resource.parse(document.toJS()))
    .map((one) => (one.kind === 'Source' ? { ...one, spec: { ...one.spec, path } } : one));
  expect(await world.run('checkResources', 'check', { project: defaultProject, resources })).toEqual([]);
  await world.apply(resources);
  const range = { start: dayOf(1), end: dayOf(4) };
  const input = { project: defaultProject, view: 'sensor_hour', revision: 1, ...range, principal: 'ann' };
  expect(await world.run('materializeView', 'm', input)).toMatchObject({ windows: 3, committed: 3, quarantined: 2 });
  const { columns, rows } = await tables(world.db).resolve(defaultProject, 'quarantine', 'sensor_hour');
  expect(columns.map(({ name }) => name)).toEqual(['sensor', 'event_time', 'mean', 'readings', 'reasons']);
  expect(rows).toBe(2);
});
