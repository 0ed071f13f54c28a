import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { DomainError } from '../domain/errors.js';
import type { ProjectName, RunId } from '../domain/ids.js';
import type { Progress } from '../domain/training.js';
import { endStrays, runProgram } from './process.js';
import type { ProgramEnd } from './process.js';
import { checkTrainerOutput } from './trainer-output.js';
import type { TrainerOutput } from './trainer-output.js';

export { checkTrainerOutput } from './trainer-output.js';
export type { TrainerMetrics, TrainerOutput } from './trainer-output.js';

type Value = number | string | boolean;

const Parameter = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.enum(['integer', 'number']),
    default: z.number(),
    min: z.number().optional(),
    max: z.number().optional(),
    description: z.string(),
  }),
  z.strictObject({ type: z.literal('boolean'), default: z.boolean(), description: z.string() }),
  z.strictObject({
    type: z.literal('string'),
    default: z.string(),
    values: z.array(z.string()).min(1),
    description: z.string(),
  }),
]);
type Parameter = z.infer<typeof Parameter>;

/** `trainer.yaml`: what a trainer is, and what may be asked of it. */
export const TrainerFile = z.strictObject({
  name: z.string(),
  description: z.string(),
  command: z.array(z.string()).min(1).describe('{python} is the environment’s Python, {trainer} the trainer’s folder.'),
  requirements: z.string().optional().describe('A hash-locked requirements file; without it there is no {python}.'),
  deterministic: z.boolean().describe('Whether equal input gives equal bytes.'),
  parameters: z.record(z.string(), Parameter).default({}),
});

export interface Trainer extends Omit<z.infer<typeof TrainerFile>, 'requirements'> {
  readonly folder: string;
  /** For `pythonEnvironment`; null when the trainer brings what it needs. */
  readonly lockFile: string | null;
}

export type TrainerParameters = Readonly<Record<string, Value>>;

/** Throws `trainer_unknown`, which lists the known names, or `resource_invalid` when the trainer.yaml is wrong. */
export async function loadTrainer(trainersDir: string, name: string): Promise<Trainer> {
  const entries = await readdir(trainersDir, { withFileTypes: true }).catch(() => []);
  const known = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name).sort(); // prettier-ignore
  if (!known.includes(name)) {
    const list = known.join(', ') || 'none';
    throw new DomainError('trainer_unknown', `There is no trainer "${name}"; known: ${list}.`, { name, known });
  }
  const folder = resolve(trainersDir, name);
  const file = `trainers/${name}/trainer.yaml`;
  const read = await readFile(join(folder, 'trainer.yaml'), 'utf8')
    .then((text) => TrainerFile.safeParse(parseYaml(text)))
    .catch((error: unknown) => {
      throw new DomainError('resource_invalid', `${file} cannot be read: ${String(error)}`, { file });
    });
  if (!read.success) throw new DomainError('resource_invalid', `${file}: ${z.prettifyError(read.error)}`, { file });
  if (read.data.name !== name) throw new DomainError('resource_invalid', `${file}: name must be ${name}.`, { file });
  const { requirements, ...rest } = read.data;
  return { ...rest, folder, lockFile: requirements === undefined ? null : resolve(folder, requirements) };
}

/** What is given, with the trainer's defaults for the rest; throws `resource_invalid` for anything it does not take. */
export function trainerParameters(trainer: Trainer, given: TrainerParameters): TrainerParameters {
  const known = Object.keys(trainer.parameters);
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    throw wrongParameter(trainer, name, `is not one of ${known.join(', ') || 'none'}`);
  }
  return Object.fromEntries(
    Object.entries(trainer.parameters).map(([name, parameter]) => {
      const value = Object.hasOwn(given, name) ? given[name]! : parameter.default;
      const reason = whyUnfit(parameter, value);
      if (reason !== null) throw wrongParameter(trainer, name, reason);
      return [name, value];
    }),
  );
}

function whyUnfit(parameter: Parameter, value: Value): string | null {
  if (parameter.type === 'boolean') return typeof value === 'boolean' ? null : 'must be true or false';
  if (parameter.type === 'string') {
    return parameter.values.includes(value as string) ? null : `must be one of ${parameter.values.join(', ')}`;
  }
  const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = parameter;
  const fits = typeof value === 'number' && value >= min && value <= max;
  if (fits && (parameter.type === 'number' || Number.isInteger(value))) return null;
  return `must be ${parameter.type === 'integer' ? 'an integer' : 'a number'} from ${min} to ${max}`;
}

const wrongParameter = ({ name: trainer }: Trainer, parameter: string, reason: string) =>
  new DomainError('resource_invalid', `The parameter ${parameter} of trainer ${trainer} ${reason}.`, {
    trainer,
    parameter,
    path: ['trainer', 'parameters', parameter],
  });

/** What a Flight service asks of its callers, and what they need to trust it; null: nothing. */
export interface FlightAccess {
  readonly key: string | null;
  /** The file of its authority's certificate. */
  readonly authority: string | null;
}

