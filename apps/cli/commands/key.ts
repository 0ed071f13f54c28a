import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { keyLine, newKey } from '../../../domain/keys.js';

const keyBytes = 32;

export function registerKey(program: Command): void {
  program
    .command('key <name>')
    .description('make a key for Flight, and the line of it for the file EIDER_FLIGHT_KEYS')
    .requiredOption('--projects <names>', 'the projects that it is good for, with commas between them, or *')
    .option('--expires <instant>', 'when it ends; never, if not given')
    .option('--json', 'print key and line as JSON')
    .addHelpText('after', '\nExample: eider key analysts --projects eider,shop --expires 2027-01-01 --json')
    .action((name: string, { projects, expires, json }: { projects: string; expires?: string; json?: boolean }) => {
      const { secret, key } = newKey({ name, projects, expiresAt: expires ?? null }, randomBytes(keyBytes));
      const line = keyLine(key);
      process.stdout.write(
        json
          ? `${JSON.stringify({ name, key: secret, line })}\n`
          : `The key; it is shown this once and kept nowhere:\n  ${secret}\nIts line for the file of EIDER_FLIGHT_KEYS:\n  ${line}\n`,
      );
    });
}
