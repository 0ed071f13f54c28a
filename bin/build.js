#!/usr/bin/env node
/**
 * Compiles the sources to dist/ (same tree, `.ts` to `.js`, other files copied) and bundles the workflows. Everything is made
 * in a folder beside dist/ and then takes its place, so dist/ is whole or absent; a failed build leaves the last one.
 */
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { withLock } from './lock.js';
import { EntryError, ensureInstalled, entry, root, say, workFolder } from './prepare.js';
import { bundleDigest, sourceFiles, sourcesDigest } from './sources.js';

const dist = join(root, 'dist');
const bundleFiles = ['workflows.bundle.js', 'workflows.bundle.json'];

/** The caller holds the lock. */
export async function build() {
  const started = Date.now();
  say('compiling');
  const sources = sourcesDigest(root);
  for (const left of readdirSync(workFolder)) {
    if (left.startsWith('dist-')) rmSync(join(workFolder, left), { recursive: true, force: true });
  }
  const fresh = join(workFolder, `dist-${process.pid}`);
  await compileAll(fresh);
  await bundleWorkflows(fresh);
  writeFileSync(join(fresh, 'build.json'), `${JSON.stringify({ sources })}\n`);
  swap(fresh);
  say(`compiled in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

async function compileAll(target) {
  const { transform } = (await import('@swc/core')).default;
  const swcrc = JSON.parse(readFileSync(join(root, '.swcrc'), 'utf8'));
  delete swcrc.$schema;
  const options = { ...swcrc, swcrc: false, configFile: false };
  const files = sourceFiles(root);
  for (const folder of new Set(files.map((file) => dirname(join(target, file)))))
    mkdirSync(folder, { recursive: true });
  await Promise.all(
    files.map(async (file) => {
      const source = join(root, file);
      if (!file.endsWith('.ts') || file.endsWith('.d.ts')) return copyFileSync(source, join(target, file));
      const compiled = await transform(readFileSync(source, 'utf8'), {
        ...options,
        filename: source,
        sourceFileName: source,
      }).catch((error) => {
        throw new EntryError(`${file} does not compile: ${plain(error.message)}`);
      });
      writeFileSync(join(target, file.replace(/\.ts$/, '.js')), compiled.code);
    }),
  );
}

/** Bundling takes seconds, so the last bundle is kept while nothing that can reach it has changed. */
async function bundleWorkflows(target) {
  const workflowsPath = join(root, 'workflows', 'index.ts');
  if (!existsSync(workflowsPath)) return say('there is no workflows/index.ts yet: no workflow bundle');
  const inputs = bundleDigest(root);
  if (lastBundleInputs() === inputs) {
    for (const name of bundleFiles) copyFileSync(join(dist, name), join(target, name));
    return;
  }
  const { bundleWorkflowCode } = await import('@temporalio/worker');
  const problems = [];
  const note = (message) => problems.push(plain(String(message)));
  const logger = { log() {}, trace() {}, debug() {}, info() {}, warn: note, error: note };
  const { code } = await bundleWorkflowCode({ workflowsPath, logger }).catch((error) => {
    throw new EntryError(`the workflows do not bundle: ${problems.join('\n') || plain(error.message)}`);
  });
  const sha256 = createHash('sha256').update(code).digest('hex');
  writeFileSync(join(target, 'workflows.bundle.js'), code);
  writeFileSync(join(target, 'workflows.bundle.json'), `${JSON.stringify({ sha256, inputs })}\n`);
}

function lastBundleInputs() {
  try {
    const { sha256, inputs } = JSON.parse(readFileSync(join(dist, 'workflows.bundle.json'), 'utf8'));
    const code = readFileSync(join(dist, 'workflows.bundle.js'));
    return createHash('sha256').update(code).digest('hex') === sha256 ? inputs : null;
  } catch {
    return null;
  }
}

function swap(fresh) {
  const old = join(workFolder, `dist-old-${process.pid}`);
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

const plain = (message) => message.replace(/\u001b\[[0-9;]*m/g, '').trim();

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await entry(async () => {
    await ensureInstalled();
    await withLock(join(workFolder, 'lock'), () => say('another build is running; waiting'), build);
  });
}
