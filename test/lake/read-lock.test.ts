import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createReader, type Reader } from '../../lake/read/reader.js';

let folder: string;
let reader: Reader;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'eider-lock-'));
  mkdirSync(join(folder, 'lake'));
  writeFileSync(join(folder, 'lake', 'inside.txt'), 'inside');
  writeFileSync(join(folder, 'outside.txt'), 'outside');
  mkdirSync(join(folder, 'spill', '999999999'), { recursive: true });
  const spill = { folder: join(folder, 'spill'), bytesMax: 50e6 };
  reader = await createReader({ lakeRoot: join(folder, 'lake'), threads: 1, memoryLimit: '64MB', workers: 1, spill });
});
afterAll(async () => {
  await reader?.close();
  rmSync(folder, { recursive: true, force: true });
});

const ask = (sql: string) => reader.text(sql.replaceAll('FOLDER', folder), []);

test('a statement that nobody checked still reads the lake only', async () => {
  expect(await ask("SELECT content FROM read_text('FOLDER/lake/inside.txt')")).toBe('inside');
});

test.each([
  ["SELECT content FROM read_text('/etc/passwd')"],
  ["SELECT content FROM read_text('FOLDER/outside.txt')"],
  ["SELECT content FROM read_text('FOLDER/lake/../outside.txt')"],
  ["SELECT file FROM glob('FOLDER/*')"],
  ["SELECT * FROM 'FOLDER/outside.txt'"],
  ["SELECT * FROM read_csv('/etc/passwd')"],
  ["SELECT * FROM sniff_csv('FOLDER/outside.txt')"],
  ["SELECT * FROM read_parquet('https://example.org/x.parquet')"],
  ["SELECT getenv('HOME')"],
  ["ATTACH 'FOLDER/x.db' AS x"],
  ["COPY (SELECT 1) TO 'FOLDER/x.csv'"],
  ["EXPORT DATABASE 'FOLDER/x'"],
  ['INSTALL httpfs'],
  ['LOAD httpfs'],
  ["CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')"],
  ["SET temp_directory = '/tmp'"],
  ["SET memory_limit = '1TB'"],
  ["SET max_temp_directory_size = '1TB'"],
  ['SET threads = 64'],
  ["SET allowed_directories = ['/']"],
  ['SET enable_external_access = true'],
  ['SET lock_configuration = false'],
  ['SET autoload_known_extensions = true'],
  ['RESET lock_configuration'],
])('past the check of statements, the engine itself refuses %s', async (sql) => {
  await expect(ask(sql)).rejects.toThrow(/Error:/);
  expect(existsSync(join(folder, 'x.csv'))).toBe(false);
});

test('what does not fit into the memory goes to a folder of this process alone, up to a limit', async () => {
  const sorted = (rows: number) =>
    `SELECT count(*)::VARCHAR FROM (SELECT row_number() OVER (ORDER BY hash(i)) AS n, hash(i) AS h FROM range(${rows}) r(i))`;
  expect(readdirSync(join(folder, 'spill'))).toEqual([String(process.pid)]);
  expect(statSync(join(folder, 'spill', String(process.pid))).mode & 0o077).toBe(0);
  expect(await ask(sorted(2_500_000))).toBe('2500000');
  await expect(ask(sorted(50_000_000))).rejects.toThrow('Out of Memory Error');
  expect(await ask("SELECT 'alive'")).toBe('alive');
});

test('a client’s statement that needs more than all of that is refused as such', async () => {
  const sql = 'SELECT list(i) AS all_of_them FROM range(100000000) r(i)';
  const stream = reader.read({ setup: [], sql, files: [], rows: null, ofClient: true }, { signal: AbortSignal.timeout(60_000) }); // prettier-ignore
  await expect(stream.next().then(() => stream.next())).rejects.toMatchObject({ code: 'statement_memory' });
  expect(await ask("SELECT 'alive'")).toBe('alive');
});
