import { readdir } from 'node:fs/promises';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { rowsOf as rowCount } from '../../domain/datasets.js';
import { digestOf } from '../../domain/json.js';
import { runIdOf, type BuildTrainingSet, type TrainingSetManifest } from '../../domain/training.js';
import { plusMicros, toMicros } from '../../domain/instants.js';
import { findTraffic } from '../../store/deployment.js';
import { findEvaluation } from '../../store/evaluation.js';
import { findAlias, listVersions } from '../../store/models.js';
import { tables } from '../../store/tables.js';
import { findTrainingSet } from '../../store/datasets.js';
import { getRun } from '../../store/training.js';
import { answer, type FeatureRow } from '../lake/oracle.js';
import { dayOf, eventResources, eventsSql, type EventResources } from '../support/events.js';
import { hangingTrainer, untilGone } from '../support/hanging.js';
import { serveInstance } from '../support/instance.js';
import { withWorld, type World } from '../support/world.js';

/** From features to a version that serves, on real engines; the trainer copies a known model (test/support/trainers/copy). */

const days = 16;
const asOf = dayOf(15);
const all = { start: dayOf(1), end: dayOf(days + 1) };

let world: World;
let path: string;
let project: ProjectName;
let tests = 0;
beforeAll(async () => {
  world = await withWorld();
  path = await world.write('events.parquet', eventsSql({ days }));
});
afterAll(() => world.close());
beforeEach(() => void (project = `test${++tests}` as ProjectName));

async function declare(more: Partial<EventResources> = {}, into = project): Promise<void> {
  await world.apply(eventResources({ path, endpoint: false, ...more }), into);
}
async function materialize(into = project): Promise<void> {
  await world.run('materializeView', `m/${into}`, {
    project: into,
    view: 'place_day',
    revision: 1,
    ...all,
    principal: 'ann',
  });
}
const setInput = (into = project, at = asOf): BuildTrainingSet => ({
  ...{ project: into, model: 'risk', revision: 1, asOf: at, principal: 'ann' },
});
const build = (into = project, at = asOf) =>
  world.run('buildTrainingSet', workflowIds.trainingSet(into, 'risk', 1, at), setInput(into, at));
const train = (at = asOf) => world.run('trainModel', trainId(at), trainInput(at));
const trainId = (at = asOf) => workflowIds.train(project, 'risk', 1, at);
const trainInput = (at = asOf) => ({ ...setInput(project, at), trigger: { kind: 'manual' as const } });
const manifestOf = async (name: string, into = project) =>
  (await findTrainingSet(world.db, into, name)) as TrainingSetManifest;
async function rowsOf<Row extends object>(name: string, into = project): Promise<Row[]> {
  const [file] = (await tables(world.db).resolve(into, 'datasets', name)).files;
  return world.query(`SELECT * FROM read_parquet('${world.lake.path(file?.key ?? '')}')`);
}
const filesUnder = async (folder: string) =>
  (await readdir(world.lake.root, { recursive: true })).filter(
    (name) => name.startsWith(folder) && name.endsWith('.parquet'),
  );

