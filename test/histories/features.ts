import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Int64, tableFromArrays, tableToIPC, vectorFromArray } from 'apache-arrow';
import { DatasetSpec } from '../../domain/datasets.js';
import { armFailpoints } from '../../domain/failpoints.js';
import { workflowIds, type ProjectName, type Sha256 } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { uploadKey } from '../../domain/spines.js';
import { openErasure } from '../../store/erasures.js';
import { liveGeneration, tableOf } from '../../store/online.js';
import { pushRows } from '../../store/pushes.js';
import { tableState } from '../../store/snapshots.js';
import { cancelUpdate, pauseUpdate, resumeUpdate } from '../../workflows/messages.js';
import { dayOf, eventResources } from '../support/events.js';
import { all, reached, scheduled, who, type Recorder } from './recorder.js';

/** Histories of the feature store: views and their tables, the online store, training sets, explanations and erasures. */

const view = 'place_day';
const table = (project: ProjectName) => ({ project, schema: 'features', name: view, revision: 1 }) as const;
const asked = (reason: string) => ({ args: [{ ...who, reason }] as [{ principal: string; reason: string }] });

export async function features(recorder: Recorder): Promise<void> {
  const { world, path, keep, keepId, declare, materialize } = recorder;
  const project = 'features' as ProjectName;
  await world.apply(eventResources({ path }).map(shownOnline), project);
  await keep('materialize-published', await materialize(project));
  await keepId('publish', workflowIds.publish(project, view));
  await online(recorder, project);
  const question = { feature: 'mean', key: { place: 'place-1' }, at: dayOf(20) };
  await keep(
    'explain',
    await world.start('explainValue', 'explain', { ...{ project, view, revision: 1 }, ...question }),
  );
  await datasets(recorder, project);
  await tables(recorder, project);

  const refreshed = await declare('refreshed');
  const refresh = { ...{ project: refreshed, view, revision: 1, start: null }, ...who };
  await keep('refresh-nothing', await world.start('refreshView', 'refresh-nothing', { ...refresh, end: dayOf(1) }));
  await keep('refresh', await world.start('refreshView', 'refresh', { ...refresh, end: dayOf(8) }));

  const aside = { test: 'range', column: 'mean', min: 0, severity: 'quarantine' };
  const quarantined = await declare('quarantined', { expectations: [aside] });
  await (await materialize(quarantined)).result();
  await keep('read-quarantine', await world.start('readQuarantine', 'quarantine', { ...{ project: quarantined, view, revision: 1, limit: 2 } })); // prettier-ignore
}

const shownOnline = (one: Resource): Resource =>
  one.kind === 'FeatureView' ? Resource.parse({ ...one, spec: { ...one.spec, online: true } }) : one;

async function online({ world, keep }: Recorder, project: ProjectName): Promise<void> {
  const rows = [{ place: 'place-1', event_time: dayOf(20), mean: 7, events: 1 }];
  await pushRows(world.db, { ...{ project, view, rows, id: 'pushed' }, to: 'online_and_offline' }, anonymous);
  await keep('flush', await world.start('flushPushes', 'flush', { project, view, ...who }));
  const verify = (id: string, repair: boolean) =>
    world.start('verifyOnline', id, { ...{ project, view, seed: 1, repair }, ...who });
  await keep('verify-online', await verify('verify-online', false));
  const live = await liveGeneration(world.db, project, view);
  await world.db.query(`DELETE FROM ${tableOf(live?.id ?? 0)} WHERE key = '["place-1"]'`);
  await keep('verify-online-repaired', await verify('verify-online-repaired', true));
}

async function datasets({ world, keep }: Recorder, project: ProjectName): Promise<void> {
  const spine = await uploaded(world.artifacts.path);
  await keep('take-spine', await world.start('takeSpine', 'spine', { ...{ project, spine, form: 'stream' }, ...who }));
  await keep('dataset', await world.start('buildDataset', 'dataset', { project, spec: specOn(spine), ...who }));
  const check = { project, name: 'asked', ...who };
  await keep('dataset-verified', await world.start('verifyDataset', 'verify', check));
  await keep('dataset-recreated', await world.start('recreateDataset', 'recreate', check));
}