export interface TrainerRun {
  readonly trainer: Trainer;
  /** From `pythonEnvironment`; null when the trainer has no lock file. */
  readonly python: string | null;
  /** Of this attempt alone: output/, params.json, trainer.log. Its parent is the run's, and holds trainer.pid. */
  readonly workDir: string;
  readonly flightUrl: string;
  readonly flightAccess?: FlightAccess;
  readonly trainingSet: { readonly project: ProjectName; readonly name: string };
  /** Complete, from `trainerParameters`. */
  readonly parameters: TrainerParameters;
  /** Columns of the training set, in the order the model sees them. */
  readonly inputs: readonly string[];
  readonly label: string;
  readonly split: string;
  readonly key: readonly string[];
  readonly seed: number;
  readonly runId: RunId;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** Every other line that it prints. */
  readonly onLine?: (line: string) => void;
}

export interface Trained extends TrainerOutput {
  readonly logPath: string;
  readonly durationMs: number;
}

const tryAgainExitCode = 75;

/**
 * Runs a trainer once and checks what it left. What an earlier attempt of the run left running is ended first. Throws `trainer_failed`, `trainer_try_again`, `trainer_timeout`, `trainer_output_invalid`, `cancelled`.
 */
export async function runTrainer(run: TrainerRun): Promise<Trained> {
  const { workDir, trainer } = run;
  const output = join(workDir, 'output');
  const pidFile = join(dirname(workDir), 'trainer.pid');
  const logPath = join(workDir, 'trainer.log');
  await mkdir(workDir, { recursive: true });
  await endStrays(pidFile);
  const temporary = join(workDir, 'tmp');
  for (const folder of [output, temporary]) {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder);
  }
  await writeFile(join(workDir, 'params.json'), JSON.stringify(paramsOf(run)));
  const [command, ...args] = trainer.command.map((part) => filled(part, run));
  const end = await runProgram({
    name: `Trainer ${trainer.name}`,
    command: command!,
    args,
    cwd: workDir,
    env: environmentOf(run, output, temporary),
    timeoutMs: run.timeoutMs,
    signal: run.signal,
    pidFile,
    logPath,
    onLine: (line) => tell(run, line),
  }).finally(() => rm(temporary, { recursive: true, force: true }));
  if (end.exitCode !== 0) throw exitError(trainer, end);
  return { ...(await checkTrainerOutput(output, run.inputs)), logPath, durationMs: end.durationMs };
}

const paramsOf = ({ parameters, inputs, label, split, key }: TrainerRun) => ({ parameters, inputs, label, split, key });

function filled(part: string, { trainer, python }: TrainerRun): string {
  if (part.includes('{python}') && python === null) {
    throw new DomainError('resource_invalid', `Trainer ${trainer.name} uses {python} without requirements.`);
  }
  return part.replaceAll('{python}', python ?? '').replaceAll('{trainer}', trainer.folder);
}

/** All that a trainer gets. Its home is its work folder: nothing of ours, no settings of the user, no credentials but Flight's. */
function environmentOf(run: TrainerRun, output: string, temporary: string): Record<string, string> {
  const own = [run.python, process.execPath].filter((path) => path !== null).map((path) => dirname(path));
  return {
    EIDER_FLIGHT_URL: run.flightUrl,
    ...(run.flightAccess?.key ? { EIDER_FLIGHT_KEY: run.flightAccess.key } : {}),
    ...(run.flightAccess?.authority ? { EIDER_FLIGHT_CA: run.flightAccess.authority } : {}),
    EIDER_TRAINING_SET: JSON.stringify(run.trainingSet),
    EIDER_PARAMS: join(run.workDir, 'params.json'),
    EIDER_SEED: String(run.seed),
    EIDER_OUTPUT: output,
    EIDER_RUN_ID: run.runId,
    PATH: [...own, '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
    HOME: run.workDir,
    TMPDIR: temporary,
    LANG: 'C.UTF-8',
    PYTHONUNBUFFERED: '1',
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONHASHSEED: '0',
  };
}

const ProgressLine = z.object({
  step: z.number().min(0),
  total: z.number().min(0),
  metric: z.record(z.string(), z.number()).optional(),
});

function tell({ onProgress, onLine }: TrainerRun, line: string): void {
  const progress = line.startsWith('progress ') ? readProgress(line.slice('progress '.length)) : null;
  if (progress === null) onLine?.(line);
  else onProgress?.(progress);
}

/** Null for a line that only looks like one: a trainer may print what it likes. */
function readProgress(text: string): Progress | null {
  try {
    return ProgressLine.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function exitError({ name }: Trainer, { exitCode, lastLines }: ProgramEnd): DomainError {
  const lines = lastLines.filter((line) => !line.startsWith('progress ')).slice(-20);
  const data = { trainer: name, exitCode, lastLines: lines };
  const last = lines.at(-1) ?? 'it printed nothing';
  if (exitCode === tryAgainExitCode) return new DomainError('trainer_try_again', `Trainer ${name}: ${last}`, data);
  if (exitCode === 126 || exitCode === 127) {
    return new DomainError(
      'trainer_failed',
      `Trainer ${name} cannot be started (exit code ${exitCode}): ${last}`,
      data,
    );
  }
  const killed = exitCode === 137 ? ' (SIGKILL; the machine may be short of memory)' : '';
  return new DomainError('trainer_failed', `Trainer ${name} ended with exit code ${exitCode}${killed}: ${last}`, data);
}
