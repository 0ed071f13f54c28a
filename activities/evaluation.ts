import { judge } from '../domain/decide/promotion.js';
import type { Evaluated, Verdict } from '../domain/evaluation.js';
import type { Column } from '../domain/features.js';
import type { ProjectName } from '../domain/ids.js';
import { digestOf } from '../domain/json.js';
import type { Revision } from '../domain/resources.js';
import type { EvaluatedRun, EvaluateRun } from '../domain/training.js';
import { splitColumn } from '../domain/splits.js';
import { filesRelation } from '../lake/point-in-time.js';
import { binaryMetrics } from '../lake/metrics.js';
import type { Session } from '../lake/duckdb.js';
import { findAlias, getVersion } from '../store/models.js';
import { getResource } from '../store/resources.js';
import { findEvaluation, recordEvaluation } from '../store/evaluation.js';
import { getRun, type Run } from '../store/training.js';
import { tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';
import { absentInputs, numberRows, predictTable, withPredictions, type ScoringModel } from './predictions.js';

export type EvaluationDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'artifacts' | 'models'>;

export const evaluationActivities = (dependencies: EvaluationDependencies) => ({
  /** One verdict a run: a repeat returns the recorded one, whatever the champion is by then. */
  evaluate: (input: EvaluateRun): Promise<EvaluatedRun> => beating((signal) => evaluate(dependencies, input, signal)),
});

async function evaluate(
  dependencies: EvaluationDependencies,
  { project, run: id, principal }: EvaluateRun,
  signal: AbortSignal,
): Promise<EvaluatedRun> {
  const { db, engine } = dependencies;
  const run = await getRun(db, project, id);
  const model = await getResource(db, project, 'Model', run.model, run.revision);
  const endpoint = model.spec.endpoint ?? null;
  const recorded = await findEvaluation(db, project, id);
  if (recorded) return { verdict: recorded.verdict, reasons: recorded.reasons, endpoint };
  const champion = await findChampion(dependencies, project, run.model);
  const measured = await engine.session(async (session) => {
    const columns = await numberHeldOut(dependencies, session, run, model);
    const candidate = await measure(dependencies, session, candidateOf(run), model);
    const lacking = champion ? absentInputs(champion.model.signature, columns) : [];
    const measurable = champion !== null && lacking.length === 0;
    return {
      ...{ candidate, lacking },
      champion: measurable ? await measure(dependencies, session, champion.model, model) : null,
    };
  }, signal);
  const verdict: Verdict =
    measured.lacking.length > 0
      ? { verdict: 'inconclusive', reasons: [lackingSentence(measured.lacking)] }
      : judge(measured.candidate.overall, measured.champion?.overall ?? null, model.spec.gates);
  const inputsDigest = digestOf({
    trainingSet: run.trainingSet,
    candidate: run.modelSha256,
    champion: champion?.model.sha256 ?? null,
    gates: model.spec.gates,
  });
  const { verdict: decided, reasons } = await recordEvaluation(
    db,
    project,
    {
      run: id,
      champion: champion?.version ?? null,
      candidateMetrics: measured.candidate,
      championMetrics: measured.champion,
      inputsDigest,
      ...verdict,
    },
    { name: principal },
  );
  return { verdict: decided, reasons, endpoint };
}

/** A revision of the Model may have renamed an input: its champion cannot be asked then, which is nobody's failure. */
const lackingSentence = (lacking: readonly string[]): string =>
  `the champion asks for columns ${lacking.join(', ')} that this training set lacks`;

async function findChampion(
  { db }: EvaluationDependencies,
  project: ProjectName,
  model: string,
): Promise<{ version: number; model: ScoringModel } | null> {
  const alias = await findAlias(db, project, model, 'champion');
  if (!alias) return null;
  const { modelKey, digest, signature } = await getVersion(db, project, model, alias.version);
  return { version: alias.version, model: { key: modelKey, sha256: digest, signature } };
}

function candidateOf({ modelKey, modelSha256, signature }: Run): ScoringModel {
  if (modelKey === null || modelSha256 === null || signature === null) throw new Error('The run has no trained model.');
  return { key: modelKey, sha256: modelSha256, signature };
}

const heldOut = 'held_out';

/** The held-out rows of the run's training set: candidate and champion answer the same ones. Returns the set's columns. */
async function numberHeldOut(
  { db, lake }: EvaluationDependencies,
  session: Session,
  run: Run,
  model: Revision<'Model'>,
): Promise<readonly Column[]> {
  const set = await tables(db).resolve(run.project, 'datasets', run.trainingSet ?? '');
  const rows = filesRelation(
    set.files.map((file) => lake.path(file.key)),
    set.columns,
  );
  await numberRows(session, heldOut, `(SELECT * FROM ${rows} WHERE ${splitColumn} = 'test')`, [
    model.spec.spine.eventTime,
    ...model.spec.spine.key,
  ]);
  return set.columns;
}

async function measure(
  { models, artifacts }: EvaluationDependencies,
  session: Session,
  scoring: ScoringModel,
  model: Revision<'Model'>,
): Promise<Evaluated> {
  await predictTable(models, artifacts, session, scoring, heldOut, 'answers');
  const { spine, slices } = model.spec;
  return binaryMetrics(session, {
    relation: withPredictions(heldOut, 'answers'),
    label: spine.label,
    prediction: 'prediction',
    slices,
    sliceRowsMin,
  });
}

/** Smaller slices say more about chance than about the model, and there may be thousands of them. */
const sliceRowsMin = 100;
