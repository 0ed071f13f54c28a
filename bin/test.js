#!/usr/bin/env node
/**
 * Runs every test. What foreign clients and trainers need (tools, Python environments) is prepared while the tests run that
 * do not need it; the others follow. Arguments go to Jest. The last line is `N passed, M failed`.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { ensureBuilt, ensureInstalled, entry, root, say, workFolder } from './prepare.js';

/** What of test/ uses a Python environment, or starts everything: it waits for the preparation. */
const prepared = ['clients/', 'demo/', 'e2e/', 'programs/lightgbm'].join('|');
const always = ['/node_modules/', '/test/upstream/'];
const phases = [
  { name: 'unit', ignore: [...always, `/test/(${prepared})`] },
  { name: 'prepared', ignore: [...always, `/test/(?!(${prepared}))`] },
];

/** Runs both phases; returns how many tests passed and failed. A preparation that fails is one failure. */
async function runTests(args) {
  const preparation = prepareTools();
  const results = [await runJest(phases[0], args)];
  if (await hasTests(phases[1], args)) {
    const problem = await preparation.done;
    if (problem !== null) results.push(failed(problem));
    results.push(await runJest(phases[1], args));
  } else {
    preparation.cancel();
  }
  return results.reduce((sum, one) => ({ passed: sum.passed + one.passed, failed: sum.failed + one.failed }));
}

function failed(problem) {
  say(problem);
  return { passed: 0, failed: 1 };
}

function prepareTools() {
  const child = spawn(process.execPath, [join(root, 'bin', 'eider.js'), 'prepare', '--tests'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  const done = new Promise((resolve) => {
    child.on('error', (error) => resolve(`the tools could not be prepared: ${error.message}`));
    child.on('exit', (code) => resolve(code === 0 ? null : `the tools could not be prepared: ${said.trim() || code}`));
  });
  return { done, cancel: () => child.kill('SIGTERM') };
}

async function runJest(phase, args) {
  const output = join(workFolder, `jest-${phase.name}-${process.pid}.json`);
  mkdirSync(workFolder, { recursive: true });
  const code = await jest(
    phase,
    ['--passWithNoTests', '--json', '--outputFile', output, ...args],
    ['inherit', 'ignore', 'inherit'],
  );
  try {
    const { numPassedTests, numFailedTests, numRuntimeErrorTestSuites } = JSON.parse(readFileSync(output, 'utf8'));
    const failures = numFailedTests + numRuntimeErrorTestSuites;
    // Jest can also fail without a failed test, for example when it is interrupted.
    return { passed: numPassedTests, failed: failures === 0 && code !== 0 ? 1 : failures };
  } catch {
    return failed(`Jest ended with exit code ${code} and without a result`);
  } finally {
    rmSync(output, { force: true });
  }
}

async function hasTests(phase, args) {
  const list = await new Promise((resolve) => {
    const child = jestProcess(phase, ['--listTests', '--passWithNoTests', ...args], 'pipe');
    let text = '';
    child.stdout.on('data', (chunk) => (text += chunk));
    child.on('error', () => resolve(''));
    child.on('exit', () => resolve(text));
  });
  return list.includes('.test.ts');
}

function jest(phase, args, stdio) {
  const child = jestProcess(phase, args, stdio);
  return new Promise((resolve) => {
    child.on('error', () => resolve(1));
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function jestProcess(phase, args, stdio) {
  const nodeOptions = `${process.env.NODE_OPTIONS ?? ''} --experimental-vm-modules --no-warnings=ExperimentalWarning`;
  const ignore = phase.ignore.flatMap((pattern) => ['--testPathIgnorePatterns', pattern]);
  return spawn(process.execPath, [join(root, 'node_modules', 'jest', 'bin', 'jest.js'), ...ignore, ...args], {
    cwd: root,
    stdio,
    env: { ...process.env, NODE_OPTIONS: nodeOptions.trim() },
  });
}

await entry(async () => {
  await ensureInstalled({ dev: true });
  await ensureBuilt();
  const { passed, failed: failures } = await runTests(process.argv.slice(2));
  process.stdout.write(`${passed} passed, ${failures} failed\n`);
  process.exit(failures === 0 ? 0 : 1);
});
