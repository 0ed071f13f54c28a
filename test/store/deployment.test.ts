import { anonymous } from '../../domain/principal.js';
import type { ServedVersion } from '../../domain/serving.js';
import type { Database } from '../../store/db.js';
import {
  announceRollout,
  closeRollout,
  findRollout,
  findTraffic,
  instanceStates,
  listRollouts,
  listTraffic,
  shiftTraffic,
  type Rollout,
} from '../../store/deployment.js';
import {
  aliasHistory,
  findAlias,
  getVersion,
  listAliases,
  listVersions,
  moveAlias,
  registerVersion,
} from '../../store/models.js';
import { serving } from '../../store/serving.js';
import { until } from '../../programs/waiting.js';
import { withDatabase } from '../support/database.js';
import { race } from '../support/race.js';
import { candidateOf, day, project, registered, startedRun } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

const announce = (version: number, id = `rollout-${version}`, endpoint = 'lateness') =>
  announceRollout(
    db,
    project,
    { id, endpoint, model: 'lateness', version, dataInstant: day(version), workflowId: id },
    anonymous,
  );
const shift = (id: string) => shiftTraffic(db, project, id, 'better', anonymous);
const move = (version: number, expected: number) =>
  db.transaction((tx) =>
    moveAlias(
      tx,
      project,
      {
        model: 'lateness',
        alias: 'champion',
        version,
        expected,
        dataInstant: day(version),
        reason: 'r',
        workflowId: 'w',
      },
      anonymous,
    ),
  );

describe('versions and aliases', () => {
  test('versions are numbered without gaps, and a run has one', async () => {
    const runs = await Promise.all([1, 2, 3, 4].map((number) => startedRun(db, day(number))));
    const both = [...runs, ...runs].map(({ run }) => registerVersion(db, project, candidateOf(run.id), anonymous));
    const versions = (await Promise.all(both)).map(({ version }) => version);
    expect(versions.slice(0, 4)).toEqual(versions.slice(4));
    expect([...new Set(versions)].sort()).toEqual([1, 2, 3, 4]);
    expect(await listVersions(db, project, 'lateness')).toHaveLength(4);
  });

  test('an unknown version is refused', async () => {
    await expect(getVersion(db, project, 'lateness', 9)).rejects.toMatchObject({ code: 'version_unknown' });
  });

  test('an alias moves from the generation that the mover saw, and keeps its history', async () => {
    for (const number of [1, 2]) await registered(db, day(number));
    await move(1, 0);
    await move(2, 1);
    await expect(move(1, 1)).rejects.toMatchObject({ code: 'generation_moved' });
    await expect(move(1, 0)).rejects.toMatchObject({ code: 'generation_moved' });
    expect(await findAlias(db, project, 'lateness', 'champion')).toMatchObject({ version: 2, generation: 2 });
    const history = await aliasHistory(db, project, 'lateness', 'champion');
    expect(history.map(({ version, generation }) => [version, generation])).toEqual([[1, 1], [2, 2]]); // prettier-ignore
    expect(await listAliases(db, project, 'lateness')).toHaveLength(1);
  });

  test('of eight who move an alias at once one does', async () => {
    await registered(db);
    for (const expected of [0, 1]) {
      const { values, codes } = await race(8, () => move(1, expected));
      expect([values.length, new Set(codes)]).toEqual([1, new Set(['generation_moved'])]);
    }
    expect(await aliasHistory(db, project, 'lateness', 'champion')).toHaveLength(2);
  });
});

