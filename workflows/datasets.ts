import { proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.js';
import type {
  BuildDataset,
  BuiltDataset,
  CheckDataset,
  RecreatedDataset,
  TakenSpine,
  TakeSpine,
  VerifiedDataset,
} from '../domain/datasets.js';
import type { BuildTrainingSet } from '../domain/training.js';
import { report } from './progress.js';
import { steps } from './steps.js';

const long = proxyActivities<Activities>(steps.heartbeating);

/** Joins a spine with features as they were known, and keeps the result under its name and the hash of its rows. */
export async function buildDataset(input: BuildDataset): Promise<BuiltDataset> {
  const { project, spec } = input;
  const about = { project, resource: `Dataset/${spec.name}`, ...(spec.asOf === undefined ? {} : { asOf: spec.asOf }) };
  const reporter = report(`Training set ${spec.name}`, about);
  reporter.stage('dataset', 'spine, point-in-time join, row hash');
  const set = await long.buildDataset(input);
  reporter.stage('done', said(set));
  return set;
}

/** The same for a Model: what to join, and which rows, is its declaration's. */
export async function buildTrainingSet(input: BuildTrainingSet): Promise<BuiltDataset> {
  const { project, model, asOf } = input;
  const reporter = report(`Training set of ${model} as of ${asOf}`, { project, resource: `Model/${model}`, asOf });
  reporter.stage('dataset', 'point-in-time join');
  const set = await long.buildTrainingSet(input);
  reporter.stage('done', said(set));
  return set;
}

const said = ({ name, rows, rowHash }: BuiltDataset): string => `${name}: ${rows} rows, ${rowHash.slice(0, 12)}`;

/** Hashes the files and rows of a training set anew; what is not as it was written is named. */
export async function verifyDataset(input: CheckDataset): Promise<VerifiedDataset> {
  const reporter = report(`Verify ${input.name}`, { project: input.project, resource: `Dataset/${input.name}` });
  reporter.stage('verify', 'hashing its file and its rows');
  const verified = await long.verifyDataset(input);
  reporter.verdict(verified.verdict);
  reporter.stage(verified.verdict, verified.reasons.join('; '));
  return verified;
}

/** Makes a training set again from the states that it pins, and says whether it is the same. */
export async function recreateDataset(input: CheckDataset): Promise<RecreatedDataset> {
  const reporter = report(`Recreate ${input.name}`, { project: input.project, resource: `Dataset/${input.name}` });
  reporter.stage('recreate', 'joining the pinned snapshots again');
  const recreated = await long.recreateDataset(input);
  reporter.verdict(recreated.verdict);
  reporter.stage(recreated.verdict, recreated.reasons.join('; '));
  return recreated;
}

/** Reads an uploaded Arrow table, and keeps it as a table that training sets may be built on. */
export async function takeSpine(input: TakeSpine): Promise<TakenSpine> {
  const reporter = report('Take an uploaded spine', { project: input.project, resource: `Spine/${input.spine}` });
  reporter.stage('take', 'reading the Arrow table');
  const taken = await long.takeSpine(input);
  reporter.stage('done', `${taken.rows} rows, ${taken.columns.length} columns`);
  return taken;
}