/** As the API leaves it for a worker. */
async function uploaded(pathOf: (key: string) => string): Promise<Sha256> {
  const places = ['place-1', 'place-2', 'place-1'];
  const at = vectorFromArray(places.map((_, index) => new Date(dayOf(index + 10))));
  const bytes = tableToIPC(tableFromArrays({ place: places, asked: at as never, id: vectorFromArray([1n, 2n, 3n], new Int64()) as never }), 'stream'); // prettier-ignore
  const spine = createHash('sha256').update(bytes).digest('hex') as Sha256;
  const file = pathOf(uploadKey(spine));
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
  return spine;
}

const specOn = (spine: string) =>
  DatasetSpec.parse({
    ...{ name: 'asked', spine: { from: 'upload', spine }, eventTime: 'asked' },
    features: [`${view}:mean`],
  });

/** Last, for they change what the others read. */
async function tables({ world, keep }: Recorder, project: ProjectName): Promise<void> {
  await keep('compact', await world.start('compactTable', 'compact', { ...table(project), ...who }));
  await keep('compact-nothing', await world.start('compactTable', 'compact-nothing', { ...table(project), ...who }));
  const collect = (id: string, dryRun: boolean) =>
    world.start('collectGarbage', id, { ...{ project, keep: '0d', dryRun }, ...who });
  await keep('collect-dry-run', await collect('collect-dry-run', true));
  await keep('collect', await collect('collect', false));
  const key = { entity: 'place', keys: [{ name: 'place', type: 'VARCHAR' as const }], values: ['place-1'] };
  const { id } = await openErasure(world.db, { project, ...key, reason: 'they asked for it' }, anonymous);
  await keep('erase', await world.start('eraseEntity', 'erase', { project, erasure: id, ...who }));
}

/** Hourly windows, more than one run of the workflow takes. */
async function backfill({ world, declare, materialize }: Recorder, name: string) {
  const project = await declare(name, { window: '1h' });
  const handle = await materialize(project, { start: dayOf(1), end: dayOf(26) });
  return { handle, begun: async () => (await tableState(world.db, table(project))).windows > 0 };
}

export async function steeredFeatures(recorder: Recorder): Promise<void> {
  const { world, keep, keepCancelled } = recorder;
  const { handle, begun } = await backfill(recorder, 'paused');
  const first = world.client.workflow.getHandle(handle.workflowId, (await handle.describe()).runId);
  await reached('a backfill that is under way', begun);
  await first.executeUpdate(pauseUpdate, asked('the source is being mended'));
  await reached('a backfill that holds still', async () => !(await scheduled(first)()));
  await first.executeUpdate(resumeUpdate, asked('it is mended'));
  await keep('materialize-paused', first, 'CONTINUED_AS_NEW');
  await keep('materialize-handed-on', handle);
  const other = await backfill(recorder, 'steered');
  await keepCancelled('materialize-cancelled-by-update', other.handle, other.begun, () =>
    other.handle.executeUpdate(cancelUpdate, asked('not now')),
  );
}

export async function failedFeatures({ world, keep, declare, materialize }: Recorder): Promise<void> {
  // The first day has no row, for a day's row is stamped with its end.
  const refused = await declare('refused', { expectations: [{ test: 'volume', min: 1 }] });
  await keep('materialize-refused', await materialize(refused), 'FAILED');
  armFailpoints('publish.loaded=throw');
  const publish = { ...{ project: refused, view, revision: 1 }, ...who };
  await keep('publish-failed', await world.start('publishView', 'publish-failed', publish), 'FAILED');
  const spec = specOn('f'.repeat(64));
  await keep('dataset-failed', await world.start('buildDataset', 'dataset-failed', { project: refused, spec, ...who }), 'FAILED'); // prettier-ignore
}

export async function cancelledFeatures({ world, keepCancelled, declare, materialize }: Recorder): Promise<void> {
  const project = await declare('quarterly', { window: '6h' });
  const handle = await materialize(project, all);
  const underway = async () => (await tableState(world.db, table(project))).snapshot > 30;
  await keepCancelled('materialize-cancelled', handle, underway);
}
