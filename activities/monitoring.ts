import { findingsOf, judgeAlert, resolution } from '../domain/decide/monitoring.js';
import type { Window } from '../domain/features.js';
import { shortInstant, type Instant, type ProjectName } from '../domain/ids.js';
import { durationMicros, plusMicros } from '../domain/instants.js';
import type { AlertJudgement, JudgedWindow, MonitorTicked } from '../domain/monitoring.js';
import type { TrainedModelSummary } from '../domain/training.js';
import { findTraffic } from '../store/deployment.js';
import { findOpenAlert, raiseAlert, updateAlert, type Alert } from '../store/alerts.js';
import { findTick, finishTick, listFindings, recordFindings, recordTick, type Tick } from '../store/monitoring.js';
import { getResource } from '../store/resources.js';
import { DomainError } from '../domain/errors.js';
import { beating } from './heartbeat.js';
import { observeDrift, observeLabels, type ObservationDependencies } from './observations.js';

export type MonitoringDependencies = ObservationDependencies;

interface TickRef {
  readonly project: ProjectName;
  readonly monitor: string;
  readonly asOf: Instant;
}

export interface TickPlan {
  /** What a finished tick of this instant said: there is nothing left to do. */
  readonly recorded: MonitorTicked | null;
  readonly endpoint: string;
  readonly model: string;
  readonly revision: number;
  readonly window: Window;
}

interface JudgeTick extends TickRef {
  readonly principal: string;
  readonly workflowId: string;
}

export interface JudgedTick {
  readonly windows: Instant[];
  readonly breached: boolean;
  readonly reasons: readonly string[];
  readonly alert: string | null;
  readonly retrain: boolean;
}

export const monitoringActivities = (dependencies: MonitoringDependencies) => ({
  /** Reads only. */
  async planTick({ project, monitor, asOf }: TickRef): Promise<TickPlan> {
    const { db } = dependencies;
    const { spec } = await getResource(db, project, 'Monitor', monitor);
    const endpoint = await getResource(db, project, 'Endpoint', spec.endpoint);
    const model = await getResource(db, project, 'Model', endpoint.spec.model);
    const tick = await findTick(db, project, monitor, asOf);
    return {
      recorded: tick && recordedTick(tick),
      endpoint: endpoint.name,
      model: model.name,
      revision: model.revision,
      window: windowBefore(spec.window, asOf),
    };
  },

  /** Findings are recorded once a window, version and test: a repeat reads them back and comes to the same judgement. */
  judgeTick: (input: JudgeTick): Promise<JudgedTick> => beating((signal) => judgeTick(dependencies, input, signal)),

  /** Recorded once a run: what came of the retraining, and whether that ends the alert. */
  async recordRemedy(
    input: TickRef & {
      alert: string;
      workflowId: string;
      trained: TrainedModelSummary | null;
      failure?: string;
      principal: string;
    },
  ): Promise<{ outcome: string }> {
    const { project, alert: id, asOf, workflowId, trained, failure, principal } = input;
    const { db } = dependencies;
    const now = await judgeNow(dependencies, input);
    const remedy = {
      verdict: trained?.verdict ?? null,
      reasons: trained?.reasons ?? [failure ?? 'it failed'],
      version: trained?.version ?? null,
      rolledOut: trained?.rollout != null,
    };
    const ended = resolution({ now: now.judgement, remedy });
    await updateAlert(
      db,
      project,
      id,
      {
        remedy: { asOf, run: trained?.run ?? '', workflowId, outcome: ended.reason },
        ...(ended.resolved ? { resolution: { asOf, reason: ended.reason } } : {}),
      },
      { name: principal },
    );
    await finishTick(db, project, input.monitor, asOf, workflowId);
    return { outcome: ended.reason };
  },
});

/** What a tick answered; null while its remedy is still under way. */
function recordedTick({ asOf, version, summary: { done, ...answer } }: Tick): MonitorTicked | null {
  return done ? { asOf, version, ...answer } : null;
}

