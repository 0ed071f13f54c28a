import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import { temporaryFolder } from '../programs/started.js';

let root: string, remove: () => Promise<void>;

/** A bare clone: the entries and the manifests, and no packages. */
beforeEach(async () => {
  ({ path: root, remove } = await temporaryFolder());
  for (const name of ['bin', 'package.json', 'package-lock.json', '.npmrc', '.swcrc']) {
    await cp(join(projectRoot, name), join(root, name), { recursive: true });
  }
});
afterEach(() => remove());

function node(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    const options = { cwd: root, env: { ...process.env, ...env }, timeout: 50_000 };
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('without network the entry says in one sentence what is wrong and what to do, and nothing counts as installed', async () => {
  const env = {
    npm_config_registry: 'http://127.0.0.1:9/',
    npm_config_cache: join(root, 'cache'),
    npm_config_fetch_retries: '0',
  };
  const { code, stderr } = await node(['bin/eider.js', 'doctor'], env);
  expect(code).toBe(1);
  expect(stderr.trim().split('\n')).toEqual([
    'eider: installing npm packages (once)',
    expect.stringMatching(
      /^eider: npm ci cannot reach the registry \(.*\); check the network .*, then run this again\.$/,
    ),
  ]);
  const again = await node(['bin/eider.js', 'doctor'], env);
  expect(again.stderr).toContain('installing npm packages (once)');
});

test('sources are compiled once, again when their content changes, and an error leaves the last build', async () => {
  await withSources('export const answer: number = 1;\n');
  const main = (args: string[] = []) => node(['bin/eider.js', ...args]);
  expect(await main()).toMatchObject({
    code: 0,
    stdout: 'answer 1\n',
    stderr: expect.stringContaining('compiled in') as string,
  });
  expect(await main()).toEqual({ code: 0, stdout: 'answer 1\n', stderr: '' });
  await withSources('export const answer: number = 2;\n');
  expect((await main()).stdout).toBe('answer 2\n');
  await withSources('export const answer: number = ;\n');
  const broken = await main();
  expect(broken.code).toBe(1);
  expect(broken.stderr).toMatch(/domain\/answer\.ts does not compile: .*Expression expected/s);
  expect(await readFile(join(root, 'dist', 'domain', 'answer.js'), 'utf8')).toContain('answer = 2');
});

test('two entries at once compile once, and both see the whole build', async () => {
  await withSources('export const answer: number = 3;\n');
  const ended = await Promise.all([node(['bin/eider.js']), node(['bin/eider.js']), node(['bin/eider.js'])]);
  expect(ended.map(({ stdout }) => stdout)).toEqual(['answer 3\n', 'answer 3\n', 'answer 3\n']);
  expect(ended.filter(({ stderr }) => stderr.includes('compiled in'))).toHaveLength(1);
});

test('the lock and the half-made build of a killed process do not stop the next', async () => {
  await withSources('export const answer: number = 4;\n');
  await mkdir(join(root, '.eider-build', 'dist-1'), { recursive: true });
  await writeFile(join(root, '.eider-build', 'lock'), '999999 1');
  expect((await node(['bin/eider.js'])).stdout).toBe('answer 4\n');
  expect(await readdir(join(root, '.eider-build'))).toEqual([]);
});

async function withSources(answer: string): Promise<void> {
  await mkdir(join(root, 'domain'), { recursive: true });
  await mkdir(join(root, 'apps', 'cli'), { recursive: true });
  await writeFile(join(root, 'domain', 'answer.ts'), answer);
  await writeFile(
    join(root, 'apps', 'cli', 'main.ts'),
    "import { answer } from '../../domain/answer.js';\nconsole.log(`answer ${answer as number}`);\n",
  );
  await symlink(join(projectRoot, 'node_modules'), join(root, 'node_modules')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}
