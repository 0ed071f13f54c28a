import { DomainError } from '../domain/errors.js';
import type { Scored, ScoreWindow } from '../domain/deployment.js';
import type { Window } from '../domain/features.js';
import { digestOf } from '../domain/json.js';
import type { Revision } from '../domain/resources.js';
import { trainingSetSpec } from '../domain/training.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import { describe } from '../lake/sources/index.js';
import { writeFile } from '../lake/snapshots.js';
import { findTraffic } from '../store/deployment.js';
import { getVersion, type ModelVersion } from '../store/models.js';
import { windowHeads, type TableRef, type WindowHead } from '../store/snapshots.js';
import { newestTombstone } from '../store/tombstones.js';
import { commitStaged } from './commits.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { modelOf } from './models.js';
import { numberRows, predictTable, withPredictions } from './predictions.js';
import { joinSpine, stageJoined, untilStill, type JoinedSpine } from './spine.js';

export type ScoringDependencies = Pick<
  Dependencies,
  'db' | 'engine' | 'lake' | 'artifacts' | 'models' | 'access' | 'scratch'
>;

export const scoringActivities = (dependencies: ScoringDependencies) => ({
  /** The predictions of a window are committed once for a version; a repeat returns the commit. */
  scoreWindow: (input: ScoreWindow): Promise<Scored> => beating((signal) => score(dependencies, input, signal)),
});

async function score(dependencies: ScoringDependencies, input: ScoreWindow, signal: AbortSignal): Promise<Scored> {
  const { db, engine, lake } = dependencies;
  const { project, endpoint } = input;
  const predictions = { project, schema: 'inference' as const, name: endpoint };
  const head = await headOf(db, predictions, input);
  if (head && input.once) return scoredBefore(head);
  const traffic = await findTraffic(db, project, endpoint);
  if (!traffic)
    throw new DomainError('endpoint_not_serving', `Endpoint "${endpoint}" serves nothing yet.`, { endpoint });
  const version = await getVersion(db, project, traffic.model, traffic.version);
  const model = await modelOf(db, project, version);
  // Another revision of the Model has other columns, so it has another table.
  const table = { ...predictions, revision: model.revision };
  const [own] = await windowHeads(db, table, input);
  return engine.session(async (session) => {
    const began = performance.now();
    const tombstones = await newestTombstone(db, project);
    const made = await untilStill(async () => {
      const { label: _label, split: _split, ...spec } = trainingSetSpec(model, input.end);
      const asked = { ...spec, window: { start: input.start, end: input.end } };
      const joined = await joinSpine(dependencies, session, project, asked);
      const { views, sources } = joined;
      const sourceVersion = digestOf(sources.map((source) => source.version));
      const sourceFingerprint = digestOf({ version: version.digest, views, source: sourceVersion, model: model.hash });
      if (head?.sourceFingerprint === sourceFingerprint) return null;
      const predicting = { joined, model, version };
      const staged = await stageJoined(dependencies, joined, () =>
        writePredicted(dependencies, session, input, predicting),
      );
      return { ...staged, sourceVersion, sourceFingerprint };
    });
    if (!made) return scoredBefore(head as WindowHead);
    const { columns, file, sourceVersion, sourceFingerprint } = made;
    const { rows, bytes, rowHash } = file;
    const { start, end } = input;
    const committed = await commitStaged(db, lake, {
      ...{ table, columns, sourceVersion, tombstones, predecessor: own?.commit ?? null },
      window: {
        start,
        end,
        files: [file],
        rows,
        bytes,
        rowHash,
        sourceFingerprint,
        durationMs: performance.now() - began,
      },
      details: { model: traffic.model, version: traffic.version },
      lineage: [
        {
          from: ['version', `${traffic.model}/${traffic.version}`],
          to: ['table', `inference/${endpoint}@r${table.revision}`],
        },
      ],
      workflowId: currentWorkflowId(),
      principal: { name: input.principal },
    });
    return { version: traffic.version, rows, snapshot: committed.snapshot, rowHash };
  }, signal);
}

/** The window's head, if it has one; windows of a table never overlap, or rows would be in it twice. */
async function headOf(
  db: Dependencies['db'],
  table: Omit<TableRef, 'revision'>,
  { start, end }: Window,
): Promise<WindowHead | undefined> {
  const heads = await windowHeads(db, table, { start, end });
  const other = heads.find((head) => head.start !== start || head.end !== end);
  if (other)
    throw new DomainError(
      'request_invalid',
      `The window overlaps the one from ${other.start} to ${other.end}, which "${table.name}" has scored.`,
      { start: other.start, end: other.end },
    );
  return heads[0];
}

interface Predicting {
  readonly joined: JoinedSpine;
  readonly model: Revision<'Model'>;
  readonly version: ModelVersion;
}

/** Stages a file of the window's spine rows with features and predictions. */
async function writePredicted(
  { lake, models, artifacts }: ScoringDependencies,
  session: Session,
  { project, endpoint, start, asOf }: ScoreWindow,
  { joined, model, version }: Predicting,
) {
  const { spine } = model.spec;
  const orderBy = [spine.eventTime, ...spine.key];
  await numberRows(session, 'asked', joined.relation, orderBy);
  const scoring = { key: version.modelKey, sha256: version.digest, signature: version.signature };
  await predictTable(models, artifacts, session, scoring, 'asked', 'answers');
  // The label and when it is known are not inputs: whoever judges joins them from the spine as of then.
  const hidden = [spine.label, spine.knownAt].map(quoteName).join(', ');
  const relation = `(SELECT * EXCLUDE (row_index, ${hidden}), ${version.version}::INTEGER AS model_version, ${timestamp(asOf)} AS logged_at FROM ${withPredictions('asked', 'answers')})`;
  const columns = await describe(session, relation);
  const folder = `${project}/inference/${endpoint}`;
  const writer = { session, objects: lake, relation, columns, orderBy, folder };
  return { columns, file: await writeFile(writer, '', start.slice(0, 10)) };
}

const scoredBefore = ({ details, rows, snapshot, rowHash }: WindowHead): Scored => ({
  version: Number(details.version),
  rows,
  snapshot,
  rowHash,
});
