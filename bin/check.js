#!/usr/bin/env node
/** Everything that must hold before a change goes in: types, lint, format, generated files, tests. All are run, then it is told. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { ensureBuilt, ensureInstalled, entry, root, runNode, say } from './prepare.js';

const tool = (...path) => join(root, 'node_modules', ...path);

const checks = [
  ['types', [tool('typescript', 'bin', 'tsc'), '--noEmit', '-p', root]],
  ['lint', [tool('eslint', 'bin', 'eslint.js'), '.']],
  ['format', [tool('prettier', 'bin', 'prettier.cjs'), '--check', '--log-level', 'warn', '.']],
  ['generated files', [join(root, 'bin', 'generate.js'), '--check']],
  ['tests', [join(root, 'bin', 'test.js')]],
];

await entry(async () => {
  await ensureInstalled({ dev: true });
  await ensureBuilt();
  const failures = [];
  for (const [name, args] of checks) {
    say(`checking ${name}`);
    if (!existsSync(args[0]) || (await runNode(args)) !== 0) failures.push(name);
  }
  say(failures.length === 0 ? 'everything holds' : `these do not hold: ${failures.join(', ')}`);
  process.exit(failures.length === 0 ? 0 : 1);
});
