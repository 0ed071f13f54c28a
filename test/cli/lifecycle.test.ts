import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { projectRoot } from '../../apps/config.js';
import { createLogger } from '../../apps/log.js';
import { DomainError } from '../../domain/errors.js';
import { temporaryFolder } from '../programs/started.js';

let folder: string, remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: folder, remove } = await temporaryFolder());
});
afterEach(() => remove());

/** A process whose drain ends as the script says, once it is up. */
async function drainer(drain: string, args: readonly string[] = []): Promise<{ child: ChildProcess; said: string[] }> {
  const script = join(folder, 'main.mjs');
  await writeFile(
    script,
    `import { onShutdown } from '${projectRoot}/dist/apps/lifecycle.js';
     onShutdown(async () => { console.log('draining'); ${drain} }, { drainMs: 300 });
     setInterval(() => {}, 1000);
     console.log('up');`,
  );
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const said: string[] = [];
  const lines = createInterface({ input: child.stdout });
  lines.on('line', (line) => said.push(line));
  await once(lines, 'line');
  return { child, said };
}

const never = 'await new Promise(() => {});';

test.each(['SIGTERM', 'SIGINT'] as const)('%s drains and exits 0', async (signal) => {
  const { child, said } = await drainer('');
  child.kill(signal);
  expect(await once(child, 'exit')).toEqual([0, null]);
  expect(said).toEqual(['up', 'draining']);
});

test('a supervised process drains when its supervisor is gone, another does not mind its stdin', async () => {
  const supervised = await drainer('', ['--supervised']);
  supervised.child.stdin?.end();
  expect(await once(supervised.child, 'exit')).toEqual([0, null]);
  const alone = await drainer('');
  alone.child.stdin?.end();
  alone.child.kill('SIGTERM');
  expect(await once(alone.child, 'exit')).toEqual([0, null]);
});

test.each([
  ['that does not end', never],
  ['that fails', 'throw new Error("no")'],
])('a drain %s ends the process with 1', async (_, drain) => {
  const { child } = await drainer(drain);
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([1, null]);
});

test('a log line is one JSON object, whatever its fields are', () => {
  const lines: string[] = [];
  const log = createLogger('api', 'info', (line) => lines.push(line));
  log.debug('not written');
  log.info('counted', { rows: 2n ** 60n, error: new DomainError('port_busy', 'Port 1 is taken.', { port: 1 }) });
  log.ready({ url: 'http://127.0.0.1:1' });
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    expect.objectContaining({
      level: 'info',
      process: 'api',
      message: 'counted',
      rows: String(2n ** 60n),
      error: expect.objectContaining({ code: 'port_busy', data: { port: 1 } }) as unknown,
    }),
    expect.objectContaining({ ready: true, url: 'http://127.0.0.1:1' }),
  ]);
});
