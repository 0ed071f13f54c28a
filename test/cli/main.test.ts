import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';
import { freePorts, temporaryFolder } from '../programs/started.js';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function eider(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...process.env, ...env }, timeout: 50_000 };
    execFile(process.execPath, [join(projectRoot, 'bin', 'eider.js'), ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

test('a command that fails ends with 1 and one sentence with its code and the next step', async () => {
  const { code, stderr } = await eider(['doctor'], { EIDER_API_PORT: 'many', EIDER_LOG_LEVEL: 'loud' });
  expect(code).toBe(1);
  expect(stderr.trim().split('\n')).toEqual([
    'eider: EIDER_API_PORT "many" is not a whole number; EIDER_LOG_LEVEL "loud" is not one of debug, info, warn, error. ' +
      '(config_invalid) docs/settings.md lists every setting.',
  ]);
});

test('with --json a machine gets the problem instead', async () => {
  const { path, remove } = await temporaryFolder();
  const portBase = await freePorts(20);
  const server = createServer().listen(portBase, '127.0.0.1');
  await once(server, 'listening');
  const { code, stdout } = await eider(['dev', '--json', '--home', path, '--port-base', String(portBase)]);
  server.close();
  await remove();
  expect(code).toBe(1);
  expect(JSON.parse(stdout)).toMatchObject({
    code: 'port_busy',
    status: 409,
    detail: expect.stringContaining(`Port ${portBase} (API) is already in use by process ${process.pid}`) as string,
    data: { ports: [portBase] },
  });
});

test('a setting of the command line that makes no sense is refused', async () => {
  const { code, stderr } = await eider(['dev', '--port-base', '70000']);
  expect(code).toBe(1);
  expect(stderr).toContain('It must be a whole number from 1 to 65000.');
});

test('doctor finds what a working machine has, and says how to get what is missing', async () => {
  const { path, remove } = await temporaryFolder();
  const portBase = await freePorts(20);
  const ports = { EIDER_API_PORT: String(portBase), EIDER_FLIGHT_PORT: String(portBase + 1), EIDER_CACHE: path };
  const { stdout } = await eider(['doctor', '--json'], { ...ports, EIDER_PYTHON: join(path, 'no-python') });
  await remove();
  const { ok, findings } = JSON.parse(stdout) as {
    ok: boolean;
    findings: { check: string; ok: boolean; fix: string | null }[];
  };
  expect(ok).toBe(false);
  const names = ['node', 'npm', 'python', 'temporal', 'postgres', 'libduckdb', 'extensions', 'ports', 'home', 'cache'];
  expect(findings.map(({ check }) => check)).toEqual(names);
  const of = (name: string) => findings.find(({ check }) => check === name);
  for (const name of ['node', 'npm', 'postgres', 'libduckdb']) expect(of(name)).toMatchObject({ ok: true, fix: null });
  expect(of('python')).toMatchObject({ ok: false, fix: expect.stringContaining('Python 3.10') as string });
});
