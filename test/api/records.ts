import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Evaluated } from '../../domain/evaluation.js';
import { anonymous } from '../../domain/principal.js';
import { recordTrainingSet } from '../../store/datasets.js';
import type { Database } from '../../store/db.js';
import { announceRollout, shiftTraffic } from '../../store/deployment.js';
import { recordEvaluation } from '../../store/evaluation.js';
import { registerVersion } from '../../store/models.js';
import { raiseAlert } from '../../store/alerts.js';
import { recordFindings, recordTick } from '../../store/monitoring.js';
import { applyResources } from '../../store/resources.js';
import { serving } from '../../store/serving.js';
import { commitWindow } from '../../store/snapshots.js';
import { claimRun, openRun, recordRunTrainingSet, recordTrained } from '../../store/training.js';
import {
  candidateOf,
  commitOf,
  day,
  flights,
  project,
  runKey,
  staged,
  trained,
  trainingSetManifest,
} from '../store/samples.js';

export const set = 'lateness_r1_20010305';
export const monitor = 'lateness_weekly';
const metrics = { overall: { rows: 10, positives: 2, auc: 0.7, log_loss: 0.4, brier: 0.1, calibration_gap: 0, calibration_error: 0 }, slices: [], calibration: [] }; // prettier-ignore

/** What workflows would have left: windows, a training set, runs with versions, a rollout, requests, ticks and an alert. Returns the runs. */
export async function leaveRecords(db: Database, home: string): Promise<string[]> {
  await applyResources(db, project, flights(), anonymous);
  for (const number of [1, 2, 3]) {
    const lineage = [{ from: ['source', 'flights@r1'] as const, to: ['table', 'features/origin_hour@r1'] as const }];
    await commitWindow(db, { ...commitOf(staged(number), null), lineage });
  }
  const first = await db.query<{ id: number }>('SELECT min(id) AS id FROM commits');
  await commitWindow(db, commitOf(staged(1, 'b'), first[0]?.id ?? 0));
  await db.transaction((tx) => recordTrainingSet(tx, project, trainingSetManifest(set, day(5), true), null, anonymous));
  const runs = [await finishedRun(db, home, 1), await finishedRun(db, home, 2)];
  await rollOut(db);
  await watch(db);
  return runs;
}

async function finishedRun(db: Database, home: string, number: number): Promise<string> {
  const { id } = await openRun(db, runKey(day(number)), { kind: 'manual' }, `train/${number}`, anonymous);
  const fence = await claimRun(db, project, id);
  await recordRunTrainingSet(db, project, id, set);
  await recordTrained(db, project, id, fence, trained(id), anonymous);
  await recordEvaluation(
    db,
    project,
    {
      run: id,
      champion: null,
      candidateMetrics: metrics as Evaluated,
      championMetrics: null,
      verdict: 'promote',
      reasons: ['first'],
      inputsDigest: 'd',
    },
    anonymous,
  );
  await registerVersion(db, project, candidateOf(id, id), anonymous);
  const log = join(home, 'artifacts', trained().logKey);
  await mkdir(dirname(log), { recursive: true });
  await writeFile(log, 'epoch 1\nüber\n');
  return id;
}

async function rollOut(db: Database): Promise<void> {
  const of = { endpoint: 'lateness', model: 'lateness', version: 1, dataInstant: day(5), workflowId: 'w' };
  await announceRollout(db, project, { id: 'r1', ...of }, anonymous);
  const store = serving(db);
  await store.renewLease('serve-1', 'http://127.0.0.1:1', 60);
  await store.report('serve-1', { project, endpoint: 'lateness', version: 1, generation: 1 }, 'ready');
  await shiftTraffic(db, project, 'r1', 'first', anonymous);
  const asked = {
    project,
    endpoint: 'lateness',
    version: 1,
    loggedAt: day(7),
    inputs: [1, null],
    output: 0.5,
    key: null,
  };
  await store.appendLog([1, 2, 3].map((rowIndex) => ({ ...asked, requestId: 'q', rowIndex, eventTime: day(6) })));
}

async function watch(db: Database): Promise<void> {
  const window = { start: day(1), end: day(8) };
  const summary = { rows: 3, judged: [], breached: true, reasons: ['psi'], alert: 'a1', retraining: null, done: true };
  for (const asOf of [day(8), day(15)])
    await recordTick(db, project, { monitor, asOf, window, version: 1, summary, workflowId: 'w' });
  const finding = {
    asOf: day(8),
    window,
    version: 1,
    threshold: 0.2,
    breached: true,
    details: { bounds: [], reasons: [] },
  };
  await recordFindings(db, project, monitor, [
    { ...finding, test: 'psi', subject: 'distance', value: 0.3 },
    { ...finding, test: 'psi', subject: 'hour', value: 0.1, breached: false },
  ]);
  await raiseAlert(
    db,
    project,
    { id: 'a1', monitor, reasons: ['psi of distance'], breaches: [], openedAsOf: day(8), workflowId: 'w' },
    anonymous,
  );
}
