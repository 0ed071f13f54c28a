import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { askProgram, type Asked } from '../asked.js';

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** ADBC's Flight SQL driver in a process of its own; calls are answered in order. */
export async function startAdbc(url: string): Promise<Asked> {
  const { cache, python } = loadConfig();
  const lockFile = beside('./requirements.lock');
  const command = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'adbc', python });
  return askProgram(command, [beside('./client.py'), url]);
}