describe('training sets', () => {
  test('a set holds the rows whose label is known by then, and says what it was made of', async () => {
    await declare();
    await materialize();
    const built = await build();
    const manifest = await manifestOf(built.name);
    expect(built).toEqual({
      name: 'risk_r1_20010115',
      rowHash: manifest.rowHash,
      rows: rowCount(manifest),
    });
    expect(manifest).toMatchObject({
      ...{ asOf, window: { start: dayOf(1), end: asOf }, cuts: [{ name: 'test', from: dayOf(12) }] },
      ...{ inputs: ['a', 'b', 'place_day__mean'], label: 'happened', key: ['id'] },
      views: [{ view: 'place_day', revision: 1, snapshot: days, bitemporal: false }],
    });
    // 1,400 rows of fourteen days, without those of the last hour, whose labels are not known yet.
    expect(built.rows).toBe(1400 - 4);
    const [known] = await world.query<{ last: string; first: string; unknown: number }>(
      `SELECT max(known_at)::VARCHAR AS last, min(asked)::VARCHAR AS first, count(*) FILTER (happened IS NULL)::INTEGER AS unknown FROM read_parquet('${world.lake.path((await filesUnder(`${project}/datasets`))[0] ?? '')}')`,
    );
    expect(known).toEqual({ last: expect.stringMatching(/^2001-01-1[45]/), first: '2001-01-01 00:00:00', unknown: 0 });
    expect(await rowsOf(built.name)).toHaveLength(built.rows);
  });

  test('asking again, and eight at once, give the recorded one', async () => {
    await declare();
    await materialize();
    const ids = Array.from({ length: 8 }, (_, at) => `set-${at}/${project}`);
    const built = await Promise.all(ids.map((id) => world.run('buildTrainingSet', id, setInput())));
    expect(new Set(built.map(digestOf)).size).toBe(1);
    expect(await build()).toEqual(built[0]);
    expect(await filesUnder(`${project}/datasets`)).not.toHaveLength(0);
    expect((await tables(world.db).resolve(project, 'datasets', built[0]?.name ?? '')).files).toHaveLength(1);
  });

  test('another project makes the same rows of the same source, whatever the layout of its features', async () => {
    const other = `${project}_other` as ProjectName;
    await declare();
    await materialize();
    await declare({}, other);
    for (const at of [9, 1])
      await world.run('materializeView', `m/${other}/${at}`, {
        ...{ project: other, view: 'place_day', revision: 1, principal: 'ann' },
        ...{ start: dayOf(at), end: dayOf(at === 1 ? 9 : days + 1) },
      });
    const [one, two] = [await build(), await build(other)];
    expect(two.rowHash).toBe(one.rowHash);
    expect(await rowsOf(two.name, other)).toEqual(await rowsOf(one.name));
  });

  test.each(['36h', '3d', '1h'])(
    'every feature is what was known at the row’s instant, with a TTL of %s',
    async (ttl) => {
      await declare({ ttl });
      await materialize();
      const rows = await rowsOf<{ asked: string; place: string; place_day__mean: number | null }>((await build()).name);
      const { files } = await tables(world.db).resolve(project, 'features', 'place_day');
      const features = await world.query<{ place: string; event_time: string; mean: number }>(
        `SELECT place, event_time, mean FROM read_parquet([${files.map(({ key }) => `'${world.lake.path(key)}'`).join(', ')}])`,
      );
      const micros = (text: string) => toMicros(`${text.replace(' ', 'T')}${text.includes('.') ? '' : '.'}`.padEnd(26, '0') as Instant); // prettier-ignore
      const view = {
        ...{
          ...{ keyCount: 2, renamed: false, bitemporal: false, mode: 'known_at' as const },
          ttlMicros: Number(ttl.slice(0, -1)) * (ttl.endsWith('d') ? 86_400e6 : 3_600e6),
        },
        rows: features.map(({ place, event_time: at, mean }): FeatureRow => ({
          keys: [0, place],
          at: micros(at),
          known: null,
          value: mean,
          other: null,
        })),
      };
      const expected = rows.map(({ asked, place }) => {
        const keys = [0, place] as const;
        return answer({ keys, elsewhere: keys, at: micros(asked), passed: null }, view)?.value ?? null;
      });
      expect(rows.map((row) => row.place_day__mean)).toEqual(expected);
      expect(expected.some((value) => value !== null)).toBe(true);
    },
  );

  test('facts that were learned after the as-of instant change nothing', async () => {
    await declare();
    await materialize();
    const before = await build();
    const other = `${project}_later` as ProjectName;
    const file = await world.write(
      `${other}.parquet`,
      `SELECT * REPLACE (CASE WHEN "at" + INTERVAL 1 HOUR > TIMESTAMP '2001-01-15' THEN 99 ELSE amount END AS amount,
         CASE WHEN "at" + INTERVAL 1 HOUR > TIMESTAMP '2001-01-15' THEN NOT happened ELSE happened END AS happened) FROM (${eventsSql({ days })})`,
    );
    await world.apply(eventResources({ path: file, endpoint: false }), other);
    await materialize(other);
    expect((await build(other)).rowHash).toBe(before.rowHash);
  });

  test.each<[string, string, Partial<EventResources>, Instant, boolean]>([
    ['features that were never materialized', 'features_not_materialized', {}, asOf, false],
    ['a window without rows', 'training_set_empty', {}, dayOf(200), true],
    ['a held-out part without rows', 'training_set_empty', {}, dayOf(25), true],
    ['labels that are all equal', 'training_set_one_class', { spineSql: spine('true') }, asOf, true],
    ['labels that are all unknown', 'training_set_empty', { spineSql: spine('NULL::BOOLEAN') }, asOf, true],
    ['a spine without an input', 'sql_invalid', { spineSql: spine('happened').replace(', a, b', ', b') }, asOf, true],
  ])('%s: %s, and nothing is left', async (_, code, more, at, materialized) => {
    await declare(more);
    if (materialized) await materialize();
    expect((await world.failure('buildTrainingSet', `set/${project}`, setInput(project, at))).code).toBe(code);
    expect(await filesUnder(`${project}/datasets`)).toEqual([]);
    expect(await tables(world.db).list(project, 'datasets')).toEqual([]);
  });
});

function spine(label: string): string {
  return `SELECT id, "at" AS asked, place, a, b, ${label} AS happened, known_at FROM events`;
}

