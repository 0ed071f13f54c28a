#!/usr/bin/env node
import { becomeProgram, ensureBuilt, ensureInstalled, entry } from './prepare.js';

await entry(async () => {
  await ensureInstalled({ dev: true });
  await ensureBuilt();
  await becomeProgram('bench/main.js');
});
