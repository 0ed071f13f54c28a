import type { Serving } from '../../apps/serve/start.js';
import { http, oneRow, startWorld, untilReady } from './world.js';
import type { World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await startWorld({ ownPostgres: true });
});
afterAll(() => world.stop());

const infer = (at: Serving) => http(at, 'POST', '/v2/models/risk/infer', oneRow([1, 2, 3]));

test('an instance without PostgreSQL serves on and stays ready, and follows again when it is back', async () => {
  const at = await world.serve();
  await untilReady(at);
  await world.register('risk');
  await world.deploy(1, at);
  await world.register('risk2');
  await world.postgres.stop();
  const answers = await Promise.all(Array.from({ length: 20 }, () => infer(at)));
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect((await http(at, 'GET', '/readyz')).status).toBe(200);
  await world.postgres.start();
  await world.deploy(2, at);
});

test('an instance that starts without PostgreSQL is alive but not ready, and says so', async () => {
  await world.postgres.stop();
  const at = await world.serve({ instance: 'serve-2' });
  expect((await http(at, 'GET', '/healthz')).status).toBe(200);
  expect(await http(at, 'GET', '/v2/health/ready')).toMatchObject({ status: 503, json: { ready: false } });
  expect(await infer(at)).toMatchObject({
    status: 503,
    json: { code: 'instance_starting' },
    headers: { 'retry-after': '1' },
  });
  await world.postgres.start();
  await untilReady(at);
});
