import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json: what is not compiled (bin/, *.py) lies there, whether we run from the sources or from dist/. */
function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  return folder;
}

export const guardFile = (): string => join(packageRoot(), 'bin/guard.js');
export const environmentFile = (): string => join(packageRoot(), 'programs/environment.py');
