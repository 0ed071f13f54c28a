import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig, projectRoot } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { riskOf } from '../../models/fixtures/risk.js';
import { startWorld, untilReady } from '../../serve/world.js';
import type { World } from '../../serve/world.js';

const folder = join(projectRoot, 'test', 'clients', 'tritonclient');
const buildMs = 300_000;
let world: World;
let said: Record<string, unknown>;

beforeAll(async () => {
  const { cache: cacheDir } = loadConfig();
  const lockFile = join(folder, 'requirements.lock');
  const python = await pythonEnvironment({ cacheDir, lockFile, name: 'tritonclient' });
  world = await startWorld();
  const at = await world.serve();
  await untilReady(at);
  await world.register('risk');
  await world.deploy(1, at);
  const { stdout } = await promisify(execFile)(python, [join(folder, 'client.py'), new URL(at.url).host, 'risk', '1']);
  said = JSON.parse(stdout) as Record<string, unknown>;
}, buildMs);
afterAll(() => world.stop());

const near = (...rows: (number | null)[][]) => rows.map((row) => expect.closeTo(riskOf('risk', row), 6));
const both = near([1, 2, 3], [0.5, -4, 2]);

test('tritonclient finds server and model live and ready, and reads their metadata', () => {
  expect(said).toMatchObject({ live: true, ready: true, modelReady: true, versionReady: true, otherReady: false });
  expect(said.server).toMatchObject({ name: 'eider', extensions: ['binary_tensor_data'] });
  expect(said.model).toMatchObject({ name: 'risk', versions: ['1'], platform: 'onnxruntime_onnx' });
});

test.each([
  ['as it does by default, binary both ways', 'byDefault', true, both],
  ['in JSON', 'json', false, both],
  ['in JSON and asks for binary', 'jsonInBinaryOut', true, both],
  ['as doubles', 'doubles', true, both],
  ['as integers', 'whole', false, near([1, 2, 3])],
  ['with a missing value', 'missing', true, near([null, 2, 3])],
  ['to a version', 'version', true, both],
  ['packed by gzip', 'gzip', true, both],
  ['packed by deflate', 'deflate', true, both],
  ['with parameters', 'parameters', true, both],
])('tritonclient sends rows %s', (_, way, binary, prediction) => {
  expect(said[way]).toMatchObject({ version: '1', binary, prediction });
});

test('tritonclient gets back the id it sent, and errors as its own with our words', () => {
  expect(said.byDefault).toMatchObject({ id: 'mine' });
  expect(said.wrongShape).toMatchObject({ status: '400', message: expect.stringMatching(/shape \[2,2\]/) });
  expect(said.unknownModel).toMatchObject({ status: '404', message: expect.stringMatching(/serves nothing here/) });
});
