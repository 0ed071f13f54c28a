#!/usr/bin/env node
/** Writes the files that are made from the sources; with --check only says which are not current, and exits 1. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { ensureBuilt, ensureInstalled, entry, root, say } from './prepare.js';

/** Each compiled module exports `generate(): string | Promise<string>`, the whole text of its output. */
const generators = [
  { module: 'apps/cli/generate-settings.js', output: 'docs/settings.md' },
  { module: 'apps/cli/generate-errors.js', output: 'docs/errors.md' },
  { module: 'apps/cli/generate-resource-schema.js', output: 'docs/resource.schema.json' },
  { module: 'apps/api/openapi.js', output: 'docs/openapi.json' },
];

async function generate(module) {
  const { generate: make } = await import(pathToFileURL(join(root, 'dist', module)).href);
  return make();
}

await entry(async () => {
  await ensureInstalled();
  await ensureBuilt();
  const check = process.argv.includes('--check');
  const stale = [];
  for (const { module, output } of generators) {
    const file = join(root, output);
    const text = await generate(module);
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    stale.push(output);
    if (!check) writeFileSync(file, text);
  }
  if (stale.length > 0)
    say(check ? `not current: ${stale.join(', ')}; run npm run generate` : `wrote ${stale.join(', ')}`);
  process.exit(check && stale.length > 0 ? 1 : 0);
});
