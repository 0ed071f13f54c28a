import { z } from 'zod';
import { taskQueue } from '../domain/ids.js';
import { Duration, Timeout } from '../domain/names.js';
import { connections, hostAndPort, port, size, text, urlOf, wholeNumber } from './setting-kinds.js';

export interface Setting<Schema extends z.ZodType> {
  readonly schema: Schema;
  /** What is used when the variable is not set; null when there is nothing to use. */
  readonly default: string | null;
  /** Says where the default comes from when it is not a constant. */
  readonly defaultNote?: string;
  readonly description: string;
  readonly example: string;
  /** A mistake in it is told without its value. */
  readonly secret?: true;
}

const setting = <Schema extends z.ZodType>(row: Setting<Schema>): Setting<Schema> => row;

/** Every environment variable that Eider reads; docs/settings.md is generated from this table. */
export const settings = {
  EIDER_HOME: setting({
    schema: text,
    default: '.eider',
    description: 'The folder of all state: pg/, lake/, artifacts/, temporal.db, logs/, run/.',
    example: '/var/lib/eider',
  }),
  EIDER_CACHE: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: '$XDG_CACHE_HOME/eider, else ~/.cache/eider',
    description: 'The folder of what was downloaded or built once: tools and Python environments. Homes share it.',
    example: '/var/cache/eider',
  }),
  EIDER_HOST: setting({
    schema: text,
    default: '127.0.0.1',
    description: 'The address that API, Flight and inference listen on.',
    example: '0.0.0.0',
  }),
  EIDER_API_PORT: setting({
    schema: port,
    default: '8080',
    description: 'The port of the API.',
    example: '9000',
  }),
  EIDER_FLIGHT_PORT: setting({
    schema: port,
    default: '8815',
    description: 'The port of Arrow Flight.',
    example: '9001',
  }),
  EIDER_INFERENCE_PORT: setting({
    schema: port,
    default: '8081',
    description: 'The port of inference over REST.',
    example: '9002',
  }),
  EIDER_INFERENCE_GRPC_PORT: setting({
    schema: port,
    default: '8082',
    description: 'The port of inference over gRPC.',
    example: '9003',
  }),
  DATABASE_URL: setting({
    schema: urlOf('postgresql', 'postgres').nullable(),
    default: null,
    defaultNote: '`eider dev` starts its own PostgreSQL',
    description: 'The PostgreSQL database that everything is remembered in.',
    example: 'postgresql://eider:secret@db.example:5432/eider',
    secret: true,
  }),
  TEMPORAL_ADDRESS: setting({
    schema: hostAndPort.nullable(),
    default: null,
    defaultNote: '127.0.0.1:7233, which `eider dev` starts by itself',
    description: 'The gRPC address of the Temporal server.',
    example: 'temporal.example:7233',
  }),
  TEMPORAL_NAMESPACE: setting({
    schema: text,
    default: 'default',
    description: 'The Temporal namespace of the workflows.',
    example: 'eider',
  }),
  EIDER_TEMPORAL_UI_URL: setting({
    schema: urlOf('http', 'https'),
    default: 'http://127.0.0.1:8233',
    description: 'Where people open the Temporal UI; used for links only.',
    example: 'https://temporal.example',
  }),
  EIDER_ROOTS: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'the current folder and Eider’s own',
    description:
      'The folders that source files may lie in, separated as in PATH; s3://BUCKET and s3://BUCKET/PREFIX stand for objects.',
    example: '/data/flights:s3://warehouse/weather',
  }),
  EIDER_CONNECTIONS: setting({
    schema: connections,
    default: '{}',
    description:
      'PostgreSQL databases that Sources may read, as JSON: their names, and their URLs with a user who may only read.',
    example: '{"shop": "postgresql://reader:secret@db.example:5432/shop"}',
    secret: true,
  }),
  EIDER_EXTENSIONS: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'DuckDB’s own folder, then a download, then pip, both into EIDER_CACHE',
    description:
      'A folder with the extensions of DuckDB (NAME.duckdb_extension) that sources of S3, PostgreSQL, Delta, Iceberg and DuckLake need.',
    example: '/opt/duckdb/extensions',
  }),
  EIDER_S3_ENDPOINT: setting({
    schema: urlOf('http', 'https').nullable(),
    default: null,
    defaultNote: 'that of AWS in AWS_REGION',
    description: 'The S3-compatible server of s3:// paths; its buckets are part of the path, not of the host name.',
    example: 'http://minio.example:9000',
  }),
  AWS_REGION: setting({
    schema: text,
    default: 'us-east-1',
    description: 'The region of s3:// paths.',
    example: 'eu-central-1',
  }),
  AWS_ACCESS_KEY_ID: setting({
    schema: text.nullable(),
    default: null,
    description: 'The key for s3:// paths; it need only list and read.',
    example: 'AKIAIOSFODNN7EXAMPLE',
  }),
  AWS_SECRET_ACCESS_KEY: setting({
    schema: text.nullable(),
    default: null,
    description: 'The secret of AWS_ACCESS_KEY_ID.',
    example: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    secret: true,
  }),
  AWS_SESSION_TOKEN: setting({
    schema: text.nullable(),
    default: null,
    description: 'The token of temporary keys.',
    example: 'IQoJb3JpZ2luX2VjEXAMPLE',
    secret: true,
  }),
  EIDER_TRAINERS: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'Eider’s own trainers/',
    description: 'The folder of the training programs, one folder each.',
    example: '/srv/trainers',
  }),
  EIDER_URL: setting({
    schema: urlOf('http', 'https'),
    default: 'http://127.0.0.1:8080',
    description: 'The API that the command line talks to.',
    example: 'https://eider.example',
  }),
  EIDER_FLIGHT_URL: setting({
    schema: urlOf('grpc', 'grpc+tcp', 'grpc+tls'),
    default: 'grpc://127.0.0.1:8815',
    description: 'The Flight service that trainers read their training set from.',
    example: 'grpc://flight.example:8815',
  }),
  EIDER_FLIGHT_KEYS: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'none: on loopback anybody may call',
    description: 'The file of the keys that callers of Flight need, one a line: `eider key` makes them.',
    example: '/etc/eider/flight.keys',
  }),
  EIDER_FLIGHT_OPEN: setting({
    schema: z.enum(['yes', 'no'], { error: 'is neither yes nor no' }),
    default: 'no',
    description:
      'Whether Flight may listen on another address than loopback without keys, as where only its own processes reach it.',
    example: 'yes',
  }),
  EIDER_FLIGHT_KEY: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'none: trainers call without one',
    description: 'The key with which trainers read their training set, when EIDER_FLIGHT_KEYS is set.',
    example: 'eider_q83vEjRWeJC83vEjRWeJAQIDBAUGBwgJCgsMDQ4PEBE',
    secret: true,
  }),
  EIDER_FLIGHT_CA: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'what the system trusts',
    description: 'The certificate, in PEM, of the authority that signed EIDER_TLS_CERT, for trainers.',
    example: '/etc/eider/ca.pem',
  }),
  EIDER_TLS_CERT: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'none: Flight does not encrypt',
    description: 'The certificate of Flight, in PEM, followed by those that it was signed by.',
    example: '/etc/eider/tls.crt',
  }),
  EIDER_TLS_KEY: setting({
    schema: text.nullable(),
    default: null,
    description: 'The private key of EIDER_TLS_CERT, in PEM.',
    example: '/etc/eider/tls.key',
  }),
  EIDER_PYTHON: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'the first fit one of python3, python3.13 … python3.10 on PATH',
    description: 'The Python (3.10 or later) that environments are made with.',
    example: '/usr/bin/python3.12',
  }),
  EIDER_LOG_LEVEL: setting({
    schema: z.enum(['debug', 'info', 'warn', 'error'], { error: 'is not one of debug, info, warn, error' }),
    default: 'info',
    description: 'The least severe log line that is written: debug, info, warn or error.',
    example: 'debug',
  }),
  EIDER_THREADS: setting({
    schema: wholeNumber.refine((value) => value >= 1, 'is not at least 1').nullable(),
    default: null,
    defaultNote: 'the number of cores',
    description: 'The threads of one DuckDB.',
    example: '4',
  }),
  EIDER_FLIGHT_STATEMENT_TIME: setting({
    schema: Timeout,
    default: '5m',
    description:
      'How long Flight may work on one statement of a client, without the time in which the client takes nothing.',
    example: '30s',
  }),
  EIDER_FLIGHT_SPILL: setting({
    schema: size,
    default: '10GB',
    description:
      'What statements may put on disk when they need more than EIDER_MEMORY_LIMIT. 0: they are refused then.',
    example: '100GB',
  }),
  EIDER_FLIGHT_CACHE: setting({
    schema: size,
    default: '4GB',
    description: 'What Flight may keep on disk of results as it sent them, to send them again. 0 keeps nothing.',
    example: '20GB',
  }),
  EIDER_MEMORY_LIMIT: setting({
    schema: z
      .string()
      .regex(/^\d+(\.\d+)? ?([KMGT]i?B)$/, 'is not a size such as 4GB or 512MiB')
      .nullable(),
    default: null,
    defaultNote: 'DuckDB’s own, 80 % of the memory',
    description: 'The memory of one DuckDB.',
    example: '4GB',
  }),
  EIDER_TASK_QUEUE: setting({
    schema: text,
    default: taskQueue,
    description: 'The Temporal task queue of the workers.',
    example: 'eider-blue',
  }),
  EIDER_FAILPOINTS: setting({
    schema: text.nullable(),
    default: null,
    description:
      'For tests: where a process shall die, fail or wait, as NAME=exit, NAME=throw or NAME=delay, with :COUNT for a later pass. Refused when NODE_ENV is production.',
    example: 'commit.inside=exit:3',
  }),
  EIDER_RETENTION: setting({
    schema: Duration,
    default: '30d',
    description:
      'How long a snapshot stays readable after a newer one replaced it; what was made from it keeps it longer.',
    example: '7d',
  }),
  EIDER_IDEMPOTENCY: setting({
    schema: Duration,
    default: '30d',
    description:
      'How long a push is known by its id, and a request by its Idempotency-Key, so that a repeat is answered and not done again.',
    example: '7d',
  }),
  EIDER_INSTANCE: setting({
    schema: text.nullable(),
    default: null,
    defaultNote: 'host name and process id',
    description: 'The name of an inference instance; two live instances must not share one.',
    example: 'serve-1',
  }),
} as const satisfies Record<string, Setting<z.ZodType>>;
