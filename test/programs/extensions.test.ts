import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { extensionFinder, findExtension, locateExtension, type ExtensionSearch } from '../../programs/extensions.js';

let folder: string;
let server: Server;
let asked: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eider-extensions-'));
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (request.url?.includes('/avro.')) response.end(gzipSync('from the download'));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

/** Nothing of this machine: no folder of DuckDB, an empty cache, a Python that is not there. */
const search = (more: Partial<ExtensionSearch> = {}): ExtensionSearch => ({
  ...{ folder: null, cacheDir: join(folder, 'cache'), python: join(folder, 'no-python') },
  installFolder: join(folder, 'duckdb'),
  downloadUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
  ...more,
});

async function place(...path: string[]): Promise<string> {
  const file = join(folder, ...path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, 'placed');
  return file;
}

test('the folder that was named comes first, then DuckDB’s own, then the cache; nothing is fetched', async () => {
  const { file: cached } = await findExtension('avro', search());
  asked = [];
  expect(await findExtension('avro', search())).toEqual({ file: cached, from: 'cache' });
  const platform = cached.split('duckdb-1.5.5-')[1]?.split('/')[0] ?? '';
  const own = await place('duckdb', 'v1.5.5', platform, 'avro.duckdb_extension');
  expect(await findExtension('avro', search())).toEqual({ file: own, from: 'DuckDB' });
  const laidOut = await place('named', 'v1.5.5', platform, 'avro.duckdb_extension');
  expect(locateExtension('avro', search({ folder: join(folder, 'named') }))?.file).toBe(laidOut);
  const named = await place('named', 'avro.duckdb_extension');
  expect(await findExtension('avro', search({ folder: join(folder, 'named') }))).toEqual({
    ...{ file: named, from: 'EIDER_EXTENSIONS' },
  });
  expect(asked).toEqual([]);
});

test('a download is whole in the cache, however many ask at once', async () => {
  const found = await Promise.all(Array.from({ length: 5 }, () => findExtension('avro', search())));
  expect(new Set(found.map(({ file }) => file)).size).toBe(1);
  expect(await readFile(found[0]?.file ?? '', 'utf8')).toBe('from the download');
  const tools = join(folder, 'cache', 'tools');
  const [only = ''] = await readdir(tools);
  expect(await readdir(join(tools, only))).toEqual(['avro.duckdb_extension']);
});

test('a finder asks once', async () => {
  const find = extensionFinder(search());
  await Promise.all([find('avro'), find('avro')]);
  await find('avro');
  expect(asked).toHaveLength(1);
});

test('when all ways fail one sentence names them all, and nothing is left behind', async () => {
  await expect(findExtension('delta', search({ folder: join(folder, 'named') }))).rejects.toMatchObject({
    code: 'extension_missing',
    message: expect.stringMatching(
      /named \(EIDER_EXTENSIONS\).*duckdb, .*cache.*answered 404.*pip install duckdb-extension-delta==1\.5\.5 failed/,
    ),
  });
  const tools = join(folder, 'cache', 'tools');
  const [only = ''] = await readdir(tools);
  expect(await readdir(join(tools, only))).toEqual([]);
});

test('a wheel of PyPI holds an extension', async () => {
  const found = await findExtension('avro', search({ downloadUrl: 'http://127.0.0.1:1/', python: null }));
  expect(found.from).toBe('pip');
  expect((await readFile(found.file)).byteLength).toBeGreaterThan(1_000_000);
}, 120_000);
