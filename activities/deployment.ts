import { setTimeout as sleep } from 'node:timers/promises';
import { DomainError } from '../domain/errors.js';
import type { DeployVersion, Scored, ScoreWindow } from '../domain/deployment.js';
import type { ProjectName } from '../domain/ids.js';
import { durationMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import { quoteName, timestamp } from '../lake/duckdb.js';
import { describe } from '../lake/sources.js';
import { writeFile } from '../lake/snapshots.js';
import {
  announceRollout,
  closeRollout,
  findRollout,
  findTraffic,
  instanceStates,
  shiftTraffic,
  type Rollout,
} from '../store/deployment.js';
import { getVersion } from '../store/models.js';
import { getResource } from '../store/resources.js';
import { commitWindow, windowHeads, type WindowHead } from '../store/snapshots.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { numberRows, predictTable, withPredictions } from './predictions.js';
import { joinSpine } from './spine.js';

export type DeploymentDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'artifacts' | 'models' | 'roots'>;

interface RolloutRef {
  readonly project: ProjectName;
  readonly rollout: string;
}

const pollMs = 250;

export const deploymentActivities = (dependencies: DeploymentDependencies) => ({
  /** Recorded under the rollout's id: a repeat finds it announced. */
  async announceRollout(input: DeployVersion & { rollout: string }): Promise<void> {
    const { project, endpoint, model, version, asOf, rollout } = input;
    const announcement = { id: rollout, endpoint, model, version, dataInstant: asOf, workflowId: rollout };
    await announceRollout(dependencies.db, project, announcement, { name: input.principal });
  },

  /** Only looks: ends when every live instance is ready with the version, or one refused it, or time is up. */
  awaitInstances: ({ project, rollout }: RolloutRef): Promise<{ instances: number }> =>
    beating((signal, beat) => awaitInstances(dependencies, project, rollout, signal, beat)),

  /** Compare-and-set: a repeat after success returns what was recorded. */
  async shiftTraffic({
    project,
    rollout,
    reason,
    principal,
  }: RolloutRef & { reason: string; principal: string }): Promise<{ generation: number }> {
    const { generation } = await shiftTraffic(dependencies.db, project, rollout, reason, { name: principal });
    return { generation };
  },

  /** Closes an open rollout; a closed one stays as it is. */
  async closeRollout({
    project,
    rollout,
    status,
    reason,
  }: RolloutRef & { status: 'failed' | 'cancelled'; reason: string }): Promise<void> {
    await closeRollout(dependencies.db, project, rollout, status, reason);
  },

  /** The predictions of a window are committed once for a version; a repeat returns the commit. */
  scoreWindow: (input: ScoreWindow): Promise<Scored> => beating((signal) => score(dependencies, input, signal)),
});

async function awaitInstances(
  { db }: DeploymentDependencies,
  project: ProjectName,
  id: string,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<{ instances: number }> {
  const rollout = await findRollout(db, project, id);
  if (!rollout) throw new DomainError('internal', `Rollout ${id} was never announced.`, { id });
  const { spec } = await getResource(db, project, 'Endpoint', rollout.endpoint);
  const deadline = Date.now() + durationMicros(spec.policy.readyTimeout) / 1000;
  for (;;) {
    const instances = await readyInstances(db, project, rollout);
    if (instances.refused)
      throw new DomainError('instance_refused', `Instance ${instances.refused.instance}: ${instances.refused.reason}`, {
        instance: instances.refused.instance,
      });
    if (instances.live > 0 && instances.ready === instances.live) return { instances: instances.live };
    if (Date.now() > deadline)
      throw new DomainError(
        'no_live_instance',
        `${instances.ready} of ${instances.live} live instances were ready after ${spec.policy.readyTimeout}.`,
        instances,
      );
    beat({ ready: instances.ready, live: instances.live });
    await sleep(pollMs, undefined, { signal });
  }
}

async function readyInstances(db: Dependencies['db'], project: ProjectName, rollout: Rollout) {
  const states = await instanceStates(db, project, rollout);
  return {
    live: states.length,
    ready: states.filter((one) => one.state === 'ready').length,
    refused: states.find((one) => one.state === 'failed'),
  };
}

async function score(dependencies: DeploymentDependencies, input: ScoreWindow, signal: AbortSignal): Promise<Scored> {
  const { db, engine, lake, models, artifacts } = dependencies;
  const { project, endpoint, start, end, asOf } = input;
  const table = { project, schema: 'inference' as const, name: endpoint, revision: 1 };
  const [head] = await windowHeads(db, table, { start, end });
  if (head && input.once) return scoredBefore(head);
  const traffic = await findTraffic(db, project, endpoint);
  if (!traffic)
    throw new DomainError('endpoint_not_serving', `Endpoint "${endpoint}" serves nothing yet.`, { endpoint });
  const version = await getVersion(db, project, traffic.model, traffic.version);
  const model = await getResource(db, project, 'Model', traffic.model);
  return engine.session(async (session) => {
    const began = performance.now();
    const joined = await joinSpine(dependencies, session, project, model, { start, end }, '');
    const sourceFingerprint = digestOf({
      version: version.digest,
      views: joined.views,
      source: joined.sourceVersion,
      model: model.hash,
    });
    if (head?.sourceFingerprint === sourceFingerprint) return scoredBefore(head);
    const { spine } = model.spec;
    await numberRows(session, 'asked', joined.relation, [spine.eventTime, ...spine.key]);
    await predictTable(
      models,
      artifacts,
      session,
      { key: version.modelKey, sha256: version.digest, signature: version.signature },
      'asked',
      'answers',
    );
    // The label and when it is known are not inputs: whoever judges joins them from the spine as of then.
    const hidden = [spine.label, spine.knownAt].map(quoteName).join(', ');
    const relation = `(SELECT * EXCLUDE (row_index, ${hidden}), ${traffic.version}::INTEGER AS model_version, ${timestamp(asOf)} AS logged_at FROM ${withPredictions('asked', 'answers')})`;
    const columns = await describe(session, relation);
    const { rowHash, ...file } = await writeFile(
      {
        session,
        objects: lake,
        relation,
        columns,
        orderBy: [spine.eventTime, ...spine.key],
        folder: `${project}/inference/${endpoint}`,
      },
      '',
      start.slice(0, 10),
    );
    const committed = await commitWindow(db, {
      ...{
        table,
        columns,
        sourceVersion: joined.sourceVersion,
        workflowId: currentWorkflowId(),
        principal: { name: input.principal },
      },
      predecessor: head?.commit ?? null,
      window: {
        start,
        end,
        files: [file],
        rows: file.rows,
        bytes: file.bytes,
        rowHash,
        sourceFingerprint,
        durationMs: performance.now() - began,
      },
      details: { version: traffic.version },
      lineage: [
        { from: ['version', `${traffic.model}/${traffic.version}`], to: ['table', `inference/${endpoint}@r1`] },
      ],
    });
    return { version: traffic.version, rows: file.rows, snapshot: committed.snapshot, rowHash };
  }, signal);
}

const scoredBefore = ({ details, rows, snapshot, rowHash }: WindowHead): Scored => ({
  version: Number(details.version),
  rows,
  snapshot,
  rowHash,
});
