import { DomainError, isDomainError } from '../domain/errors.js';
import type { Revision } from '../domain/resources.js';
import type { BuildTrainingSet, BuiltTrainingSet, TrainingSetManifest } from '../domain/training.js';
import { trainingSetName } from '../domain/training.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { writeFile } from '../lake/snapshots.js';
import { getResource } from '../store/resources.js';
import { findTrainingSet, recordTrainingSet } from '../store/training.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { inputColumns, joinSpine, stageJoined, trainingWindow, untilStill } from './spine.js';

export type DatasetDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'access'>;

export const datasetActivities = (dependencies: DatasetDependencies) => ({
  /** The recorded training set of this model, revision and as-of instant, or a new one, committed once. */
  buildTrainingSet: (input: BuildTrainingSet): Promise<BuiltTrainingSet> =>
    beating((signal) => build(dependencies, input, signal)),
});

/** The column that says which rows are held out. */
export const splitColumn = 'split';

async function build(
  dependencies: DatasetDependencies,
  input: BuildTrainingSet,
  signal: AbortSignal,
): Promise<BuiltTrainingSet> {
  const { db, engine, lake } = dependencies;
  const { project } = input;
  const name = trainingSetName(input);
  const recorded = await findTrainingSet(db, project, name);
  if (recorded) return summary(recorded);
  const model = await getResource(db, project, 'Model', input.model, input.revision);
  return engine.session(async (session) => {
    const began = performance.now();
    const { manifest, file, sourceVersion } = await untilStill(() => writeRows(dependencies, session, model, input));
    const { rows, bytes, rowHash } = file;
    await commitStaged(db, lake, {
      table: { project, schema: 'datasets', name, revision: 1 },
      window: {
        ...{ ...manifest.window, files: [file], rows, bytes, rowHash },
        ...{ sourceFingerprint: rowHash, durationMs: performance.now() - began },
      },
      ...{ columns: manifest.columns, predecessor: null, sourceVersion },
      workflowId: currentWorkflowId(),
      principal: { name: input.principal },
      also: (tx) => recordTrainingSet(tx, project, manifest, { name: input.principal }),
    }).catch((error: unknown) => {
      if (!isDomainError(error) || error.code !== 'generation_moved') throw error;
      // Somebody built the same set from a newer source meanwhile; theirs is the recorded one.
    });
    return summary((await findTrainingSet(db, project, name)) ?? manifest);
  }, signal);
}

/** Stages the set's file and says what it holds. A set that no trainer could use leaves nothing behind. */
async function writeRows(
  dependencies: DatasetDependencies,
  session: Session,
  model: Revision<'Model'>,
  { project, asOf, ...rest }: BuildTrainingSet,
) {
  const { spine, inputs } = model.spec;
  const name = trainingSetName({ asOf, ...rest });
  const { window, holdoutStart } = trainingWindow(model.spec, asOf);
  const joined = await joinSpine(dependencies, session, project, model, window, asOf);
  const columns = [...joined.columns, { name: splitColumn, type: 'VARCHAR' }];
  requireInputs(
    inputs,
    columns.map((column) => column.name),
  );
  const split = `CASE WHEN ${quoteName(spine.eventTime)} < ${timestamp(holdoutStart)} THEN 'train' ELSE 'test' END AS ${splitColumn}`;
  const relation = `(SELECT *, ${split} FROM ${joined.relation})`;
  // Ordered by time and key: the order in which a trainer sees the rows is part of the training set.
  const orderBy = [spine.eventTime, ...spine.key];
  const writer = {
    session,
    objects: dependencies.lake,
    relation,
    columns,
    orderBy,
    folder: `${project}/datasets/${name}`,
  };
  const { file } = await stageJoined(dependencies, joined, async () => ({ file: await writeFile(writer, '', 'rows') }));
  const counts = await countSplits(session, dependencies.lake.path(file.key), spine.label).catch(
    async (error: unknown) => {
      await dependencies.lake.remove(file.key);
      throw error;
    },
  );
  const { source, sourceVersion, views } = joined;
  const manifest: TrainingSetManifest = {
    ...{ name, model: model.name, modelRevision: model.revision, asOf, window, holdoutStart, views, columns },
    ...{ inputs: inputColumns(inputs), label: spine.label, key: spine.key, rowHash: file.rowHash, ...counts },
    source: { name: source.name, revision: source.revision, version: sourceVersion },
    engine: await engineVersion(session),
  };
  return { manifest, file, sourceVersion };
}

const summary = ({ name, rowHash, rows }: TrainingSetManifest): BuiltTrainingSet => ({
  name,
  rowHash,
  rows: rows.train + rows.test,
});

function requireInputs(inputs: readonly string[], columns: readonly string[]): void {
  const missing = inputColumns(inputs).filter((input) => !columns.includes(input));
  if (missing.length > 0)
    throw new DomainError(
      'sql_invalid',
      `The spine yields no column ${missing.join(', ')}; it yields ${columns.join(', ')}.`,
      { missing, columns },
    );
}

async function countSplits(
  session: Session,
  file: string,
  label: string,
): Promise<Pick<TrainingSetManifest, 'rows' | 'positives'>> {
  const rows = await session.rows<{ split: 'train' | 'test'; rows: number; positives: number }>(
    `SELECT ${splitColumn} AS split, count(*)::DOUBLE AS rows, count(*) FILTER (${quoteName(label)})::DOUBLE AS positives FROM read_parquet(${quoteText(file)}) GROUP BY 1`,
  );
  const of = (split: string) => rows.find((row) => row.split === split) ?? { rows: 0, positives: 0 };
  for (const split of ['train', 'test']) {
    const { rows: count, positives } = of(split);
    if (count === 0)
      throw new DomainError('training_set_empty', `The ${split} split has no row with a known label.`, { split });
    if (positives === 0 || positives === count)
      throw new DomainError('training_set_one_class', `All ${count} labels of the ${split} split are equal.`, {
        split,
      });
  }
  return {
    rows: { train: of('train').rows, test: of('test').rows },
    positives: { train: of('train').positives, test: of('test').positives },
  };
}

async function engineVersion(session: Session): Promise<string> {
  const [row] = await session.rows<{ version: string }>('SELECT version() AS version');
  return `duckdb ${row?.version ?? 'unknown'}`;
}
