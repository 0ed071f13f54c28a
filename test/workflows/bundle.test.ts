import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join, relative } from 'node:path';
import { createContext, runInContext, Script } from 'node:vm';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import { projectRoot } from '../../apps/config.js';

/** What workers run of workflows/ is one bundle, replayed in a sandbox: nothing may get into it that knows the world. */

let code = '';
/** The modules of the bundle: paths of the tree, `package:NAME` for what lies in node_modules. */
let modules: readonly string[] = [];

beforeAll(async () => {
  Runtime.install({ logger: new DefaultLogger('ERROR') });
  const logger = new DefaultLogger('ERROR');
  ({ code } = await bundleWorkflowCode({ workflowsPath: join(projectRoot, 'workflows', 'index.ts'), logger }));
  const map = code.slice(code.lastIndexOf('base64,') + 'base64,'.length);
  const { sources } = JSON.parse(Buffer.from(map, 'base64').toString()) as { sources: string[] };
  modules = sources.map((source) => {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1];
    return name === undefined ? relative(projectRoot, source) : `package:${name}`;
  });
}, 120_000);

const isOurs = (module: string) => /^[a-z]+\/.*\.ts$/.test(module);
const packages = () => [...new Set(modules.filter((module) => module.startsWith('package:')))].sort();

test('the bundle holds workflow code, and of domain/ only ids and errors', () => {
  const ours = modules.filter(isOurs);
  expect(ours).toContain('workflows/training.ts');
  expect(ours.filter((module) => !/^(workflows\/|domain\/(ids|errors)\.ts$)/.test(module))).toEqual([]);
});

test('the bundle holds Temporal’s own packages and no other: no zod, no DuckDB, no pg', () => {
  const temporal = ['@temporalio/common', '@temporalio/workflow', 'long', 'ms', 'nexus-rpc'];
  expect(packages()).toEqual(temporal.map((name) => `package:${name}`));
});

test('the bundle holds no module of Node', () => {
  const required = [...code.matchAll(/\brequire\(["']([^"']+)["']\)/g)].map(([, name = '']) =>
    name.replace(/^node:/, ''),
  );
  expect(required.filter((name) => builtinModules.includes(name))).toEqual([]);
  expect(modules.filter((module) => module.includes('external '))).toEqual([]);
});

test('the bundle loads without anything of Node, and exports every workflow', () => {
  const sandbox = createContext({ __webpack_module_cache__: {} });
  new Script(code).runInContext(sandbox);
  const workflows = runInContext('Object.keys(__TEMPORAL__.importWorkflows())', sandbox) as string[];
  const exported = readFileSync(join(projectRoot, 'workflows', 'index.ts'), 'utf8').matchAll(/\{ ([^}]+) \}/g);
  expect([...workflows].sort()).toEqual([...exported].flatMap(([, names = '']) => names.split(', ')).sort());
});

test('a worker takes the bundle, and nothing that is none', async () => {
  expect(await replayNothing(code)).toBe(0);
  await expect(replayNothing('this is no bundle')).rejects.toThrow();
});

async function replayNothing(bundle: string): Promise<number> {
  const none = (async function* () {})();
  let replayed = 0;
  for await (const _ of Worker.runReplayHistories({ workflowBundle: { code: bundle } }, none)) replayed++;
  return replayed;
}

test('a workflow that reached a module of Node would not be bundled', async () => {
  const said: string[] = [];
  const logger = new DefaultLogger('ERROR', ({ message }) => void said.push(message));
  const reaching = join(projectRoot, 'lake', 'objects.ts');
  await expect(bundleWorkflowCode({ workflowsPath: reaching, logger })).rejects.toThrow();
  expect(said.join('\n')).toContain('fs/promises');
}, 60_000);
