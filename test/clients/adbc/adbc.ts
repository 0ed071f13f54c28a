import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { askProgram, type Asked } from '../asked.js';

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** A Python that has ADBC's Flight SQL driver. */
export function adbcPython(): Promise<string> {
  const { cache, python } = loadConfig();
  return pythonEnvironment({ cacheDir: cache, lockFile: beside('./requirements.lock'), name: 'adbc', python });
}

/** The driver in a process of its own; calls are answered in order. */
export const startAdbc = async (url: string): Promise<Asked> =>
  askProgram(await adbcPython(), [beside('./client.py'), url]);
