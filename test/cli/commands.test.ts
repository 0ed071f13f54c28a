import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Change } from '../../store/resources.js';
import { freePort } from '../programs/started.js';
import { withApi, type TestApi } from '../api/api.js';
import { standIns, startWorker } from '../api/worker.js';
import { flights } from '../store/samples.js';
import { eider, type Ended } from './eider.js';

let api: TestApi;
let letGo: () => void;
let stopWorker: () => Promise<void>;
let run: (...args: string[]) => Promise<Ended>;
let folder: string;

beforeAll(async () => {
  api = await withApi();
  const stand = standIns(api.db);
  letGo = stand.letGo;
  stopWorker = await startWorker(api.server, stand.activities);
  run = eider(api.url);
  folder = join(api.home, 'data');
  await mkdir(folder, { recursive: true });
  await write('flights.yaml', flights());
}, 120_000);
afterAll(async () => {
  letGo();
  await stopWorker();
  await api.close();
});

async function write(name: string, resources: object[]): Promise<string> {
  const path = join(folder, name);
  const local = resources.map((one) => {
    const { kind, spec } = one as { kind: string; spec: object };
    return kind === 'Source' ? { ...one, spec: { ...spec, path: 'flights.parquet' } } : one;
  });
  await writeFile(path, local.map((one) => stringify(one)).join('---\n'));
  return path;
}
const done = async (...args: string[]): Promise<string> => {
  const { code, stdout, stderr } = await run(...args);
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return stdout;
};
const json = async <Body>(...args: string[]): Promise<Body> => JSON.parse(await done(...args, '--json')) as Body;

test('plan shows what apply would do, apply does it, a second apply finds nothing to do', async () => {
  const file = join(folder, 'flights.yaml');
  expect(await done('plan', '-f', file)).toContain('+ Model lateness will be created (revision 1)');
  expect(await done('apply', '-f', file)).toContain('+ Model lateness created (revision 1)');
  const { changes } = await json<{ changes: Change[] }>('apply', '-f', file);
  expect(new Set(changes.map(({ change }) => change))).toEqual(new Set(['unchanged']));
  const { spec } = await json<{ spec: { path: string } }>('get', 'source', 'flights');
  expect(spec.path).toBe(join(folder, 'flights.parquet'));
});

test('plan shows each field that changes, before and after', async () => {
  await done('apply', '-f', folder);
  const changed = flights().map((one) => {
    if (one.kind === 'Endpoint') return { ...one, spec: { ...one.spec, policy: { goldenTolerance: 0.5 } } };
    return one.kind === 'FeatureView' ? { ...one, spec: { ...one.spec, sql: `${one.spec.sql}-- more\n` } } : one;
  });
  const path = join(api.home, 'changed.yaml');
  await writeFile(
    path,
    changed
      .filter(({ kind }) => kind === 'Endpoint' || kind === 'FeatureView')
      .map((one) => stringify(one))
      .join('---\n'),
  );
  const plan = await done('plan', '-f', path);
  expect(plan).toContain(
    '~ Endpoint lateness will change (revision 2)\n    spec.policy.goldenTolerance: 0.000001 -> 0.5\n',
  );
  expect(plan).toContain('+ -- more');
});

test('a mistake in a file ends with 1, its place and what is allowed, for people and for machines', async () => {
  const path = join(api.home, 'wrong.yaml');
  await writeFile(path, 'kind: Endpoint\nname: e\nspec:\n  modle: m\n');
  const { code, stderr } = await run('apply', '-f', path);
  expect(code).toBe(1);
  expect(stderr).toContain(`${path}:4:3: spec.modle: is not a field of this resource; allowed: model, policy`);
  expect(stderr).toContain('(resource_invalid)');
  const machine = await run('apply', '-f', path, '--json');
  expect(machine.code).toBe(1);
  expect(JSON.parse(machine.stdout)).toMatchObject({
    code: 'resource_invalid',
    data: {
      problems: [
        { file: path, line: 4, column: 3, field: 'spec.model' },
        { line: 4, column: 3, field: 'spec.modle', allowed: ['model', 'policy'] },
      ],
    },
  });
});

