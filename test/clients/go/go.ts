import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../../apps/config.js';
import { goPrograms } from '../../../programs/go.js';
import { runProgram } from '../../../programs/process.js';
import { askProcess, type Asked } from '../asked.js';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Go is not needed for anything else: without it these tests are skipped, and say so. */
export const describeGo = spawnSync('go', ['version']).status === 0 ? describe : describe.skip;

const programs = () => goPrograms({ cacheDir: loadConfig().cache, folder });

/** Arrow's Flight and Flight SQL clients for Go, in a process of their own. */
export const startGo = async (): Promise<Asked> => askProcess(join(await programs(), 'go'), []);

/** One scenario of Arrow's own integration tests; what it printed when it failed, else null. */
export async function runScenario(scenario: string, port: number): Promise<string | null> {
  const { exitCode, lastLines } = await runProgram({
    name: `The scenario ${scenario}`,
    command: join(await programs(), 'arrow-flight-integration-client'),
    args: ['-host', '127.0.0.1', '-port', String(port), '-scenario', scenario],
    cwd: folder,
    env: {},
    timeoutMs: 30_000,
    logPath: null,
  });
  return exitCode === 0 ? null : lastLines.join('\n');
}
