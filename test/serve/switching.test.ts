import { Agent } from 'node:http';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Serving } from '../../apps/serve/start.js';
import { goldenOf, modelFile, riskOf } from '../models/fixtures/risk.js';
import { eventually, http, oneRow, startWorld, untilReady } from './world.js';
import type { World } from './world.js';

const row = [1, 2, 3];
let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const infer = (at: Serving, version?: number) =>
  http(at, 'POST', `/v2/models/risk${version === undefined ? '' : `/versions/${version}`}/infer`, oneRow(row));

async function started(): Promise<Serving> {
  const at = await world.serve();
  await untilReady(at);
  return at;
}

test('traffic goes from version to version under load: no request fails, and no client sees an older version again', async () => {
  const at = await started();
  await world.register('risk');
  await world.deploy(1, at);
  const agent = new Agent({ keepAlive: true });
  let stop = false;
  const client = async () => {
    const versions: number[] = [];
    while (!stop) {
      const { status, json } = await http(at, 'POST', '/v2/models/risk/infer', oneRow(row), { agent });
      expect([status, json.error]).toEqual([200, undefined]);
      const version = Number(json.model_version);
      expect(json.outputs[0].data[0]).toBeCloseTo(riskOf(version % 2 === 1 ? 'risk' : 'risk2', row), 6);
      versions.push(version);
    }
    return versions;
  };
  const clients = [client(), client(), client(), client()];
  for (let version = 2; version <= 5; version++) {
    await world.register(version % 2 === 1 ? 'risk' : 'risk2');
    await world.deploy(version, at);
  }
  stop = true;
  for (const versions of await Promise.all(clients)) {
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect(new Set(versions).size).toBeGreaterThan(1);
    expect(versions.at(-1)).toBe(5);
  }
  agent.destroy();
});

test('the version before stays loaded, and older ones are unloaded', async () => {
  const at = await started();
  for (const version of [1, 2, 3]) {
    await world.register('risk');
    await world.deploy(version, at);
  }
  await eventually(
    () => http(at, 'GET', '/v2/models/risk'),
    ({ json }) => JSON.stringify(json.versions) === '["2","3"]',
  );
  expect((await infer(at, 2)).json.model_version).toBe('2');
  expect((await infer(at, 1)).json.code).toBe('version_unknown');
});

test('an announced version answers by its number before it has traffic, and is unloaded when its rollout is cancelled', async () => {
  const at = await started();
  await world.register('risk');
  await world.deploy(1, at);
  const rollout = await world.announce(await world.register('risk2'));
  expect(await world.answers(rollout)).toMatchObject([{ instance: 'serve-1', state: 'ready', reason: null }]);
  expect((await infer(at)).json.model_version).toBe('1');
  expect((await infer(at, 2)).json.outputs[0].data[0]).toBeCloseTo(riskOf('risk2', row), 6);
  await world.cancel(rollout);
  await eventually(
    () => infer(at, 2),
    ({ status }) => status === 404,
  );
  expect((await infer(at)).json.model_version).toBe('1');
});

test.each([
  ['that is corrupt', { bytes: 'garbage' }, /^object_corrupt: /],
  ['whose golden rows differ', { golden: goldenOf('risk2') }, /^golden_rows_differ: Golden row \d+: /],
])('a version %s is reported as failed and never served', async (_, change, reason) => {
  const at = await started();
  await world.register('risk');
  await world.deploy(1, at);
  const rollout = await world.announce(await world.register('risk', change));
  expect(await world.answers(rollout)).toMatchObject([{ state: 'failed', reason: expect.stringMatching(reason) }]);
  expect((await infer(at, 2)).json.code).toBe('version_unknown');
  expect((await infer(at)).json.model_version).toBe('1');
});

test('a version that failed is tried again, and is ready when its file was restored', async () => {
  await untilReady(await world.serve({ timing: { retryFailedMs: 50 } }));
  await world.register('risk', { bytes: 'garbage' });
  const rollout = await world.announce(1);
  expect(await world.answers(rollout)).toMatchObject([{ state: 'failed' }]);
  await copyFile(modelFile('risk'), join(world.home, 'artifacts', 'models', `${'1'.padStart(32, '0')}.onnx`));
  await eventually(
    () => world.answers(rollout),
    ([said]) => said?.state === 'ready',
  );
});

test('an instance that comes back under its name answers with the active version before it says ready', async () => {
  const first = await started();
  await world.register('risk');
  await world.deploy(1, first);
  await world.register('risk2');
  await world.deploy(2, first);
  await first.stop();
  expect(await world.db.query('SELECT * FROM inference_instances')).toEqual([]);

  const second = await world.serve();
  const early = await infer(second);
  if (early.status !== 200) expect([early.status, early.json.code]).toEqual([503, 'instance_starting']);
  await untilReady(second);
  expect((await infer(second)).json.model_version).toBe('2');
  expect(await world.db.query('SELECT instance, version, state FROM instance_versions')).toEqual([
    { instance: 'serve-1', version: 2, state: 'ready' },
  ]);
});

test('a new process forgets what the one before it reported, so that no rollout counts on it too early', async () => {
  await world.db.query(
    "INSERT INTO inference_instances (instance, url, lease_until) VALUES ('serve-1', '', now() + interval '1 hour')",
  );
  await world.db.query(
    "INSERT INTO instance_versions (instance, project, endpoint, version, generation, state) VALUES ('serve-1', 'eider', 'risk', 9, 9, 'ready')",
  );
  await started();
  expect(await world.db.query('SELECT * FROM instance_versions')).toEqual([]);
});

test('a port that is taken is named', async () => {
  const at = await started();
  const port = Number(new URL(at.url).port);
  await expect(world.serve({ instance: 'serve-2', port })).rejects.toMatchObject({ code: 'port_busy', data: { port } });
});