const windowBefore = (duration: string, asOf: Instant): Window => ({
  start: plusMicros(asOf, -durationMicros(duration)),
  end: asOf,
});

async function judgeTick(
  dependencies: MonitoringDependencies,
  input: JudgeTick,
  signal: AbortSignal,
): Promise<JudgedTick> {
  const { db, engine } = dependencies;
  const { project, monitor, asOf, workflowId } = input;
  const { spec } = await getResource(db, project, 'Monitor', monitor);
  const window = windowBefore(spec.window, asOf);
  const observed = await engine.session(
    async (session) => [
      await observeDrift(dependencies, session, project, spec, window),
      ...(await observeLabels(dependencies, session, { project, monitor, spec, asOf })),
    ],
    signal,
  );
  const findings = observed.flatMap((seen) =>
    findingsOf(spec.tests, seen).map((finding) => ({ ...finding, asOf, window: seen.window, version: seen.version })),
  );
  await recordFindings(db, project, monitor, findings);
  const { judgement, open } = await judgeNow(dependencies, input);
  const alert = await settleAlert(dependencies, input, judgement, open);
  const windows = [...new Set(observed.slice(1).map((seen) => seen.window.start))];
  const retrain = judgement.breached && spec.remedy === 'retrain';
  const { breached, reasons } = judgement;
  const rows = observed[0]?.rows ?? 0;
  const summary = { rows, judged: windows, breached, reasons, alert, retraining: null, done: !retrain };
  await recordTick(db, project, { monitor, asOf, window, version: observed[0]?.version ?? 0, summary, workflowId });
  return { windows, breached, reasons, alert, retrain };
}

/** An alert is raised, brought up to date, or ended; returns the id of the one that is open now. */
async function settleAlert(
  { db }: MonitoringDependencies,
  { project, monitor, asOf, principal, workflowId }: JudgeTick,
  judgement: AlertJudgement,
  open: Alert | null,
): Promise<string | null> {
  const who = { name: principal };
  const { reasons, breaches } = judgement;
  if (judgement.breached) {
    const raised = await raiseAlert(
      db,
      project,
      {
        id: `${monitor}/${shortInstant(asOf).replace('T00:00:00Z', '')}`,
        monitor,
        reasons,
        breaches,
        openedAsOf: asOf,
        workflowId,
      },
      who,
    );
    return raised.id;
  }
  if (!open) return null;
  const ended = resolution({ now: judgement, remedy: null });
  if (!ended.resolved) return open.id;
  await updateAlert(db, project, open.id, { resolution: { asOf, reason: ended.reason } }, who);
  return null;
}

/** The newest windows of the version that serves now, judged by the tests as they are declared now. */
async function judgeNow(
  { db }: MonitoringDependencies,
  { project, monitor, asOf }: TickRef,
): Promise<{ judgement: AlertJudgement; open: Alert | null }> {
  const { spec } = await getResource(db, project, 'Monitor', monitor);
  const traffic = await findTraffic(db, project, spec.endpoint);
  if (!traffic)
    throw new DomainError('endpoint_not_serving', `Endpoint "${spec.endpoint}" serves nothing yet.`, {
      endpoint: spec.endpoint,
    });
  const findings = await listFindings(db, project, monitor, { version: traffic.version, until: asOf });
  const byWindow = new Map<Instant, JudgedWindow>();
  for (const finding of findings) {
    const seen = byWindow.get(finding.window.start);
    byWindow.set(finding.window.start, { window: finding.window, findings: [...(seen?.findings ?? []), finding] });
  }
  const recent = [...byWindow.values()].sort((a, b) => (a.window.start < b.window.start ? 1 : -1));
  const open = await findOpenAlert(db, project, monitor);
  return { judgement: judgeAlert({ tests: spec.tests, recent, open }), open };
}
