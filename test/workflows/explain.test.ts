import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { projectRoot } from '../../apps/config.js';
import type { ExplainInput, Explanation } from '../../domain/explanation.js';
import { defaultProject as project, workflowIds } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { Resource } from '../../domain/resources.js';
import { pushRows } from '../../store/pushes.js';
import { eider, type Ended } from '../cli/eider.js';
import { serveApi, type ServedApi } from '../support/served-api.js';
import { withWorld, type World } from '../support/world.js';

/** The example of docs/explain.md, by the workflow, over REST and on the command line. */

const page = readFileSync(join(projectRoot, 'docs/explain.md'), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, block = '']) => block);

let world: World;
let api: ServedApi;
let run: (...args: string[]) => Promise<Ended>;
let url: string;
let file: string;
const range = { start: instant('2001-01-01'), end: instant('2001-01-03') };

beforeAll(async () => {
  world = await withWorld();
  file = join(world.home, 'data', 'quotes.csv');
  await writeFile(file, blocks('csv')[0] ?? '');
  const resources = parseAllDocuments(blocks('yaml')[0] ?? '').map((document) => Resource.parse(document.toJS()));
  await world.apply(
    resources.map((one) => (one.kind === 'Source' ? { ...one, spec: { ...one.spec, path: file } } : one)),
  );
  await materialize();
  api = await serveApi(world);
  url = api.url;
  run = eider(url);
}, 120_000);
afterAll(async () => {
  await api.close();
  await world.close();
});

const materialize = () =>
  world.run('materializeView', workflowIds.materialize(project, 'quote', 1, range.start, range.end), {
    ...{ project, view: 'quote', revision: 1, ...range, principal: 'ann' },
  });
let asked = 0;
const explain = (at: string, more: Partial<ExplainInput> = {}): Promise<Explanation> =>
  world.run('explainValue', `explain-${++asked}`, {
    ...{ project, view: 'quote', revision: 1, feature: 'price', key: { ticker: 'ACME' }, at: instant(at), ...more },
  });

test('the value, the row that won with everything that it came by, and why the others lost', async () => {
  const one = await explain('2001-01-01T13:00:00Z');
  expect(one).toMatchObject({
    ...{
      value: 11,
      status: 'PRESENT',
      type: 'DOUBLE',
      snapshot: 2,
      bitemporal: true,
      missing: [],
      online: null,
      push: null,
    },
    ttl: { declared: '3h', state: 'valid', until: instant('2001-01-01T15:00:00Z') },
    winner: { eventTime: instant('2001-01-01T12:00:00Z'), knownAt: instant('2001-01-01T12:05:00Z'), lane: 'sources' },
    origin: {
      window: { start: instant('2001-01-01'), end: instant('2001-01-02') },
      ...{ lane: 'sources', snapshot: 1, principal: 'ann', file: { rows: 4 } },
      workflowId: workflowIds.materialize(project, 'quote', 1, range.start, range.end),
    },
    sources: [{ name: 'quotes', revision: 1, files: [{ path: file, rows: 4 }], place: null, filesLeftOff: 0 }],
    sourcesState: 'as committed',
  });
  expect(one.others.map(({ verdict, value }) => [verdict, value])).toEqual([
    ['not_yet_known', 11.5],
    ['older', 10],
    ['future', 12],
  ]);
  expect(one.counts).toEqual({ won: 1, future: 1, not_yet_known: 1, older: 1, known_earlier: 0, replaced: 0, tie: 0 });
  const [row] = await world.query<{ price: number }>(
    `SELECT price FROM read_parquet('${world.lake.path(one.winner?.file ?? '')}', file_row_number = true) WHERE file_row_number = ${one.winner?.row}`,
  );
  expect(row?.price).toBe(11);
});

test.each([
  ['the last microsecond of its age', '2001-01-01T21:00:00Z', 12, 'PRESENT', 'valid'],
  ['one microsecond later', '2001-01-01T21:00:00.000001Z', null, 'OUTSIDE_MAX_AGE', 'OUTSIDE_MAX_AGE'],
  ['before anything was true', '2001-01-01T08:59:59.999999Z', null, 'NOT_FOUND', 'no value'],
  ['between being true and being known', '2001-01-01T12:04:59.999999Z', null, 'OUTSIDE_MAX_AGE', 'OUTSIDE_MAX_AGE'],
  ['when it was known', '2001-01-01T12:05:00Z', 11, 'PRESENT', 'valid'],
])('%s', async (_, at, value, status, state) => {
  expect(await explain(at)).toMatchObject({ value, status, ttl: { state } });
});

test('an instant whose window was never computed is said to be so', async () => {
  const { value, missing } = await explain('2001-01-05T01:00:00Z');
  expect([value, missing]).toEqual([null, [{ start: instant('2001-01-04'), end: instant('2001-01-06') }]]);
});

