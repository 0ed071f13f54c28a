import type { Command } from 'commander';
import { loadConfig } from '../../config.js';
import { examine } from '../doctor.js';
import type { Finding } from '../doctor.js';

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description('say what is missing on this machine, and how to get it')
    .option('--json', 'print the findings as JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      const findings = await examine(loadConfig());
      const ok = findings.every((finding) => finding.ok);
      process.stdout.write(json ? `${JSON.stringify({ ok, findings })}\n` : `${findings.map(line).join('\n')}\n`);
      process.exitCode = ok ? 0 : 1;
    });
}

function line({ check, ok, found, fix }: Finding): string {
  const first = `${ok ? 'ok     ' : 'missing'}  ${check.padEnd(10)} ${found}`;
  return fix === null ? first : `${first}\n${' '.repeat(20)}${fix}`;
}
