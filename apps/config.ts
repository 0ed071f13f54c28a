import { existsSync, readFileSync } from 'node:fs';
import { homedir, hostname } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { DomainError } from '../domain/errors.js';
import { durationMicros } from '../domain/instants.js';
import { settings, type Setting } from './settings.js';

/** The folder of package.json: the same whether this file runs from the sources or from dist/. */
export const projectRoot = findProjectRoot(dirname(fileURLToPath(import.meta.url)));

export type SettingName = keyof typeof settings;
type Values = { [Name in SettingName]: z.output<(typeof settings)[Name]['schema']> };
export type Environment = Readonly<Record<string, string | undefined>>;
export type Config = ReturnType<typeof loadConfig>;

/** Reads every setting once; throws `config_invalid` with all mistakes at once. An empty variable counts as not set. */
export function loadConfig(environment: Environment = process.env, folder: string = process.cwd()) {
  const values = readSettings(environment);
  const cache = values.EIDER_CACHE ?? join(environment['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'eider');
  return {
    projectRoot,
    home: resolve(folder, values.EIDER_HOME),
    cache: resolve(folder, cache),
    host: values.EIDER_HOST,
    ports: {
      api: values.EIDER_API_PORT,
      flight: values.EIDER_FLIGHT_PORT,
      inference: values.EIDER_INFERENCE_PORT,
      inferenceGrpc: values.EIDER_INFERENCE_GRPC_PORT,
    },
    database: { url: values.DATABASE_URL },
    temporal: {
      address: values.TEMPORAL_ADDRESS ?? '127.0.0.1:7233',
      /** True when somebody named a server, which `dev` then uses instead of starting one. */
      given: values.TEMPORAL_ADDRESS !== null,
      namespace: values.TEMPORAL_NAMESPACE,
      taskQueue: values.EIDER_TASK_QUEUE,
      uiUrl: values.EIDER_TEMPORAL_UI_URL,
    },
    roots: rootsOf(values.EIDER_ROOTS, folder),
    connections: values.EIDER_CONNECTIONS as Readonly<Record<string, string>>,
    extensions: values.EIDER_EXTENSIONS === null ? null : resolve(folder, values.EIDER_EXTENSIONS),
    s3: {
      endpoint: values.EIDER_S3_ENDPOINT,
      region: values.AWS_REGION,
      accessKeyId: values.AWS_ACCESS_KEY_ID,
      secretAccessKey: values.AWS_SECRET_ACCESS_KEY,
      sessionToken: values.AWS_SESSION_TOKEN,
    },
    trainers: values.EIDER_TRAINERS === null ? join(projectRoot, 'trainers') : resolve(folder, values.EIDER_TRAINERS),
    urls: { api: values.EIDER_URL, flight: values.EIDER_FLIGHT_URL },
    python: values.EIDER_PYTHON,
    logLevel: values.EIDER_LOG_LEVEL,
    duckdb: { threads: values.EIDER_THREADS, memoryLimit: values.EIDER_MEMORY_LIMIT },
    flightCacheBytes: values.EIDER_FLIGHT_CACHE,
    flightStatements: {
      timeMs: durationMicros(values.EIDER_FLIGHT_STATEMENT_TIME) / 1000,
      spillBytes: values.EIDER_FLIGHT_SPILL,
    },
    flightAccess: {
      key: values.EIDER_FLIGHT_KEY,
      authority: values.EIDER_FLIGHT_CA === null ? null : resolve(folder, values.EIDER_FLIGHT_CA),
    },
    flight: {
      keys: values.EIDER_FLIGHT_KEYS === null ? null : resolve(folder, values.EIDER_FLIGHT_KEYS),
      open: values.EIDER_FLIGHT_OPEN === 'yes',
      tls: tlsFilesOf(values, folder),
    },
    retention: values.EIDER_RETENTION,
    idempotency: values.EIDER_IDEMPOTENCY,
    failpoints: failpointsOf(values.EIDER_FAILPOINTS, environment),
    instance: values.EIDER_INSTANCE ?? `${hostname()}-${process.pid}`,
    /** What child processes inherit. */
    environment,
  } as const;
}

function tlsFilesOf({ EIDER_TLS_CERT: certificate, EIDER_TLS_KEY: key }: Values, folder: string) {
  if (certificate === null && key === null) return null;
  if (certificate !== null && key !== null)
    return { certificate: resolve(folder, certificate), key: resolve(folder, key) };
  throw new DomainError('config_invalid', 'Of EIDER_TLS_CERT and EIDER_TLS_KEY only one is set; they belong together.');
}

/** What breaks on purpose must never break somebody’s service. */
function failpointsOf(given: string | null, environment: Environment): string {
  if (given !== null && environment['NODE_ENV'] === 'production')
    throw new DomainError('config_invalid', 'EIDER_FAILPOINTS is for tests; NODE_ENV is production.');
  return given ?? '';
}

function rootsOf(given: string | null, folder: string): readonly string[] {
  if (given === null) return [...new Set([resolve(folder), projectRoot])];
  // The colon of s3:// separates nothing.
  const roots = given.split(delimiter === ':' ? /:(?!\/\/)/ : delimiter).filter(Boolean);
  return roots.map((root) => (root.startsWith('s3://') ? root.replace(/\/+$/, '') : resolve(folder, root)));
}

/** The database of a process that cannot work without one; throws `config_invalid`. */
export function databaseUrl(config: Config): string {
  if (config.database.url !== null) return config.database.url;
  throw new DomainError('config_invalid', 'DATABASE_URL is not set; eider dev sets it for the processes it starts.');
}

function readSettings(environment: Environment): Values {
  const mistakes: string[] = [];
  const values = Object.entries(settings).map(([name, row]: [string, Setting<z.ZodType>]) => {
    const { schema, default: fallback, secret } = row;
    const given = environment[name] || null;
    const result = schema.safeParse(given ?? fallback);
    if (!result.success) mistakes.push(`${name}${secret ? '' : ` "${given}"`} ${result.error.issues[0]?.message}`);
    return [name, result.data];
  });
  if (mistakes.length > 0) throw new DomainError('config_invalid', `${mistakes.join('; ')}.`, { mistakes });
  return Object.fromEntries(values) as Values;
}

function findProjectRoot(folder: string): string {
  const manifest = join(folder, 'package.json');
  if (existsSync(manifest) && (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: string }).name === 'eider') {
    return folder;
  }
  if (dirname(folder) === folder) throw new DomainError('config_invalid', 'Eider runs outside its own package.');
  return findProjectRoot(dirname(folder));
}
