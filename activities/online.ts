import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { activityInfo } from '@temporalio/activity';
import { DomainError } from '../domain/errors.js';
import type { Tombstones } from '../domain/erasure.js';
import { failpoint } from '../domain/failpoints.js';
import type { ProjectName } from '../domain/ids.js';
import { fromMicros } from '../domain/instants.js';
import type { OnlineShape } from '../domain/online.js';
import type { PlanPublish, PublishPlan } from '../domain/publishing.js';
import type { PinnedTable } from '../domain/tables.js';
import { quoteName, quoteText, type Session } from '../lake/duckdb.js';
import { deleteErased } from '../lake/erased.js';
import { featuresText, keyText, latestInstants, latestRows } from '../lake/online.js';
import { hashRows } from '../lake/rows.js';
import { leaseSnapshot } from '../store/leases.js';
import { dropRetired } from '../store/online-drop.js';
import { flipGeneration, loadGeneration, planGeneration, type Flip } from '../store/online-publish.js';
import { shapeOf } from '../store/online-shapes.js';
import { generationById, liveGeneration, wasShown, type Generation } from '../store/online.js';
import { getResource } from '../store/resources.js';
import { tombstonesOf } from '../store/tombstones.js';
import { waitingPushes } from '../store/staged-rows.js';
import { tableState } from '../store/snapshots.js';
import { answeringRevision, tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import { beating, currentWorkflowId } from './heartbeat.js';
import { notMaterialized } from './hand-over.js';
import { stagedView } from './staged-rows.js';

export type OnlineDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake' | 'scratch'>;

export const onlineActivities = (dependencies: OnlineDependencies) => ({
  /** Pins the snapshot and what was pushed; a repeat gets the generation that the first attempt noted. */
  planPublish: (input: PlanPublish): Promise<PublishPlan> => plan(dependencies, input),

  /** All of the table or nothing: a repeat loads again what was not committed, and leaves what was. */
  loadPublished: ({
    project,
    id,
  }: {
    project: ProjectName;
    id: number;
  }): Promise<{ rows: number; rowHash: string | null }> => beating((signal) => load(dependencies, project, id, signal)),

  /** Once: a repeat gets what the first attempt recorded. Its heartbeat lets another worker take over soon. */
  flipPublished: ({ project, id, principal }: { project: ProjectName; id: number; principal: string }): Promise<Flip> =>
    beating(async () => {
      await failpoint('publish.before_flip');
      const flip = await flipGeneration(dependencies.db, project, id, { name: principal });
      await failpoint('publish.after_flip');
      return flip;
    }),

  /**
   * Whether what is materialized of this revision is to be shown online by itself: when the view says so, the revision is
   * active, and its newest snapshot never was. One that was rolled back stays so until there is something new.
   */
  async isShownOnline(input: ViewRevision): Promise<boolean> {
    const { db } = dependencies;
    const active = await getResource(db, input.project, 'FeatureView', input.view);
    if (active.revision !== input.revision || !active.spec.online) return false;
    const { snapshot } = await tableState(db, { ...input, schema: 'features', name: input.view });
    return !(await wasShown(db, { ...input, snapshot })) && replacesLive(db, input);
  },

  /** Reads only. */
  replacesLive: (input: ViewRevision): Promise<boolean> => replacesLive(dependencies.db, input),

  /** Any number of times. */
  dropRetired: ({ project, view }: { project: ProjectName; view: string }): Promise<number> =>
    dropRetired(dependencies.db, project, view),
});

interface ViewRevision {
  readonly project: ProjectName;
  readonly view: string;
  readonly revision: number;
}

/** A revision that is materialized in part must not take another one's rows from readers: it waits until it answers. */
async function replacesLive(db: Dependencies['db'], { project, view, revision }: ViewRevision): Promise<boolean> {
  const live = await liveGeneration(db, project, view);
  return live === null || live.revision === revision || (await answeringRevision(db, project, view)) === revision;
}

async function plan({ db }: OnlineDependencies, input: PlanPublish): Promise<PublishPlan> {
  const { project, view, revision, handedOver = [] } = input;
  const declared = await getResource(db, project, 'FeatureView', view, revision);
  const { snapshot } = await tableState(db, { project, schema: 'features', name: view, revision });
  if (snapshot === 0 && (await waitingPushes(db, { project, view })).length === 0) throw notMaterialized(input);
  const { workflowExecution } = activityInfo();
  const generation = await planGeneration(db, {
    ...{ project, view, revision, snapshot, shape: await shapeOf(db, project, declared) },
    watermark: input.asOf ?? fromMicros(Date.now() * 1000),
    madeBy: `${workflowExecution?.workflowId}/${workflowExecution?.runId}`,
    workflowId: currentWorkflowId(),
    principal: { name: input.principal },
    handedOver,
  });
  const { id, sequence } = generation;
  const { watermark } = generation;
  if (watermark === null) throw new DomainError('internal', 'A planned generation has no watermark.');
  return { id, generation: generation.generation, snapshot: generation.snapshot, sequence, watermark };
}

async function load(
  { db, engine, lake, scratch }: OnlineDependencies,
  project: ProjectName,
  id: number,
  signal: AbortSignal,
): Promise<{ rows: number; rowHash: string | null }> {
  const generation = await generationById(db, id);
  const file = join(scratch, `online-${randomUUID()}.csv`);
  try {
    if (generation.status === 'building')
      await holding(db, project, generation, () =>
        engine.session(async (session) => {
          const relation = await offlineRows({ db, lake, scratch }, session, project, generation);
          const { spec } = await getResource(db, project, 'FeatureView', generation.view, generation.revision);
          // An erasure that begins later gives up what is being loaded, and deletes from what was.
          const tombstones = await tombstonesOf(db, project, spec.entity);
          await writeLatest(session, relation, generation, tombstones, file);
          // PostgreSQL loads on one core; DuckDB has the others to hash meanwhile.
          const hashing = hashLatest(session, generation);
          const hashed = hashing.catch(() => undefined);
          try {
            await loadGeneration(db, id, () => hashing, () => createReadStream(file)); // prettier-ignore
          } finally {
            // The session must not end before its statement.
            await hashed;
          }
        }, signal),
      );
  } finally {
    await rm(file, { force: true });
  }
  await failpoint('publish.loaded');
  const { status, rows, rowHash } = await generationById(db, id);
  if (status === 'dropped' || rows === null)
    throw new DomainError(
      'generation_moved',
      `Generation ${generation.generation} of "${generation.view}" was given up.`,
    );
  return { rows, rowHash };
}

/** The view as the generation was planned on it. */
export async function offlineRows(
  { db, lake, scratch }: Pick<Dependencies, 'db' | 'lake' | 'scratch'>,
  session: Session,
  project: ProjectName,
  { view, revision, snapshot, sequence, shape }: Generation,
): Promise<string> {
  const empty: PinnedTable = {
    ...{ project, schema: 'features', name: view, revision, snapshot, rowHash: null, rows: 0, bytes: 0, files: [] },
    columns: columnsOf(shape),
  };
  const table = snapshot === 0 ? empty : await tables(db).at(project, 'features', view, revision, snapshot);
  return (await stagedView({ db, lake, scratch }, session, table, shape, sequence)).relation;
}

const columnsOf = ({ keys, eventTime, knownAt, features }: OnlineShape) => [
  ...keys,
  ...[eventTime, ...(knownAt === null ? [] : [knownAt])].map((name) => ({ name, type: 'TIMESTAMP' })),
  ...features,
];

const instants = Object.values(latestInstants).map((name) => ({ name, type: 'TIMESTAMP' }));
const latest = 'eider_latest';

/** What is online is kept in a table of the session, and written to the file as PostgreSQL reads it. */
async function writeLatest(
  session: Session,
  relation: string,
  generation: Generation,
  tombstones: Tombstones,
  file: string,
): Promise<void> {
  const { shape, watermark } = generation;
  if (watermark === null) throw new DomainError('internal', 'A generation without a watermark cannot be loaded.');
  await session.run(`CREATE TEMP TABLE ${latest} AS SELECT * FROM ${latestRows(relation, shape, watermark)}`);
  await deleteErased(session, tombstones, latest, shape.keys);
  const texts = `SELECT ${keyText(shape.keys)}, ${instants.map(({ name }) => quoteName(name)).join(', ')}, 0, ${featuresText(shape.features)} FROM ${latest}`;
  await session.run(`COPY (${texts}) TO ${quoteText(file)} (FORMAT csv, HEADER false)`);
}

async function hashLatest(session: Session, { shape }: Generation): Promise<string> {
  const { rowHash } = await hashRows(session, latest, [...shape.keys, ...instants, ...shape.features]);
  await session.run(`DROP TABLE ${latest}`);
  return rowHash;
}

/** Keeps the generation's snapshot readable while it is read. */
export async function holding<Result>(
  db: Dependencies['db'],
  project: ProjectName,
  { view: name, revision, snapshot }: Generation,
  work: () => Promise<Result>,
): Promise<Result> {
  if (snapshot === 0) return work();
  const lease = await leaseSnapshot(db, { project, schema: 'features', name, revision, snapshot }, 'online', leaseMs);
  try {
    return await work();
  } finally {
    await lease.release();
  }
}
const leaseMs = 3_600_000;
