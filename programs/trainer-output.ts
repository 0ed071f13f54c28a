import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { DomainError } from '../domain/errors.js';
import { Signature } from '../domain/serving.js';
import { readGolden } from './golden.js';
import type { Golden } from './golden.js';
import { onnxOutline } from './onnx.js';

const MiB = 1024 * 1024;
const fileMaxBytes = {
  'model.onnx': 512 * MiB,
  'metrics.json': MiB,
  'signature.json': MiB,
  'golden.parquet': 64 * MiB,
  'result.json': MiB,
} as const;
const requiredFiles = ['model.onnx', 'metrics.json', 'signature.json', 'golden.parquet'] as const;
type OutputFile = keyof typeof fileMaxBytes;

const Figures = z.record(z.string().min(1).max(100), z.number());
/** `metrics.json`: figures by split, and how many rows each split had. */
export const TrainerMetrics = z.looseObject({
  train: Figures,
  test: Figures,
  rows: z.looseObject({ train: z.int().min(0), test: z.int().min(0) }),
});
export type TrainerMetrics = z.infer<typeof TrainerMetrics>;

/** `result.json`: what the trainer says it wrote. */
const Result = z.looseObject({
  files: z.record(z.string(), z.looseObject({ sha256: z.string(), bytes: z.int().min(0) })),
});

export interface TrainerOutput {
  readonly modelPath: string;
  readonly goldenPath: string;
  readonly metrics: TrainerMetrics;
  readonly signature: Signature;
  readonly golden: Golden;
}

/**
 * Reads what a trainer left in its folder; throws `trainer_output_invalid` with the file and what is wrong with it.
 * Whether the model can be loaded and answers the golden rows is not asked here.
 */
export async function checkTrainerOutput(folder: string, columns: readonly string[]): Promise<TrainerOutput> {
  for (const file of requiredFiles) {
    await checkFile(folder, file);
  }
  await checkResult(folder);
  const metrics = await readJson(folder, 'metrics.json', TrainerMetrics);
  const signature = await readJson(folder, 'signature.json', Signature);
  const named = signature.inputs.flatMap((input) => input.columns);
  if (named.join('\n') !== columns.join('\n')) {
    throw invalid('signature.json', `its columns are [${named.join(', ')}], not [${columns.join(', ')}]`);
  }
  const modelPath = join(folder, 'model.onnx');
  await checkModel(modelPath, signature);
  const goldenPath = join(folder, 'golden.parquet');
  const golden = await readGolden(goldenPath, columns).catch((error: unknown) => {
    throw invalid('golden.parquet', firstLine(error));
  });
  return { modelPath, goldenPath, metrics, signature, golden };
}

async function checkFile(folder: string, file: OutputFile): Promise<void> {
  // lstat: a link could point anywhere.
  const found = await lstat(join(folder, file)).catch(() => null);
  if (found === null) throw invalid(file, 'it is missing');
  if (!found.isFile()) throw invalid(file, 'it is not a plain file');
  if (found.size === 0) throw invalid(file, 'it is empty');
  if (found.size > fileMaxBytes[file]) throw invalid(file, `it is larger than ${fileMaxBytes[file] / MiB} MiB`);
}

/** A trainer may list its files; then they must be what it lists. */
async function checkResult(folder: string): Promise<void> {
  if ((await lstat(join(folder, 'result.json')).catch(() => null)) === null) return;
  await checkFile(folder, 'result.json');
  const { files } = await readJson(folder, 'result.json', Result);
  for (const file of requiredFiles) {
    const listed = files[file];
    if (listed === undefined) throw invalid('result.json', `it does not list ${file}`);
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(folder, file)), hash);
    if (hash.digest('hex') !== listed.sha256) throw invalid(file, 'its SHA-256 is not the one in result.json');
  }
}

async function readJson<Schema extends z.ZodType>(
  folder: string,
  file: OutputFile,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const text = await readFile(join(folder, file), 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(file, `it is not JSON: ${firstLine(error)}`);
  }
  const read = schema.safeParse(value);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw invalid(file, `${issue?.path.join('.') || 'it'}: ${issue?.message ?? 'has another shape'}`);
}

async function checkModel(path: string, signature: Signature): Promise<void> {
  let outline;
  try {
    outline = onnxOutline(await readFile(path));
  } catch (error) {
    throw invalid('model.onnx', firstLine(error));
  }
  for (const side of ['inputs', 'outputs'] as const) {
    const declared = signature[side].map(({ name }) => name);
    const has = outline[side];
    // More outputs than declared do no harm; an input that nobody fills does.
    const fits = declared.every((name) => has.includes(name)) && (side === 'outputs' || has.length === declared.length);
    if (fits) continue;
    throw invalid('model.onnx', `its ${side} are [${has.join(', ')}], signature.json says [${declared.join(', ')}]`);
  }
}

const firstLine = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0]!;

const invalid = (file: OutputFile, reason: string) =>
  new DomainError('trainer_output_invalid', `The trainer's ${file} cannot be used: ${reason}.`, { file, reason });
