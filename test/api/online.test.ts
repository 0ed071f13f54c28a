import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { projectRoot } from '../../apps/config.js';
import { workflowIds, defaultProject as project } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { Resource } from '../../domain/resources.js';
import { until } from '../../programs/waiting.js';
import { liveGeneration } from '../../store/online.js';
import { eider } from '../cli/eider.js';
import { serveApi, type ServedApi } from '../support/served-api.js';
import { withWorld, type World } from '../support/world.js';

/** docs/online.md, played against the API with a real worker; and the commands. */

const page = readFileSync(join(projectRoot, 'docs', 'online.md'), 'utf8');
const blocks = [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, kind, text]) => ({ kind, text: text ?? '' }));

let world: World;
let api: ServedApi;
let url: string;
let command: ReturnType<typeof eider>;

beforeAll(async () => {
  world = await withWorld();
  const path = await world.write('sales.parquet', `SELECT shop, TIMESTAMP '2001-01-01' + to_days((day - 1)::INTEGER) AS "at", day * 10 + shop::DOUBLE AS amount, day AS visitors FROM range(1, 3) s(shop), range(1, 10) d(day)`); // prettier-ignore
  const declared = parse(blocks.find(({ kind }) => kind === 'yaml')?.text ?? '') as object;
  await world.apply(
    [
      { kind: 'Source', name: 'sales', spec: { path, eventTime: 'at' } },
      { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'BIGINT' }] } },
      declared,
    ].map((one) => Resource.parse(one)),
  );
  await materialize(1);
  api = await serveApi(world);
  url = api.url;
  command = eider(url);
}, 120_000);
afterAll(async () => {
  await api.close();
  await world.close();
});

const range = { start: instant('2001-01-01'), end: instant('2001-01-10') };
const materialize = (revision: number) =>
  world.run('materializeView', workflowIds.materialize(project, 'shop_day', revision, range.start, range.end), {
    ...{ project, view: 'shop_day', revision, ...range, principal: 'ann' },
  });

async function call(line: string, body: unknown) {
  const [method = '', path = ''] = line.split(' ');
  const answer = await fetch(`${url}/api/v1${path}`, { method, headers: { 'content-type': 'application/json' }, body: method === 'GET' ? undefined : JSON.stringify(body) }); // prettier-ignore
  expect(answer.headers.get('content-type')).toMatch(/json/);
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> & { workflowId: string } };
}

test('the example of the page is what the API answers', async () => {
  let answer: unknown;
  let shown = 0;
  for (const { kind, text } of blocks) {
    if (kind === 'http') {
      const [line = '', ...body] = text.split('\n');
      const { status, body: given } = await call(line, JSON.parse(body.join('\n')));
      expect([line, status]).toEqual([line, line.endsWith('/publish') ? 202 : 200]);
      if (status === 202) await world.client.workflow.getHandle(given.workflowId).result();
      answer = given;
    } else if (kind === 'json') {
      expect(answer).toMatchObject(JSON.parse(text) as object);
      shown++;
    }
  }
  expect(shown).toBe(4);
});

test('what is asked wrongly is refused as a problem with the place', async () => {
  const { status, body } = await call('POST /features/online', { features: ['shop_day:amount'] });
  expect([status, body.code, body.detail]).toEqual([422, 'request_invalid', 'must have either entities or rows.']);
  const odd = await call('POST /features/online', { features: ['shop_day:amount'], rows: [{ shop: 1 }, { store: 2 }] });
  expect(odd.body.detail).toMatch(/rows\.1 must have the columns shop/);
  const push = await call('POST /features/shop_day/push', { rows: [{ shop: 1 }] });
  expect([push.status, push.body.code]).toEqual([422, 'pushed_row_invalid']);
  const many = Array(10_001).fill(1) as number[];
  const df = { shop: many, at: many.map(() => '2001-01-01 00:00:00'), amount: many, visitors: many };
  const feast = { method: 'POST', headers: { 'content-type': 'application/json' } };
  const staged = () => world.db.query('SELECT 1 FROM pushed_rows');
  const before = await staged();
  const frame = JSON.stringify({ push_source_name: 'shop_day', df });
  expect((await fetch(`${url}/push`, { ...feast, body: frame })).status).toBe(413);
  expect(await staged()).toEqual(before);
});

test('what is read is not kept under an Idempotency-Key, where no erasure would look for it', async () => {
  const headers = { 'content-type': 'application/json', 'idempotency-key': 'a read' };
  const online = { features: ['shop_day:amount'], entities: { shop: [1] } };
  const explain = { feature: 'amount', key: { shop: 1 }, at: '2001-01-09' };
  for (const [path, body] of Object.entries({
    '/api/v1/features/online': online,
    '/get-online-features': online,
    '/api/v1/features/shop_day/explain': explain,
  }))
    // prettier-ignore
    for (let repeat = 0; repeat < 2; repeat++) {
      const answer = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
      expect([path, answer.status, answer.headers.get('idempotent-replayed')]).toEqual([path, 200, null]);
    }
  expect(await world.db.query('SELECT key FROM idempotency_keys')).toEqual([]);
});