test('what the server finds wrong is all told: plan lists it and ends with 1, apply refuses', async () => {
  const keys = [{ name: 'k', type: 'BIGINT' }];
  const path = await write(
    '../refused.yaml',
    ['a', 'b'].map((name) => ({ kind: 'Entity', name, description: 'refuse', spec: { keys } })),
  );
  const plan = await run('plan', '-f', path);
  expect(plan.code).toBe(1);
  expect(plan.stdout).toContain('! Entity a spec.sql: a does not parse (sql_invalid)');
  const apply = await run('apply', '-f', path);
  expect(apply.code).toBe(1);
  expect(apply.stderr).toContain(
    '2 problems:\nEntity a spec.sql: a does not parse\nEntity b spec.sql: b does not parse',
  );
  const outside = await write('../outside.yaml', [{ kind: 'Source', name: 's', spec: { eventTime: 't' } }]);
  expect((await run('apply', '-f', outside)).stderr).toContain('(path_not_allowed)');
});

test('resources are listed, shown and deleted, by whichever way of writing their kind', async () => {
  await done('apply', '-f', folder);
  expect(await done('get', 'featureviews')).toMatch(
    /^NAME +REVISION +WINDOWS +ROWS +SIZE +SNAPSHOT\norigin_hour +1 +0/,
  );
  expect(await done('get', 'Entity')).toMatch(/^NAME +REVISION +CREATED +DESCRIPTION\norigin /);
  expect(await done('get', 'endpoints')).toMatch(/lateness +- +- +-/);
  expect(await done('describe', 'Model', 'lateness')).toMatch(/kind: Model[^]*inputs:[^]*versions: \[\]/);
  expect(await done('describe', 'endpoint', 'lateness')).toMatch(/traffic: null\nrollouts: \[\]\ninstances: \[\]/);
  expect(await done('get', 'runs')).toBe('There are none.\n');
  expect(await done('get', 'projects')).toContain('eider');
  expect(await done('get', 'versions', 'lateness')).toBe('There are none.\n');

  const used = await run('delete', 'Model', 'lateness');
  expect([used.code, used.stderr]).toEqual([1, expect.stringContaining('(resource_in_use)')]);
  expect(await done('delete', 'monitor', 'lateness_weekly')).toBe('- Monitor lateness_weekly deleted\n');
  expect((await run('get', 'Monitor', 'lateness_weekly')).stderr).toContain('There is no Monitor "lateness_weekly"');
});

test('work is started, followed with --wait, and its failure is the failure of the command', async () => {
  await done('apply', '-f', folder);
  const range = ['--start', '2001-03-01', '--end', '2001-03-04'];
  const started = await json<{ workflowId: string; ui: string }>('materialize', 'origin_hour', ...range);
  expect(started.workflowId).toBe('materialize/eider/origin_hour@r1/2001-03-01T00:00:00Z/2001-03-04T00:00:00Z');
  expect(await done('get', 'workflows')).toContain(started.workflowId);

  const following = run('materialize', 'origin_hour', ...range, '--wait');
  letGo();
  const { code, stdout, stderr } = await following;
  expect([code, stdout]).toEqual([0, '2 of 3 windows committed, 20 rows, 200 B; snapshot 2.\n']);
  expect(stderr).toMatch(/^materialize {2}\[\.{24}\] 0\/2 2 never computed, 1 current$|^done/m);

  const failed = await run('materialize', 'route_day', ...range, '--wait');
  expect(failed.code).toBe(1);
  expect(failed.stderr).toContain('eider: flights is no Parquet file. (source_unreadable)');
  expect(await done('describe', 'workflow', started.workflowId)).toContain('status: completed');
});

