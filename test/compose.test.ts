import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { loadConfig, projectRoot } from '../apps/config.js';
import { settings } from '../apps/settings.js';

/** docker-compose.yml is what the Compose Specification allows, and says nothing that the tree does not know. */

interface Service {
  readonly image?: string;
  readonly build?: unknown;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string | number>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const read = (file: string) => readFileSync(join(projectRoot, file), 'utf8');
const text = read('docker-compose.yml');
const compose = parse(text, { merge: true }) as Compose;
const services = Object.entries(compose.services);
const own = services.filter(([, { build }]) => build !== undefined);
const others = services.filter(([, { build }]) => build === undefined);

const specification = JSON.parse(read('test/upstream/compose/compose-spec.json')) as { $schema: string };
const draft7 = JSON.parse(read('node_modules/ajv/lib/refs/json-schema-draft-07.json')) as object;
/** The schema names its draft by https, which Ajv knows by http; it allows more than one type here and there. */
const validator = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  .addMetaSchema({ ...draft7, $id: specification.$schema })
  .compile(specification);

test('docker-compose.yml holds against the schema of the Compose Specification', () => {
  validator(compose);
  expect(validator.errors ?? []).toEqual([]);
});

test('the schema would see a mistake', () => {
  expect(validator({ services: { api: { imagee: 'eider' } } })).toBe(false);
  expect(validator({ services: { api: { image: 'eider', depends_on: { db: { condition: 'healthy' } } } } })).toBe(
    false,
  );
});

test('every process of ours is a service, from one image', () => {
  expect(own.map(([name]) => name).sort()).toEqual(['api', 'flight', 'serve', 'worker']);
  expect(new Set(own.map(([, { image }]) => image)).size).toBe(1);
});

test.each(own)('every variable of %s is a setting with a value that is taken', (_, { environment = {} }) => {
  expect(Object.keys(environment).filter((name) => !(name in settings))).toEqual([]);
  const values = Object.entries(environment).map(([name, value]) => [name, interpolated(String(value))]);
  expect(() => loadConfig(Object.fromEntries(values) as Record<string, string>)).not.toThrow();
});

const interpolated = (value: string) => value.replace(/\$\{\w+:-([^}]*)\}/g, '$1');

test.each(own)('the command of %s exists in the tree, and its ports are those of the settings', (name, service) => {
  const [program, flag, file = ''] = service.command ?? [];
  expect([program, flag]).toEqual(['node', '--enable-source-maps']);
  expect(file).toBe(`dist/apps/${name}/main.js`);
  expect(existsSync(join(projectRoot, file.replace(/^dist\//, '').replace(/\.js$/, '.ts')))).toBe(true);
  const { ports } = loadConfig({});
  const expected = {
    api: [ports.api],
    flight: [ports.flight],
    // Nothing listens on the port that is set aside for gRPC.
    serve: [ports.inference],
    worker: [],
  };
  const published = (service.ports ?? []).map((port) => Number(port.split(':').at(-1)));
  expect(published).toEqual(expected[name as keyof typeof expected]);
});

test('what listens has a health check, and nobody waits for the health of what has none', () => {
  for (const [name, { ports, healthcheck }] of services)
    if (ports && name !== 'temporal-ui') expect([name, healthcheck?.test[0]]).toEqual([name, 'CMD']);
  for (const [name, { depends_on: needs = {} }] of services)
    for (const [needed, { condition }] of Object.entries(needs)) {
      const service = compose.services[needed];
      expect([name, needed, service !== undefined]).toEqual([name, needed, true]);
      if (condition === 'service_healthy') expect([needed, service?.healthcheck !== undefined]).toEqual([needed, true]);
    }
});

test('ports are published on this machine alone', () => {
  const published = services.flatMap(([, { ports = [] }]) => ports);
  expect(published.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
});

test('images of others are pinned to a version', () => {
  for (const [, { image = '' }] of others) expect(image).toMatch(/^[\w/-]+:\d+\.\d+(\.\d+)?(-\w+)?$/);
  expect(read('Dockerfile')).toMatch(/^FROM node:\d+\.\d+\.\d+-\w+-slim$/m);
});

test('volumes that services use are declared', () => {
  const named = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(':')[0] ?? ''));
  const declared = Object.keys(compose.volumes);
  expect([...new Set(named.filter((name) => /^[a-z]+$/.test(name)))].sort()).toEqual(declared.sort());
});

test('what can be set from outside is documented', () => {
  const variables = [...text.matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name);
  expect(variables.length).toBeGreaterThan(0);
  for (const name of variables) expect(read('docs/operations.md')).toContain(`\`${name}\``);
});

test('the image is built from files of the tree, and does not run as root', () => {
  const dockerfile = read('Dockerfile');
  const copied = [...dockerfile.matchAll(/^COPY (.*) \S+$/gm)].flatMap(([, files = '']) => files.split(' '));
  expect(copied.filter((file) => !existsSync(join(projectRoot, file)))).toEqual([]);
  const run = [...dockerfile.matchAll(/node ((?:bin|dist)\/[\w./]+)/g)].map(([, file = '']) => file);
  expect(run.length).toBeGreaterThan(0);
  expect(run.filter((file) => !existsSync(join(projectRoot, file)))).toEqual([]);
  expect(dockerfile.match(/^USER .*$/gm)?.at(-1)).toBe('USER node');
  const set = [...dockerfile.matchAll(/\b(EIDER_\w+|DATABASE_URL|TEMPORAL_\w+)=/g)].map(([, name = '']) => name);
  expect(set.filter((name) => !(name in settings))).toEqual([]);
  const ignored = read('.dockerignore').split('\n');
  for (const needed of ['bin', 'apps', 'bench', 'trainers', 'examples', 'store', 'proto'])
    expect(ignored).not.toContain(needed);
});
