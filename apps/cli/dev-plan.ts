import { connect } from 'node:net';
import { join } from 'node:path';
import { postgresProgram } from '../../programs/postgres.js';
import type { Program } from '../../programs/program.js';
import { temporalProgram } from '../../programs/temporal.js';
import type { Config } from '../config.js';
import { supervisedFlag } from '../lifecycle.js';
import type { WantedPort } from './dev-ports.js';

/** What `eider dev --json` prints. */
export interface Addresses {
  readonly api: string;
  readonly flight: string;
  readonly inference: string;
  readonly inferenceGrpc: string;
  readonly temporal: string;
  readonly temporalUi: string;
  readonly database: string;
  readonly home: string;
  readonly pid: number;
}

export interface Ports {
  readonly api: number;
  readonly flight: number;
  readonly inference: number;
  readonly inferenceGrpc: number;
  readonly temporal: number;
  readonly temporalUi: number;
  readonly postgres: number;
}

const defaultPorts = { temporal: 7233, temporalUi: 8233, postgres: 5433 } as const;
/** More inference instances than one take pairs of ports from here, or from ten behind the base. */
const moreInstancesPort = 8090;
const loopback = '127.0.0.1';

export function choosePorts(config: Config, base: number | null): Ports {
  if (base === null) return { ...config.ports, ...defaultPorts };
  return {
    api: base,
    flight: base + 1,
    inference: base + 2,
    inferenceGrpc: base + 3,
    temporal: base + 4,
    temporalUi: base + 5,
    postgres: base + 6,
  };
}

/** What is to run, and where; `database` is known once PostgreSQL has been started for the first time. */
export interface Plan {
  readonly config: Config;
  readonly ports: Ports;
  readonly inference: readonly InferencePlace[];
  /** Those that somebody named are used and not started. */
  readonly given: { readonly database: string | null; readonly temporal: string | null };
}

interface InferencePlace {
  readonly name: string;
  readonly port: number;
  readonly grpcPort: number;
}

export function planDev(config: Config, base: number | null, instances: number): Plan {
  const ports = choosePorts(config, base);
  const more = base === null ? moreInstancesPort : base + 10;
  const inference = Array.from({ length: instances }, (_, index) =>
    index === 0
      ? { name: 'serve', port: ports.inference, grpcPort: ports.inferenceGrpc }
      : { name: `serve-${index + 1}`, port: more + 2 * (index - 1), grpcPort: more + 2 * (index - 1) + 1 },
  );
  const temporal = config.temporal.given ? config.temporal.address : null;
  return { config, ports, inference, given: { database: config.database.url, temporal } };
}

export function addressesOf({ config, ports, given }: Plan, database: string): Addresses {
  const host = config.host === '0.0.0.0' || config.host === '::' ? loopback : config.host;
  return {
    api: `http://${host}:${ports.api}`,
    flight: `${config.flight.tls ? 'grpc+tls' : 'grpc'}://${host}:${ports.flight}`,
    inference: `http://${host}:${ports.inference}`,
    inferenceGrpc: `${host}:${ports.inferenceGrpc}`,
    temporal: given.temporal ?? `${loopback}:${ports.temporal}`,
    temporalUi: given.temporal === null ? `http://${loopback}:${ports.temporalUi}` : config.temporal.uiUrl,
    database,
    home: config.home,
    pid: process.pid,
  };
}

export function wantedPorts({ config: { host }, ports, inference, given }: Plan): WantedPort[] {
  return [
    { name: 'API', host, port: ports.api },
    { name: 'Flight', host, port: ports.flight },
    ...inference.flatMap(({ name, port, grpcPort }) => [
      { name: `inference, ${name}`, host, port },
      { name: `inference over gRPC, ${name}`, host, port: grpcPort },
    ]),
    ...(given.temporal === null
      ? [
          { name: 'Temporal', host: loopback, port: ports.temporal },
          { name: 'Temporal UI', host: loopback, port: ports.temporalUi },
        ]
      : []),
    ...(given.database === null ? [{ name: 'PostgreSQL', host: loopback, port: ports.postgres }] : []),
  ];
}

/** What everything else stands on. */
export function foundations(plan: Plan, onProgress: (message: string) => void): Program[] {
  const { config, ports, given } = plan;
  const { home, cache: cacheDir, python } = config;
  const postgres = postgresProgram({ home, port: ports.postgres, cacheDir });
  const temporal = temporalProgram({
    ...{ home, cacheDir, python, onProgress },
    port: ports.temporal,
    uiPort: ports.temporalUi,
    namespace: config.temporal.namespace,
  });
  return [...(given.database === null ? [postgres] : []), ...(given.temporal === null ? [temporal] : [])];
}

/** Our own processes, in stages: one starts when the one before it is ready, and they end in the opposite order. */
export function ownPrograms(plan: Plan, addresses: Addresses): Program[][] {
  const env = childEnvironment(plan, addresses);
  const own = (name: string, app: string, ready: Program['ready'], more: NodeJS.ProcessEnv = {}): Program => ({
    name,
    guarded: false,
    stop: { signal: 'SIGTERM', graceMs: 15_000 },
    ready,
    prepare: () =>
      Promise.resolve({
        file: process.execPath,
        args: ['--enable-source-maps', join(plan.config.projectRoot, 'dist', 'apps', app, 'main.js'), supervisedFlag],
        env: { ...env, ...more },
      }),
  });
  const serve = plan.inference.map(({ name, port, grpcPort }) =>
    own(name, 'serve', () => answers(`http://${hostOf(plan)}:${port}/v2/health/live`), {
      EIDER_INSTANCE: name,
      EIDER_INFERENCE_PORT: String(port),
      EIDER_INFERENCE_GRPC_PORT: String(grpcPort),
    }),
  );
  return [
    [own('api', 'api', () => answers(`${addresses.api}/readyz`))],
    [
      own('flight', 'flight', async (said) => said || (await accepts(hostOf(plan), plan.ports.flight))),
      ...serve,
      own('worker', 'worker', (said) => Promise.resolve(said)),
    ],
  ];
}

const hostOf = ({ config: { host } }: Plan) => (host === '0.0.0.0' || host === '::' ? loopback : host);

function childEnvironment({ config, ports }: Plan, addresses: Addresses): NodeJS.ProcessEnv {
  return {
    ...config.environment,
    EIDER_HOME: config.home,
    EIDER_CACHE: config.cache,
    EIDER_HOST: config.host,
    EIDER_API_PORT: String(ports.api),
    EIDER_FLIGHT_PORT: String(ports.flight),
    DATABASE_URL: addresses.database,
    TEMPORAL_ADDRESS: addresses.temporal,
    TEMPORAL_NAMESPACE: config.temporal.namespace,
    EIDER_TEMPORAL_UI_URL: addresses.temporalUi,
    EIDER_ROOTS: config.roots.join(process.platform === 'win32' ? ';' : ':'),
    EIDER_URL: addresses.api,
    EIDER_FLIGHT_URL: addresses.flight,
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false; // Not up yet: asked again until the deadline.
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true)).once('error', () => settle(false));
    socket.setTimeout(2_000, () => settle(false));
  });
}
