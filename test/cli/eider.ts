import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../../apps/config.js';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as people run it, against the API at `url`. */
export function eider(url: string) {
  return (...args: string[]): Promise<Ended> =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [join(projectRoot, 'bin', 'eider.js'), ...args], {
        env: { ...process.env, EIDER_URL: url },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let [stdout, stderr] = ['', ''];
      child.stdout.on('data', (chunk) => (stdout += chunk));
      child.stderr.on('data', (chunk) => (stderr += chunk));
      child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
    });
}
