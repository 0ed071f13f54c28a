import { homedir } from 'node:os';
import { join } from 'node:path';
import { databaseUrl, loadConfig, projectRoot } from '../../apps/config.js';
import { settings } from '../../apps/settings.js';
import { generate } from '../../apps/cli/generate-settings.js';

test('without any variable there is a whole configuration for this machine', () => {
  const config = loadConfig({}, '/somewhere');
  expect(config.home).toBe('/somewhere/.eider');
  expect(config.cache).toBe(join(homedir(), '.cache', 'eider'));
  expect(config.ports).toEqual({ api: 8080, flight: 8815, inference: 8081, inferenceGrpc: 8082 });
  expect(config.temporal).toMatchObject({ address: '127.0.0.1:7233', given: false, taskQueue: 'eider' });
  expect(config.roots).toEqual(['/somewhere', projectRoot]);
});

test('all mistakes are told at once, each with its variable and value', () => {
  const wrong = {
    EIDER_API_PORT: '70000',
    EIDER_FLIGHT_PORT: 'x',
    DATABASE_URL: 'mysql://db/eider',
    TEMPORAL_ADDRESS: 'temporal.example',
    EIDER_LOG_LEVEL: 'loud',
    EIDER_MEMORY_LIMIT: 'much',
  };
  expect(() => loadConfig(wrong)).toThrow(expect.objectContaining({ code: 'config_invalid' }) as Error);
  for (const [name, value] of Object.entries(wrong)) {
    // A value that may hold a password is not repeated.
    const told = name === 'DATABASE_URL' ? '' : ` "${value}"`;
    expect(() => loadConfig(wrong)).toThrow(`${name}${told} is not`);
  }
});

/** A certificate without its key is a mistake. */
const pairs = [['EIDER_TLS_CERT', 'EIDER_TLS_KEY']] as const;

test.each(Object.entries(settings))('the example of %s is valid', (name, { example }) => {
  const pair = pairs.find((names) => names.some((one) => one === name)) ?? [];
  const given = Object.fromEntries(pair.map((one) => [one, settings[one].example]));
  expect(() => loadConfig({ ...given, [name]: example })).not.toThrow();
});

test('an empty variable counts as not set', () => {
  expect(loadConfig({ EIDER_API_PORT: '', DATABASE_URL: '' })).toMatchObject({
    ports: { api: 8080 },
    database: { url: null },
  });
});

test('a process that needs the database says which variable names it', () => {
  expect(() => databaseUrl(loadConfig({}))).toThrow(/DATABASE_URL is not set/);
  expect(databaseUrl(loadConfig({ DATABASE_URL: 'postgresql://db/eider' }))).toBe('postgresql://db/eider');
});

test('XDG_CACHE_HOME moves the cache, EIDER_CACHE more so', () => {
  expect(loadConfig({ XDG_CACHE_HOME: '/xdg' }).cache).toBe('/xdg/eider');
  expect(loadConfig({ XDG_CACHE_HOME: '/xdg', EIDER_CACHE: '/own' }).cache).toBe('/own');
});

test.each(Object.keys(settings))('the settings page has a row for %s', (name) => {
  expect(generate()).toContain(`| \`${name}\` |`);
});
