import { DomainError } from '../domain/errors.js';
import type { BuildTrainingSet, BuiltTrainingSet, TrainingSetManifest } from '../domain/training.js';
import { trainingSetName } from '../domain/training.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { writeFile } from '../lake/snapshots.js';
import { getResource } from '../store/resources.js';
import { commitWindow } from '../store/snapshots.js';
import { findTrainingSet, recordTrainingSet } from '../store/training.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { inputColumns, joinSpine, knownBy, trainingWindow } from './spine.js';

export type DatasetDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'roots'>;

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
  const { project, asOf } = input;
  const name = trainingSetName(input);
  const recorded = await findTrainingSet(db, project, name);
  if (recorded) return summary(recorded);
  const model = await getResource(db, project, 'Model', input.model, input.revision);
  const { spine } = model.spec;
  const { window, holdoutStart } = trainingWindow(model.spec, asOf);
  return engine.session(async (session) => {
    const joined = await joinSpine(dependencies, session, project, model, window, knownBy(model.spec, asOf));
    const columns = [...joined.columns, { name: splitColumn, type: 'VARCHAR' }];
    requireInputs(
      model.spec.inputs,
      columns.map((column) => column.name),
    );
    const split = `CASE WHEN ${quoteName(spine.eventTime)} < ${timestamp(holdoutStart)} THEN 'train' ELSE 'test' END AS ${splitColumn}`;
    const began = performance.now();
    // Ordered by time and key: the order in which a trainer sees the rows is part of the training set.
    const writer = {
      session,
      objects: lake,
      relation: `(SELECT *, ${split} FROM ${joined.relation})`,
      columns,
      orderBy: [spine.eventTime, ...spine.key],
      folder: `${project}/datasets/${name}`,
    };
    const file = await writeFile(writer, '', 'rows');
    const counts = await countSplits(session, lake.path(file.key), spine.label);
    const manifest: TrainingSetManifest = {
      ...{
        name,
        model: model.name,
        modelRevision: model.revision,
        asOf,
        window,
        holdoutStart,
        views: joined.views,
        columns,
      },
      ...{
        inputs: inputColumns(model.spec.inputs),
        label: spine.label,
        key: spine.key,
        rowHash: file.rowHash,
        ...counts,
      },
      source: { name: joined.source.name, revision: joined.source.revision, version: joined.sourceVersion },
      engine: await engineVersion(session),
    };
    await commitWindow(db, {
      table: { project, schema: 'datasets', name, revision: 1 },
      window: {
        ...window,
        files: [file],
        rows: file.rows,
        bytes: file.bytes,
        rowHash: file.rowHash,
        sourceFingerprint: file.rowHash,
        durationMs: performance.now() - began,
      },
      ...{
        columns,
        predecessor: null,
        sourceVersion: joined.sourceVersion,
        workflowId: currentWorkflowId(),
        principal: { name: input.principal },
      },
      also: (tx) => recordTrainingSet(tx, project, manifest, { name: input.principal }),
    });
    return summary((await findTrainingSet(db, project, name)) ?? manifest);
  }, signal);
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
