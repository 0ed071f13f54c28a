import { access, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256 } from '../../domain/json.js';
import { localObjects, type Objects } from '../../lake/objects.js';

import { race } from '../support/race.js';
import { temporaryFolder } from '../programs/started.js';

let root: string;
let objects: Objects;
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path: root, remove } = await temporaryFolder());
  objects = localObjects(join(root, 'objects'));
  await mkdir(objects.root);
});
afterEach(() => remove());

async function fileOf(content: string): Promise<string> {
  const file = join(root, `${sha256(content)}.txt`);
  await writeFile(file, content);
  return file;
}

test.each(['', '/a', 'a/', 'a//b', '../a', 'a/../b', 'a/..', '.../a', 'a b', 'a\\b', 'a\0b', 'ä', '~/a', 'a/*'])(
  'the key %j is refused, by every door',
  async (key) => {
    const refused = { code: 'internal', message: expect.stringContaining('is not an object key') };
    expect(() => objects.path(key)).toThrow(expect.objectContaining(refused));
    await expect(objects.stage(key)).rejects.toMatchObject(refused);
    await expect(objects.adopt(key, await fileOf('x'))).rejects.toMatchObject(refused);
    await expect(objects.read(key)).rejects.toMatchObject(refused);
  },
);

test.each(['a', 'eider/features/origin_hour@r1/2001-03-05T000000/0f.parquet', 'a.b/c=d:e'])(
  'the key %j lies under the root',
  (key) => expect(objects.path(key)).toBe(join(objects.root, key)),
);

test('what was put first stays, and every put says what is there', async () => {
  const first = await objects.adopt('models/a', await fileOf('first'));
  expect(first).toEqual({ bytes: 5, sha256: sha256('first') });
  expect(await objects.adopt('models/a', await fileOf('second'))).toEqual(first);
  expect((await objects.read('models/a')).toString()).toBe('first');
});

test('of eight who put a key at once one wins, whole, and nothing is left over', async () => {
  const contents = Array.from({ length: 8 }, (_, at) => String(at).repeat(100_000));
  const files = await Promise.all(contents.map(fileOf));
  const { values, codes } = await race(8, (at) => objects.adopt('a/b', files[at] as string));
  expect(codes).toEqual([]);
  expect(new Set(values.map((one) => one.sha256)).size).toBe(1);
  expect(contents).toContain((await objects.read('a/b')).toString());
  expect(await readdir(join(objects.root, 'a'))).toEqual(['b']);
});

test('a file that cannot be put says so and leaves nothing', async () => {
  await expect(objects.adopt('a/b', join(root, 'nothing'))).rejects.toMatchObject({ code: 'lake_write_failed' });
  expect(await readdir(join(objects.root, 'a'))).toEqual([]);
});

test('a staged file is sealed where it lies, with its size and hash', async () => {
  const path = await objects.stage('deep/er/a');
  await writeFile(path, 'rows');
  expect(await objects.seal('deep/er/a')).toEqual({ bytes: 4, sha256: sha256('rows') });
  expect(await readFile(path, 'utf8')).toBe('rows');
});

test('what is missing is missing, and removing it is no error', async () => {
  await expect(objects.read('a')).rejects.toMatchObject({ code: 'object_missing', data: { key: 'a' } });
  await objects.remove('a');
  await objects.adopt('a', await fileOf('x'));
  await objects.remove('a');
  await expect(access(objects.path('a'))).rejects.toThrow(/ENOENT/);
});
