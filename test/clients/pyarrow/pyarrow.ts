import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { pythonEnvironment } from '../../../programs/python.js';
import { askProgram, type Asked } from '../asked.js';

/** pyarrow in a process of its own; calls are answered in order. */
export type Pyarrow = Asked;

const beside = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** `authority` is the file of the certificate that it trusts. */
export async function startPyarrow(url: string, authority?: string): Promise<Pyarrow> {
  const { cache, python } = loadConfig();
  const lockFile = beside('./requirements.lock');
  const command = await pythonEnvironment({ cacheDir: cache, lockFile, name: 'pyarrow', python });
  return askProgram(command, [beside('./client.py'), url, ...(authority === undefined ? [] : [authority])]);
}
