import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { projectRoot } from '../config.js';
import { registerControl } from './commands/control.js';
import { registerDatasets } from './commands/datasets.js';
import { registerDev } from './commands/dev.js';
import { registerDoctor } from './commands/doctor.js';
import { registerErasure } from './commands/erasure.js';
import { registerExplain } from './commands/explain.js';
import { registerGet } from './commands/get.js';
import { registerInspect } from './commands/inspect.js';
import { registerKey } from './commands/key.js';
import { registerLabels } from './commands/labels.js';
import { registerOnline } from './commands/online.js';
import { registerPrepare } from './commands/prepare.js';
import { registerRefresh } from './commands/refresh.js';
import { registerResources } from './commands/resources.js';
import { registerSnapshots } from './commands/snapshots.js';
import { registerWork } from './commands/work.js';
import { tellProblem } from './problem.js';

/** Each adds its commands to the program; a command throws what goes wrong and writes what goes right. */
const registrations: readonly ((program: Command) => void)[] = [
  registerDev,
  registerDoctor,
  registerPrepare,
  registerKey,
  registerResources,
  registerGet,
  registerWork,
  registerDatasets,
  registerSnapshots,
  registerOnline,
  registerRefresh,
  registerErasure,
  registerLabels,
  registerControl,
  registerInspect,
  registerExplain,
];

const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
const program = new Command('eider')
  .description('Durable MLOps: Temporal workflows carry a model through its whole life.')
  .version(version)
  // Options belong to the command they follow: deploy has a --version of its own.
  .enablePositionalOptions()
  .showSuggestionAfterError()
  .showHelpAfterError('(eider --help lists the commands.)');
for (const register of registrations) register(program);

try {
  await program.parseAsync(process.argv);
} catch (error) {
  tellProblem(error, process.argv.includes('--json'));
  process.exitCode = 1;
}
