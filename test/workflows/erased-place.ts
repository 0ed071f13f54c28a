import type { ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import type { ErasureRow } from '../../domain/snapshots.js';
import { openErasure } from '../../store/erasures.js';
import { pushRows } from '../../store/pushes.js';
import { dayOf, eventResources, eventsSql } from '../support/events.js';
import type { World } from '../support/world.js';

/** The place that is erased, of four. */
export const gone = 'place-1';

/** What a test does with its project. */
export type Erasing = Awaited<ReturnType<typeof openPlaces>>;
let projects = 0;
let pushes = 0;

/** A project of its own, with the daily view of the places materialized over so many days. */
export async function openPlaces(world: World, name: string, days: number) {
  const project = `${name}${++projects}` as ProjectName;
  const change = (amount: string) => world.write(`${project}.parquet`, eventsSql({ days, change: amount }));
  const materialize = () =>
    world.run('materializeView', `m/${project}`, {
      ...{ project, view: 'place_day', revision: 1, principal: 'ann', start: dayOf(1), end: dayOf(days + 1) },
    });
  const resources = eventResources({ path: await change('amount'), endpoint: false });
  await world.apply(resources.filter(({ kind }) => kind !== 'Monitor'), project); // prettier-ignore
  await materialize();
  const keys = [{ name: 'place', type: 'VARCHAR' }];
  return {
    ...{ project, materialize },
    /** Writes the source anew, with other amounts. */
    change,
    open: () => openErasure(world.db, { project, entity: 'place', keys, values: [gone], reason: 'case 4711' }, anonymous), // prettier-ignore
    run: ({ id, workflowId }: Pick<ErasureRow, 'id' | 'workflowId'>) =>
      world.run('eraseEntity', workflowId, { project, erasure: id, principal: 'ann' }),
    push(place: string, day: number) {
      const rows = [{ place, event_time: dayOf(day), mean: 1.5, events: 3 }];
      return pushRows(world.db, { ...{ project, view: 'place_day', to: 'online_and_offline', id: `push ${++pushes}` }, rows }, anonymous); // prettier-ignore
    },
  };
}
