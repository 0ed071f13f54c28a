import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../apps/config.js';
import { hashKey, readKeys } from '../../domain/keys.js';

const run = promisify(execFile);
const eider = (...args: string[]) => run(process.execPath, [join(projectRoot, 'bin/eider.js'), 'key', ...args]);

test('eider key prints a key and the line that stands for it, without a server', async () => {
  const { stdout } = await eider('analysts', '--projects', 'eider,shop', '--expires', '2027-01-01', '--json');
  const { key, line } = JSON.parse(stdout) as { key: string; line: string };
  expect(readKeys(line).keys).toEqual([
    { name: 'analysts', hash: hashKey(key), projects: ['eider', 'shop'], expiresAt: '2027-01-01T00:00:00.000000Z' },
  ]);
  const again = JSON.parse((await eider('analysts', '--projects', '*', '--json')).stdout) as { key: string };
  expect(again.key).not.toBe(key);
}, 30_000);

test('a name that cannot be one is refused with a sentence', async () => {
  const refused = eider('Ann', '--projects', 'eider');
  await expect(refused).rejects.toMatchObject({ code: 1, stderr: expect.stringContaining('the name must be lower case letters') as string }); // prettier-ignore
}, 30_000);
