#!/usr/bin/env node
import { becomeProgram, ensureBuilt, ensureInstalled, entry } from './prepare.js';

await entry(async () => {
  await ensureInstalled();
  await ensureBuilt();
  await becomeProgram('apps/cli/main.js');
});
