import { createLogger } from '../../apps/log.js';
import { InferenceLog, mintRequestId } from '../../apps/serve/inference-log.js';
import type { Serving } from '../../apps/serve/start.js';
import { instant } from '../../domain/instants.js';
import { defaultProject } from '../../domain/ids.js';
import type { InferenceLogRow } from '../../domain/serving.js';
import { readInferenceLog } from '../../store/inference.js';
import { serving } from '../../store/serving.js';
import { eventually, http, oneRow, startWorld, untilReady } from './world.js';
import type { World } from './world.js';

let world: World;
let at: Serving;
beforeAll(async () => {
  world = await startWorld({ ownPostgres: true });
  at = await world.serve();
  await untilReady(at);
  await world.register('risk');
  await world.deploy(1, at);
});
afterAll(() => world.stop());

const silent = createLogger('serve', 'error', () => undefined);
const always = { start: instant('1970-01-01'), end: instant('2100-01-01') };
const logged = async (): Promise<InferenceLogRow[]> =>
  readInferenceLog(world.db, defaultProject, 'risk', always, 100_000);
const ofRequest = async (id: string) => (await logged()).filter(({ requestId }) => requestId === id);
const infer = (body: object) => http(at, 'POST', '/v2/models/risk/infer', body);

test('every row is in the log when its answer arrives: inputs, output, version, event time, key', async () => {
  const { json } = await infer({
    inputs: [{ name: 'input', datatype: 'FP64', shape: [2, 3], data: [0.1, null, 3, 4, 5, 6] }],
    parameters: { event_time: '2001-03-05T10:00:00.123456Z', key: [{ flight_id: 7 }, { flight_id: 8 }] },
  });
  const [first, second] = await ofRequest(json.parameters.request_id);
  expect(first).toMatchObject({
    version: 1,
    rowIndex: 0,
    eventTime: '2001-03-05T10:00:00.123456Z',
    inputs: [Math.fround(0.1), null, 3],
    output: json.outputs[0].data[0],
    key: { flight_id: 7 },
  });
  expect(second).toMatchObject({ rowIndex: 1, key: { flight_id: 8 }, output: json.outputs[0].data[1] });
});

test('without an event time it is the time of the answer', async () => {
  const { json } = await infer(oneRow([1, 2, 3]));
  const [row] = await ofRequest(json.parameters.request_id);
  expect(row?.eventTime).toBe(row?.loggedAt);
  expect(row?.key).toBeNull();
});

test('requests under the same id of their caller are each logged', async () => {
  const answers = await Promise.all(Array.from({ length: 30 }, () => infer(oneRow([1, 2, 3], { id: '1' }))));
  const ids = new Set(answers.map(({ json }) => String(json.parameters.request_id)));
  expect(answers.every(({ json }) => json.id === '1')).toBe(true);
  expect((await logged()).filter(({ requestId }) => ids.has(requestId))).toHaveLength(30);
});

test('what was answered while PostgreSQL was away is in the log once it is back', async () => {
  await world.postgres.stop();
  const answers = await Promise.all(Array.from({ length: 10 }, () => infer(oneRow([1, 2, 3]))));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect((await http(at, 'GET', '/metrics')).body.toString()).toMatch(/^eider_inference_log_queue_rows 10$/m);
  await world.postgres.start();
  const ids = new Set(answers.map(({ json }) => String(json.parameters.request_id)));
  const rows = await eventually(logged, (all) => all.filter(({ requestId }) => ids.has(requestId)).length >= 10);
  expect(rows.filter(({ requestId }) => ids.has(requestId))).toHaveLength(10);
});

const rowOf = (change: Partial<InferenceLogRow> = {}): InferenceLogRow => ({
  project: defaultProject,
  endpoint: 'risk',
  version: 1,
  requestId: mintRequestId(),
  rowIndex: 0,
  eventTime: instant('2001-03-05'),
  loggedAt: instant('2001-03-05'),
  inputs: [1, 2, 3],
  output: 0.5,
  key: null,
  ...change,
});

test('a row that PostgreSQL refuses is counted and holds up no other', async () => {
  const log = new InferenceLog(serving(world.db), silent);
  const [good, bad, alsoGood] = [rowOf(), rowOf({ key: 'nul \u0000' }), rowOf()];
  await Promise.all([log.append([good]), log.append([bad]), log.append([alsoGood])]);
  await log.stop(1_000);
  expect(log.numbers()).toMatchObject({ queued: 0, written: 2, rejected: 1, dropped: 0, unconfirmed: 0 });
  expect(await ofRequest(good.requestId)).toHaveLength(1);
  expect(await ofRequest(alsoGood.requestId)).toHaveLength(1);
});

test('rows beyond the queue are counted as dropped, and what is left is told at the end', async () => {
  await world.postgres.stop();
  const log = new InferenceLog(serving(world.db), silent, { queueRowsMax: 3 });
  for (let request = 0; request < 5; request++) await log.append([rowOf()]);
  expect(log.numbers()).toMatchObject({ queued: 3, dropped: 2, away: true });
  expect(await log.stop(1_000)).toBe(3);
  await world.postgres.start();
});

test('an answer waits for a slow store only so long, and the next ones not at all until it has caught up', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const log = new InferenceLog({ appendLog: () => held }, silent, { waitMsMax: 20 });
  await log.append([rowOf()]);
  expect(log.numbers()).toMatchObject({ queued: 1, unconfirmed: 1, away: true });
  await log.append([rowOf()]);
  release();
  await log.stop(1_000);
  expect(log.numbers()).toMatchObject({ queued: 0, written: 2, unconfirmed: 2, away: false });
});

test('ids sort by the time they were minted', () => {
  expect(mintRequestId()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
});