describe('runs', () => {
  test('a run goes from the training set to a verdict and a version; asking again answers the same', async () => {
    await declare();
    await materialize();
    const done = await train();
    expect(done).toEqual({
      ...{ run: runIdOf(setInput()), trainingSet: 'risk_r1_20010115', version: 1, verdict: 'promote', rollout: null },
      reasons: expect.any(Array),
    });
    expect(await train()).toEqual(done);
    const run = await getRun(world.db, project, done.run);
    expect(run).toMatchObject({ status: 'finished', fence: 1, error: null, principal: 'ann', workflowId: trainId() });
    expect((await world.artifacts.read(run.logKey ?? '')).toString()).toContain('copying risk');
    expect(await listVersions(world.db, project)).toMatchObject([{ version: 1, digest: run.modelSha256, run: run.id }]);
    const evaluation = await findEvaluation(world.db, project, run.id);
    const rows = (await manifestOf(done.trainingSet)).rows.test;
    expect(evaluation).toMatchObject({
      champion: null,
      championMetrics: null,
      candidateMetrics: { overall: { rows } },
    });
    expect(evaluation?.candidateMetrics.slices.every((slice) => slice.column === 'place')).toBe(true);
    expect(await readdir(world.trainers.work)).not.toContain(run.id);
  });

  test('a second model is judged beside the champion on the same rows, once', async () => {
    await declare({ endpoint: true });
    await materialize();
    const stop = await serveInstance(world);
    const first = await train();
    expect(first.rollout).toBe(workflowIds.deploy(project, 'risk', 1, asOf));
    expect(await findTraffic(world.db, project, 'risk')).toMatchObject({
      version: 1,
      generation: 1,
      dataInstant: asOf,
    });
    expect(await findAlias(world.db, project, 'risk', 'champion')).toMatchObject({ version: 1, dataInstant: asOf });
    // Days later the trainer hands over the same model: it is no worse, so it is promoted.
    const second = await train(dayOf(16));
    const evaluation = await findEvaluation(world.db, project, second.run);
    expect(evaluation?.champion).toBe(1);
    expect(evaluation?.championMetrics).toEqual(evaluation?.candidateMetrics);
    expect(second).toMatchObject({ verdict: 'promote', version: 2 });
    const again = await world.run('evaluateRun', `again/${project}`, {
      project,
      run: second.run,
      model: 'risk',
      principal: 'bob',
    });
    expect(again).toEqual({ verdict: 'promote', reasons: evaluation?.reasons, endpoint: 'risk' });
    expect(await findEvaluation(world.db, project, second.run)).toEqual(evaluation);
    await stop();
  });

  test('a candidate that does not pass its gates keeps its version and serves nothing', async () => {
    await declare({ endpoint: true, gates: [{ metric: 'auc', min: 0.99 }] });
    await materialize();
    expect(await train()).toMatchObject({ verdict: 'reject', version: 1, rollout: null });
    expect(await findTraffic(world.db, project, 'risk')).toBeNull();
    expect(await findAlias(world.db, project, 'risk', 'champion')).toBeNull();
  });

  test('a rollout without a live instance fails as such, and the run stays finished', async () => {
    await declare({ endpoint: true });
    await materialize();
    await world.db.query(
      "UPDATE revisions SET body = jsonb_set(body, '{policy,readyTimeout}', '\"1s\"') WHERE kind = 'Endpoint'",
    );
    expect((await world.failure('trainModel', trainId(), trainInput())).code).toBe('no_live_instance');
    expect(await getRun(world.db, project, runIdOf(setInput()))).toMatchObject({ status: 'finished' });
    expect(await world.db.query('SELECT status FROM rollouts WHERE project = $1', [project])).toEqual([
      { status: 'failed' },
    ]);
    expect(await findTraffic(world.db, project, 'risk')).toBeNull();
  });

  test('what fails is written down with its own code, and begins anew when asked again', async () => {
    await declare();
    expect((await world.failure('trainModel', trainId(), trainInput())).code).toBe('features_not_materialized');
    const id = runIdOf(setInput());
    expect(await getRun(world.db, project, id)).toMatchObject({
      status: 'failed',
      error: { code: 'features_not_materialized' },
    });
    await materialize();
    expect(await train()).toMatchObject({ run: id, version: 1 });
    expect(await getRun(world.db, project, id)).toMatchObject({ status: 'finished', error: null });
  });

  test('a cancelled run is cancelled, its trainer is gone, and its log is kept', async () => {
    await declare({ parameters: { hang_once: true } });
    await materialize();
    const handle = await world.start('trainModel', trainId(), trainInput());
    const id = runIdOf(setInput());
    const pids = await hangingTrainer(world, id);
    await handle.cancel();
    await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect(await getRun(world.db, project, id)).toMatchObject({ status: 'cancelled', error: { code: 'cancelled' } });
    await untilGone(pids);
    expect(await train()).toMatchObject({ run: id, version: 1 });
  });
});

test('instants of this file are what they seem', () => {
  expect(plusMicros(dayOf(1), 14 * 86_400e6)).toBe(asOf);
});
