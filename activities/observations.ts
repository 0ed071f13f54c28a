import { driftOf } from '../domain/decide/drift.js';
import { DomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros, plusMicros } from '../domain/instants.js';
import { metricNames, type Revision } from '../domain/resources.js';
import type { ColumnProfile, Observed } from '../domain/monitoring.js';
import { splitColumn } from '../domain/splits.js';
import { quoteName, quoteText, timestamp, type Session } from '../lake/duckdb.js';
import { binaryMetrics } from '../lake/metrics.js';
import { filesRelation } from '../lake/point-in-time.js';
import { profiles, referenceProfiles } from '../lake/profiles.js';
import { describe } from '../lake/sources/index.js';
import { getVersion, type ModelVersion } from '../store/models.js';
import { findReferenceProfiles, listFindings, recordReferenceProfiles } from '../store/monitoring.js';
import { windowHeads, type WindowHead } from '../store/snapshots.js';
import { tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import { labelRelation } from './labels.js';
import { modelOf } from './models.js';
import { absentInputs, numberRows, predictTable, withPredictions } from './predictions.js';

export type ObservationDependencies = Pick<
  Dependencies,
  'db' | 'engine' | 'lake' | 'artifacts' | 'models' | 'access' | 'scratch'
>;
type MonitorSpec = Revision<'Monitor'>['spec'];

/** A window is looked at for labels this many windows long; what is unknown by then stays unjudged. */
const labelWindowsMax = 8;
const predictionColumn = 'prediction';

/** What the tick's own window looks like beside the training set of the version that scored it. */
export async function observeDrift(
  dependencies: ObservationDependencies,
  session: Session,
  project: ProjectName,
  spec: MonitorSpec,
  window: Window,
): Promise<Observed> {
  const [head] = await windowHeads(dependencies.db, inferenceTable(project, spec.endpoint), window);
  if (!head)
    throw new DomainError('internal', `The window ${window.start} of "${spec.endpoint}" was not scored.`, { window });
  const version = await versionOf(dependencies, project, head);
  const reference = await referenceOf(dependencies, session, project, version);
  const current = await profiles(session, filesOf(dependencies, head), reference);
  return { window, version: version.version, drift: driftOf(reference, current), rows: head.rows };
}

const inferenceTable = (project: ProjectName, endpoint: string) => ({
  project,
  schema: 'inference' as const,
  name: endpoint,
});

const filesOf = ({ lake }: ObservationDependencies, head: WindowHead): string =>
  `read_parquet([${head.files.map((key) => quoteText(lake.path(key))).join(', ')}])`;

/** The version that scored the window, whatever serves by now. */
const versionOf = (
  { db }: ObservationDependencies,
  project: ProjectName,
  { details }: WindowHead,
): Promise<ModelVersion> => getVersion(db, project, String(details.model), Number(details.version));

/** Inputs over the whole training set, predictions over its held-out part; profiled once a version and kept. */
async function referenceOf(
  dependencies: ObservationDependencies,
  session: Session,
  project: ProjectName,
  version: ModelVersion,
): Promise<readonly ColumnProfile[]> {
  const { db, lake, models, artifacts } = dependencies;
  const kept = await findReferenceProfiles(db, project, version.model, version.version);
  if (kept) return kept;
  const set = await tables(db).resolve(project, 'datasets', version.lineage.trainingSet);
  const rows = filesRelation(
    set.files.map((file) => lake.path(file.key)),
    set.columns,
  );
  const inputs = await referenceProfiles(session, rows, version.signature.inputs[0]?.columns ?? []);
  // The order decides nothing, but it has to be one: that of the spine which the version was trained on.
  const { spine } = (await modelOf(db, project, version)).spec;
  const heldOut = `(SELECT * FROM ${rows} WHERE ${splitColumn} = 'test')`;
  await numberRows(session, 'reference', heldOut, [spine.eventTime, ...spine.key]);
  await predictTable(
    models,
    artifacts,
    session,
    { key: version.modelKey, sha256: version.digest, signature: version.signature },
    'reference',
    'reference_answers',
  );
  const predictions = await referenceProfiles(session, withPredictions('reference', 'reference_answers'), [
    predictionColumn,
  ]);
  return recordReferenceProfiles(db, project, version.model, version.version, [...inputs, ...predictions]);
}

export interface LabelsAt {
  readonly project: ProjectName;
  readonly monitor: string;
  readonly spec: MonitorSpec;
  readonly asOf: Instant;
}

/** The scored windows whose last label became known (and `labelDelay` passed) since they were last looked at. */
export async function observeLabels(
  dependencies: ObservationDependencies,
  session: Session,
  at: LabelsAt,
): Promise<Observed[]> {
  const { db } = dependencies;
  const { project, monitor, spec, asOf } = at;
  const since = plusMicros(asOf, -labelWindowsMax * durationMicros(spec.window));
  const heads = await windowHeads(db, inferenceTable(project, spec.endpoint), { start: since, end: asOf });
  const metrics = new Set<string>(metricNames);
  // What this very tick recorded in an earlier attempt is observed again, so that a repeat says the same.
  const known = (await listFindings(db, project, monitor, { until: asOf, since })).filter(
    (finding) => metrics.has(finding.test) && finding.asOf < asOf,
  );
  const observed: Observed[] = [];
  for (const head of heads.filter(({ end }) => end <= asOf)) {
    const version = await versionOf(dependencies, project, head);
    if (known.some((finding) => finding.window.start === head.start && finding.version === version.version)) continue;
    observed.push(...(await judgeWindow(dependencies, session, at, head, version)));
  }
  return observed;
}

/** Nothing while a label of the window is still on its way; else the metrics of the version that served, and of the baseline. */
async function judgeWindow(
  dependencies: ObservationDependencies,
  session: Session,
  { project, spec, asOf }: LabelsAt,
  head: WindowHead,
  version: ModelVersion,
): Promise<Observed[]> {
  const { db, models, artifacts } = dependencies;
  const model = await modelOf(db, project, version);
  const { key, knownAt, label } = model.spec.spine;
  const window = { start: head.start, end: head.end };
  const keys = key.map(quoteName).join(', ');
  const labels = await labelRelation(dependencies, session, project, model, window, asOf);
  const joined = `(SELECT p.*, l.${quoteName(label)} AS label, l.${quoteName(knownAt)} AS label_known_at FROM ${filesOf(dependencies, head)} AS p LEFT JOIN ${labels} AS l USING (${keys}))`;
  await numberRows(session, 'judged_window', joined, [model.spec.spine.eventTime, ...key]);
  const [state] = await session.rows<{ known: boolean | null }>(
    `SELECT max(label_known_at) + to_microseconds(${durationMicros(spec.labelDelay)}) <= ${timestamp(asOf)} AS known FROM judged_window`,
  );
  if (!state?.known) return [];
  const served = await binaryMetrics(session, {
    relation: 'judged_window',
    label: 'label',
    prediction: predictionColumn,
  });
  const observed: Observed[] = [{ window, version: version.version, metrics: served.overall }];
  if (spec.baseline === 'first' && version.version !== 1) {
    const first = await getVersion(db, project, version.model, 1);
    // A revision of the Model may have renamed an input: then there is nothing to compare with.
    if (absentInputs(first.signature, await describe(session, 'judged_window')).length > 0) return observed;
    await session.run(
      `CREATE OR REPLACE TEMP TABLE baseline_window AS SELECT * EXCLUDE (${predictionColumn}) FROM judged_window`,
    );
    await predictTable(
      models,
      artifacts,
      session,
      { key: first.modelKey, sha256: first.digest, signature: first.signature },
      'baseline_window',
      'baseline_answers',
    );
    const answers = await binaryMetrics(session, {
      relation: withPredictions('baseline_window', 'baseline_answers'),
      label: 'label',
      prediction: predictionColumn,
    });
    observed.push({ window, version: 1, metrics: answers.overall });
  }
  return observed;
}
