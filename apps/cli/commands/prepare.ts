import type { Command } from 'commander';
import { loadConfig } from '../../config.js';
import { prepare } from '../prepare.js';

export function registerPrepare(program: Command): void {
  program
    .command('prepare')
    .description('fetch and build once what dev, trainers and demo need')
    .option('--tests', 'also what the tests need')
    .action(async ({ tests = false }: { tests?: boolean }) => {
      const onProgress = (message: string) => void process.stderr.write(`eider: ${message}\n`);
      await prepare({ config: loadConfig(), tests, onProgress });
      onProgress('everything is prepared');
    });
}