test.each<[string, Partial<ExplainInput>, string]>([
  ['a feature that the view does not have', { feature: 'volume' }, 'reference_unknown'],
  ['no key', { key: {} }, 'request_invalid'],
  ['a key that the entity does not have', { key: { ticker: 'ACME', market: 'X' } }, 'request_invalid'],
  ['a snapshot that is not there', { snapshot: 99 }, 'snapshot_unknown'],
])('%s is refused', async (_, more, code) => {
  const at = instant('2001-01-01T13:00:00Z');
  const input = { project, view: 'quote', revision: 1, feature: 'price', key: { ticker: 'ACME' }, at, ...more };
  expect(await world.failure('explainValue', `explain-${++asked}`, input)).toMatchObject({ code });
});

test('a view may call its columns as SQL of ours and of the engine might', async () => {
  const keys = [{ name: 'place', type: 'VARCHAR' }];
  const names = ['layer', 'filename', 'file_row_number', 'eider_file', 'eider_row', 'eider_event', 'eider_layer', 'eider_event_time']; // prettier-ignore
  const features = names.map((name) => ({ name, type: 'VARCHAR' }));
  const list = names.map((name) => `'${name}' || price::VARCHAR AS ${name}`).join(', ');
  const sql = `SELECT ticker AS place, "at" AS event_time, ${list} FROM quotes`;
  const spec = { entity: 'place', sources: ['quotes'], sql, lookback: '0s', window: '1d', features };
  const declared = [{ kind: 'Entity', name: 'place', spec: { keys } }, { kind: 'FeatureView', name: 'named', spec }]; // prettier-ignore
  await world.apply(declared.map((one) => Resource.parse(one)));
  await world.run('materializeView', 'named', { project, view: 'named', revision: 1, ...range, principal: 'ann' });
  const input = { view: 'named', feature: 'layer', key: { place: 'ACME' } };
  const one = await explain('2001-01-01T13:00:00Z', input);
  expect(one).toMatchObject({ status: 'PRESENT', winner: { lane: 'sources', value: one.value } });
  const [row] = await world.query<{ layer: string }>(
    `SELECT layer FROM read_parquet('${world.lake.path(one.winner?.file ?? '')}') LIMIT 1 OFFSET ${one.winner?.row}`,
  );
  expect(row?.layer).toBe(one.value);
});

/** What differs from run to run: hashes, names of files, the clock, this machine's folders. */
const settled = (text: string) =>
  text
    .replace(/definition [0-9a-f]{12}/, 'definition 0')
    .replace(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'uuid')
    .replace(/ at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d by/, ' at the clock by')
    .replaceAll(/\S*quotes\.csv/g, 'quotes.csv');

test('the command line tells it as docs/explain.md shows it, and REST answers the same as JSON', async () => {
  const commands = blocks('sh').map((block) => block.trim().replace('npx eider ', '').split(' '));
  expect(commands).toHaveLength(2);
  for (const [at, command] of commands.entries()) {
    const { stdout, stderr } = await run(...command);
    expect(stderr).toBe('');
    expect(settled(stdout)).toBe(settled(blocks('text')[at] ?? ''));
  }
  const [command = []] = commands;
  const answer = await fetch(`${url}/api/v1/features/quote/explain`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ feature: 'price', key: { ticker: 'ACME' }, at: '2001-01-01 13:00' }),
  });
  expect(answer.status).toBe(200);
  expect(JSON.parse((await run(...command, '--json')).stdout)).toEqual(await answer.json());
});

test('a pushed row is named with its push, beside what the online store answers, before and after it lies in a file', async () => {
  const row = { ticker: 'ACME', event_time: '2001-01-01T12:30:00Z', known_at: '2001-01-01T12:31:00Z', price: 11.125 };
  const push = { project, view: 'quote', rows: [row], to: 'online_and_offline' as const, id: 'noon' };
  await pushRows(world.db, push, { name: 'bob' });
  const waiting = await explain('2001-01-01T13:00:00Z');
  expect(waiting).toMatchObject({
    ...{ value: 11.125, winner: { lane: 'pushes', file: null, row: null }, sourcesState: null, sources: [] },
    push: { id: 'noon', principal: 'bob', sequence: 1 },
    online: { value: null, status: 'OUTSIDE_MAX_AGE', eventTime: instant('2001-01-01T12:30:00Z'), generation: 1 },
  });
  expect(waiting.others.find(({ value }) => value === 11)).toMatchObject({ verdict: 'older' });
  expect(await explain('2001-01-01T13:00:00Z', { snapshot: 2 })).toMatchObject({ value: 11, push: null });
});

test('a correction makes another row win, an old snapshot answers as before, and a changed source is noticed', async () => {
  await writeFile(file, (blocks('csv')[0] ?? '').replace(',11\n', ',11.25\n'));
  expect((await explain('2001-01-01T12:20:00Z')).sourcesState).toBe('changed since');
  await materialize();
  expect(await explain('2001-01-01T12:20:00Z')).toMatchObject({
    value: 11.25,
    snapshot: 3,
    sourcesState: 'as committed',
  });
  expect(await explain('2001-01-01T12:20:00Z', { snapshot: 2 })).toMatchObject({
    value: 11,
    sourcesState: 'changed since',
  });
});