const said = async (...args: string[]) => {
  const ended = await command(...args);
  if (ended.code !== 0) throw new Error(ended.stderr);
  return ended.stdout;
};

test('commands publish, push, flush, verify, repair, read and roll back', async () => {
  expect(await said('publish', 'shop_day', '--as-of', '2001-01-12', '--wait')).toMatch(/^Generation \d+ of shop_day@r1 is live: 2 rows/); // prettier-ignore
  const file = join(world.home, 'rows.json');
  await writeFile(file, JSON.stringify([{ shop: 2, at: '2001-01-11', amount: 40, visitors: null }]));
  expect(await said('push', 'shop_day', '--file', file, '--id', 'two')).toMatch(/^1 rows pushed, up to 3; 1 are what/);
  expect(await said('flush', 'shop_day', '--wait')).toMatch(/rows flushed into \d windows; snapshot/);
  expect(await said('verify', 'shop_day', '--wait')).toMatch(/^2 keys of generation \d+: online equals offline/);
  const table = `online.g${(await liveGeneration(world.db, project, 'shop_day'))?.id}`;
  await world.db.query(`UPDATE ${table} SET features = '[41,null]' WHERE key = '[2]'`);
  expect(await said('online', 'shop_day:amount', '--key', 'shop=2', '--as-of', '2001-01-12')).toMatch(/shop_day:amount +41 +PRESENT/); // prettier-ignore
  const report = await said('verify', 'shop_day', '--repair', '--wait');
  expect(report).toMatch(/1 differ, 1 were repaired/);
  expect(report).toMatch(/\[2\] +values_differ +amount +\[41,null\] +\[40,null\]/);
  expect(await said('verify', 'shop_day', '--sample', '1', '--wait')).toMatch(/^1 sampled keys/);
  expect(await said('rollback', 'shop_day', '--reason', 'a test')).toMatch(/is live again instead of/);
  expect(await said('online', 'shop_day:amount', '--key', 'shop=1,2', '--as-of', '2001-01-12')).toMatch(
    /12\.5[\s\S]*40/,
  );
  expect(await said('get', 'generations', 'shop_day')).toMatch(/live/);
  expect(await said('get', 'verifications', 'shop_day')).toMatch(/REPORT/);
  const { body } = await call('GET /features/shop_day/online', undefined);
  expect(body).toMatchObject({ sequence: 3, waiting: 0, history: [{ action: 'rolled back', reason: 'a test' }, expect.anything(), expect.anything()] }); // prettier-ignore
}, 180_000);

test('a view that says so is published by itself when windows were committed', async () => {
  const declared = parse(blocks.find(({ kind }) => kind === 'yaml')?.text ?? '') as { spec: object };
  await world.apply([Resource.parse({ ...declared, spec: { ...declared.spec, online: true } })]);
  await materialize(2);
  const isLive = async () => (await liveGeneration(world.db, project, 'shop_day'))?.revision === 2;
  expect(await until(isLive, 30_000)).toBe(true);
});

test('publish and roll back say what was taken over from other revisions, and what was left and why', async () => {
  const declared = parse(blocks.find(({ kind }) => kind === 'yaml')?.text ?? '') as { spec: { features: object[] } };
  const sql = 'SELECT shop, "at", amount, visitors, 1::BIGINT AS one FROM sales';
  const features = [...declared.spec.features, { name: 'one', type: 'BIGINT' }];
  await world.apply([Resource.parse({ ...declared, spec: { ...declared.spec, sql, features } })]);
  await materialize(3);
  expect(await said('publish', 'shop_day', '--as-of', '2001-01-12', '--wait')).toMatch(
    /\n3 rows that were pushed to revision 1 are left there: it has no feature "one"\. Push again those that hold for this one\.\n/,
  );
  const file = join(world.home, 'rows.json');
  await writeFile(file, JSON.stringify([{ shop: 2, at: '2001-01-12', amount: 50, visitors: null, one: 1 }]));
  await said('push', 'shop_day', '--file', file);
  expect(await said('rollback', 'shop_day')).toMatch(/\n1 rows that were pushed to revision 3 were taken over\.\n/);
  const { body } = await call('GET /features/shop_day/online', undefined);
  const [moved] = body.history as object[];
  expect(moved).toMatchObject({ handedOver: [{ revision: 3, rows: 1, left: 0, why: null }] });
}, 120_000);