test('training is followed with what the trainer says, and its run can be looked at', async () => {
  await done('apply', '-f', folder);
  letGo();
  const { code, stderr } = await run('train', 'lateness', '--as-of', '2001-03-05', '--wait');
  expect(code).toBe(1);
  expect(stderr).toMatch(/^fit {9}\[#{17}\.{7}\] 7\/10 auc 0\.7000$/m);
  expect(stderr).toContain('(training_set_empty)');
  const [run0] = (await json<{ items: { id: string }[] }>('get', 'runs')).items;
  expect(await done('describe', 'run', run0?.id ?? '')).toContain('model: lateness');
  expect((await run('logs', run0?.id ?? '')).stderr).toContain('(log_unknown)');
});

test('a workflow is cancelled', async () => {
  await done('apply', '-f', folder);
  const monitor = await json<{ workflowId: string }>('dataset', 'lateness', '--as-of', '2001-04-02');
  expect(await done('cancel', monitor.workflowId)).toMatch(/is asked to end|has ended/);
  expect((await run('cancel', 'train/eider/nobody')).stderr).toContain('(workflow_unknown)');
});

test('labels are uploaded from JSON and from lines of JSON, a broken line is named', async () => {
  await done('apply', '-f', folder);
  const label = (flight_id: number) => JSON.stringify({ key: { flight_id }, label: true, knownAt: '2001-03-05' });
  const [lines, array, broken] = ['l.jsonl', 'l.json', 'b.jsonl'].map((name) => join(api.home, name)) as [
    string,
    string,
    string,
  ];
  await writeFile(lines, `${Array.from({ length: 10_001 }, (_, at) => label(at)).join('\n')}\n`);
  await writeFile(array, `[${label(1)}]`);
  await writeFile(broken, `${label(1)}\n{\n`);
  expect(await done('labels', 'lateness', '-f', lines)).toBe('10,001 labels uploaded\n');
  expect(await json('labels', 'lateness', '-f', array)).toEqual({ model: 'lateness', labels: 1 });
  expect((await run('labels', 'lateness', '-f', broken)).stderr).toContain(`${broken}:2: `);
});

test.each([
  [['get', 'nothing'], /"nothing" is neither one of Source, .* nor of projects,/],
  [['get', 'versions'], /eider get versions MODEL/],
  [['describe', 'nothing', 'x'], /"nothing" is neither one of/],
  [['describe', 'version', 'lateness'], /MODEL\/NUMBER/],
  [['delete', 'nothing', 'x'], /"nothing" is not a kind; the kinds are Source/],
  [['get', 'runs', '--project', 'nobody'], /\(project_unknown\)/],
  [['train', 'nobody', '--as-of', '2001-03-05'], /There is no Model "nobody".*\(resource_unknown\)/],
  [['train', 'lateness', '--as-of', 'soon'], /"soon" is not an ISO 8601 instant/],
  [['train', 'lateness'], /required option '--as-of <instant>'/],
  [['deploy', 'lateness', '--version', '0'], /whole number, at least 1/],
  [['lineage', 'run', 'nobody'], /\(lineage_unknown\)/],
  [['logs', '0'.repeat(32)], /\(run_unknown\)/],
  [['labels', 'lateness', '-f', 'nowhere.json'], /There is no file nowhere\.json/],
])('eider %j fails with a sentence', async (args, message) => {
  const { code, stderr } = await run(...args);
  expect(code).toBe(1);
  expect(stderr).toMatch(message);
});

test('without an API, and with something else in its place, the command says so', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const { code, stderr } = await eider(url)('get', 'runs');
  expect([code, stderr]).toEqual([
    1,
    `eider: Nothing answers at ${url} (ECONNREFUSED). (api_unreachable) Start it with eider dev, or set EIDER_URL.\n`,
  ]);
  const other = await eider(api.server.uiUrl)('get', 'runs');
  expect(other.stderr).toContain('is not Eider');
});

test.each([
  'plan',
  'apply',
  'get',
  'describe',
  'delete',
  'materialize',
  ...['build', 'relabel', 'verify', 'recreate', 'upload', 'download', 'labels'].map((name) => `dataset ${name}`),
  'train',
  'deploy',
  'score',
  'tick',
  'backfill',
  'labels',
  'logs',
  'cancel',
  'lineage',
])('eider %s has --json, --project and an example in its help', async (command) => {
  const help = await done(...command.split(' '), '--help');
  for (const part of ['--json', '--project', `Example:\n  eider ${command} `]) expect(help).toContain(part);
});