describe('rollouts', () => {
  beforeEach(async () => {
    for (const number of [1, 2, 3]) await registered(db, day(number));
  });

  test('an endpoint has one open rollout; a repeat finds it, another has to wait', async () => {
    const first = await announce(1);
    expect(await announce(1)).toEqual(first);
    await expect(announce(2)).rejects.toMatchObject({ code: 'rollout_open', data: { open: 'rollout-1' } });
    expect(await announce(2, 'elsewhere', 'other')).toMatchObject({ status: 'open' });
    const { values, codes } = await race(6, (at) => announce(3, `race-${at}`, 'third'));
    expect([values.length, codes.length]).toEqual([1, 5]);
  });

  test('traffic, champion and rollout change together, once', async () => {
    await announce(1);
    const { values } = await race(4, () => shift('rollout-1'));
    expect(values.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'done'));
    expect(await findTraffic(db, project, 'lateness')).toMatchObject({
      version: 1,
      generation: 1,
      dataInstant: day(1),
    });
    expect(await findAlias(db, project, 'lateness', 'champion')).toMatchObject({ version: 1, generation: 1 });
    await announce(2);
    await shift('rollout-2');
    expect(await listTraffic(db, project)).toMatchObject([{ version: 2, generation: 2 }]);
    expect((await shift('rollout-1')).status).toBe('done');
    expect(await findTraffic(db, project, 'lateness')).toMatchObject({ version: 2 });
  });

  test('traffic that moved since the announcement is left alone', async () => {
    await announce(1);
    await db.query(
      "INSERT INTO endpoint_traffic (project, endpoint, model, version, generation, data_instant) VALUES ($1, 'lateness', 'lateness', 3, 1, $2)",
      [project, day(1)],
    );
    await expect(shift('rollout-1')).rejects.toMatchObject({ code: 'generation_moved' });
    expect(await findTraffic(db, project, 'lateness')).toMatchObject({ version: 3 });
    expect(await findAlias(db, project, 'lateness', 'champion')).toBeNull();
    expect((await findRollout(db, project, 'rollout-1'))?.status).toBe('open');
  });

  test('a rollout that was closed is not shifted, and opens again when it is asked for again', async () => {
    await announce(1);
    await closeRollout(db, project, 'rollout-1', 'failed', 'nobody was ready');
    await expect(shift('rollout-1')).rejects.toMatchObject({ code: 'generation_moved' });
    expect(await closeRollout(db, project, 'rollout-1', 'cancelled', 'later')).toMatchObject({
      ...{ status: 'failed', reason: 'nobody was ready' },
    });
    expect(await announce(1)).toMatchObject({ status: 'open', reason: null, closedAt: null, generation: 2 });
    expect((await shift('rollout-1')).status).toBe('done');
    expect(await listRollouts(db, project, 'lateness')).toHaveLength(1);
  });

  test('one that was never announced cannot be shifted', async () => {
    await expect(shift('nothing')).rejects.toMatchObject({ code: 'internal' });
    expect(await findRollout(db, project, 'nothing')).toBeNull();
  });
});

describe('instances', () => {
  let rollout: Rollout;
  beforeEach(async () => {
    await registered(db);
    rollout = await announce(1);
  });
  const at = (generation: number) => ({ project, endpoint: 'lateness', version: 1, generation });
  const states = async () =>
    (await instanceStates(db, project, rollout)).map(({ instance, state }) => [instance, state]);

  test('an instance lives while its lease does, and says nothing before it reports', async () => {
    const store = serving(db);
    await store.renewLease('one', 'http://one', 60);
    await store.renewLease('gone', 'http://gone', -1);
    expect(await states()).toEqual([['one', null]]);
    await store.report('one', at(1), 'ready');
    expect(await states()).toEqual([['one', 'ready']]);
    await store.renewLease('gone', 'http://gone', 60);
    expect(await states()).toEqual([['gone', null], ['one', 'ready']]); // prettier-ignore
  });

  test('a report for an older announcement does not count, nor does one of an instance that is gone', async () => {
    const store = serving(db);
    await store.renewLease('one', 'http://one', 60);
    await store.report('one', at(1), 'ready');
    await store.report('one', at(0), 'failed', 'old news');
    await store.report('nobody', at(1), 'ready');
    expect(await states()).toEqual([['one', 'ready']]);
    await store.report('one', at(1), 'failed', 'the golden rows differ');
    expect(await instanceStates(db, project, rollout)).toMatchObject([
      { state: 'failed', reason: 'the golden rows differ' },
    ]);
  });

  test('an instance that ends its lease takes its reports with it', async () => {
    const store = serving(db);
    await store.renewLease('one', 'http://one', 60);
    await store.report('one', at(1), 'ready');
    await store.releaseLease('one');
    await store.renewLease('one', 'http://one', 60);
    expect(await states()).toEqual([['one', null]]);
  });

  test('announced are the targets of open rollouts and what is active, with the rows to check', async () => {
    const store = serving(db);
    const shown = async () =>
      (await store.announced()).map(({ version, generation }: ServedVersion) => [version, generation]);
    expect([await shown(), await store.active()]).toEqual([[[1, 1]], []]);
    expect(await store.announced()).toMatchObject([
      { golden: { inputs: [[1], [null]], predictions: [0.5, 0.25], tolerance: 1e-6 } },
    ]);
    await shift('rollout-1');
    await registered(db, day(2));
    await announce(2);
    expect((await shown()).sort()).toEqual([[1, 1], [2, 2]]); // prettier-ignore
    expect(await store.active()).toMatchObject([{ version: 1, generation: 1 }]);
  });

  test('instances hear of announcements and switches', async () => {
    let heard = 0;
    const stop = await serving(db).listen(() => heard++);
    const [before] = [heard];
    await shift('rollout-1');
    expect(await until(() => heard > before, 10_000)).toBe(true);
    await stop();
  });
});
