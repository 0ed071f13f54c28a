import { once } from 'node:events';
import { request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import type { Launched } from '../../../programs/program.js';
import { freePort, started } from '../../programs/started.js';
import { serveApi } from '../../support/served-api.js';
import { withWorld, type World } from '../../support/world.js';
import { askProgram, type Asked } from '../asked.js';
import { declareRides, project } from './rides.js';

/** A world with the rides, our API on it, and Feast's unmodified client with its online store there. */
export interface Served {
  readonly world: World;
  /** Of the project, as Feast's client has it. */
  readonly url: string;
  readonly root: string;
  readonly feast: Asked;
  /** Where Feast is installed. */
  readonly python: string;
  /** Feast's own server over the client's local store, which must have been materialized. */
  serve(): Promise<{ readonly url: string; stop(): Promise<void> }>;
  stopApi(): Promise<void>;
  stop(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly text: string;
  readonly headers: IncomingHttpHeaders;
}

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

export async function startServed(): Promise<Served> {
  const { cache, python } = loadConfig();
  const lockFile = beside('./requirements.lock');
  const command = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'feast', python });
  const world = await withWorld();
  await declareRides(world);
  const { url: root, close: stopApi } = await serveApi(world);
  const url = `${root}/projects/${project}`;
  const feast = askProgram(command, [beside('./client.py'), world.home, url]);
  const servers: Launched[] = [];
  return {
    ...{ world, url, root, feast, python: command, stopApi },
    async serve() {
      const port = await freePort();
      const address = `http://127.0.0.1:${port}`;
      const server = await started(feastServer(command, join(world.home, 'repo-local'), port));
      servers.push(server);
      return { url: address, stop: () => server.end() };
    },
    async stop() {
      await Promise.all(servers.map((server) => server.end()));
      await feast.stop();
      await stopApi();
      await world.close();
    },
  };
}

const feastServer = (python: string, repository: string, port: number) => ({
  name: 'feast serve',
  prepare: async () => ({
    file: python,
    args: [
      '-I',
      join(dirname(python), 'feast'),
      '-c',
      repository,
      'serve',
      '-p',
      String(port),
      '--no-access-log',
      '--workers',
      '1',
    ],
  }),
  ready: async () =>
    fetch(`http://127.0.0.1:${port}/health`).then(
      ({ ok }) => ok,
      () => false,
    ),
  stop: { signal: 'SIGTERM' as const, graceMs: 5_000 },
  guarded: true,
});

/** A connection of its own each: Feast's server closes one after each error that it did not foresee. */
export async function post(url: string, path: string, body: unknown): Promise<Answer> {
  const asked = request(`${url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    agent: false,
  });
  asked.end(typeof body === 'string' ? body : JSON.stringify(body));
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const text = Buffer.concat(await answer.toArray()).toString();
  const { statusCode: status = 0, headers } = answer;
  return { status, headers, text, body: text === '' ? null : (JSON.parse(text) as unknown) };
}
