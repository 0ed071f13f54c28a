#!/usr/bin/env node
import { becomeProgram, ensureBuilt, ensureInstalled, entry } from './prepare.js';

await entry(async () => {
  await ensureInstalled({ dev: true });
  await ensureBuilt();
  await becomeProgram('test/torture/main.js');
});
