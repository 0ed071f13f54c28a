import type { CommittedLog } from '../../domain/deployment.js';
import type { Evaluated } from '../../domain/evaluation.js';
import type { Materialized } from '../../domain/features.js';
import type { Instant } from '../../domain/ids.js';
import type { MonitorTicked } from '../../domain/monitoring.js';
import type { TrainedModelSummary } from '../../domain/training.js';
import type { Resource } from '../../domain/resources.js';
import type { DemoApi } from './demo-api.js';
import type { Story } from './story.js';

/** The flights loop of examples/flights, over the API alone. */
export interface LoopOptions {
  readonly api: DemoApi;
  readonly story: Story;
  readonly resources: readonly Resource[];
  readonly inferenceUrl: string;
  readonly uiUrl: string;
  /** The last tick; the declared end of the monitor unless the demo is cut short. */
  readonly until: Instant;
}

export const names = {
  views: ['origin_hour', 'route_day'],
  model: 'lateness',
  endpoint: 'lateness',
  monitor: 'lateness_weekly',
} as const;
export const firstDay = '2001-01-01T00:00:00.000000Z' as Instant;
export const firstTraining = '2001-03-05T00:00:00.000000Z' as Instant;
export const firstTick = '2001-03-12T00:00:00.000000Z' as Instant;
/** After the last flight of the file: 182 daily windows. */
export const lastDay = '2001-07-02T00:00:00.000000Z' as Instant;

/** When the demo's online question is asked, in data time. */
const askedAt = '2001-03-06T18:00:00.000000Z' as Instant;

const day = (at: Instant) => at.slice(0, 10);
const count = (value: number) => value.toLocaleString('en-US');
const figure = (value: number | null | undefined) => (value == null ? null : value.toFixed(4));

export async function runLoop(options: LoopOptions): Promise<void> {
  await declare(options);
  await materialize(options);
  await train(options);
  await ask(options);
  await monitor(options);
  await readTogether(options);
}

async function declare({ api, story, resources }: LoopOptions): Promise<void> {
  story.heading('1  Declare: eider apply -f examples/flights');
  const { changes } = await api.post<{ changes: { kind: string; name: string; change: string; revision: number }[] }>(
    '/apply',
    { resources },
  );
  story.table(
    ['kind', 'name', 'change', 'revision'],
    changes.map((one) => [one.kind, one.name, one.change, one.revision]),
  );
}

async function materialize({ api, story, uiUrl, until }: LoopOptions): Promise<void> {
  story.heading('2  Materialize the features: daily windows, each committed exactly once');
  const end = until < '2001-06-20' ? until : lastDay;
  const rows = [];
  for (const view of names.views) {
    const started = await api.post<{ workflowId: string; ui: string }>(`/features/${view}/materialize`, {
      start: firstDay,
      end,
    });
    const bar = story.progress(view);
    const made = await api.result<Materialized>(started.workflowId, ({ done, total, detail }) =>
      bar.at(done, total, detail),
    );
    bar.end(`${made.committed} windows, ${made.reason}`);
    rows.push([
      view,
      made.windows,
      made.committed,
      count(made.rows),
      `${(made.bytes / 2 ** 20).toFixed(1)} MiB`,
      made.snapshot,
    ]);
  }
  story.table(['view', 'windows', 'committed', 'rows', 'Parquet', 'snapshot'], rows);
  const { workflowId } = await api.post<{ workflowId: string }>(`/features/${names.views[0]}/materialize`, {
    start: firstDay,
    end,
  });
  const again = await api.result<Materialized>(workflowId);
  story.say(`Once more: ${again.committed === again.windows ? 'already open' : again.reason}.`);
  story.say(`In the Temporal UI: ${uiUrl}`);
}

interface RunAnswer {
  readonly id: string;
  readonly trainingSet: string;
  readonly modelSha256: string;
  readonly durationMs: number;
  readonly evaluation: {
    readonly candidateMetrics: Evaluated;
    readonly championMetrics: Evaluated | null;
    readonly verdict: string;
    readonly reasons: string[];
  };
}

async function train({ api, story }: LoopOptions): Promise<void> {
  story.heading(`3  Train the first model as of ${day(firstTraining)}: eight weeks of flights, the last one held out`);
  const { run, workflowId, ui } = await api.post<{ run: string; workflowId: string; ui: string }>(
    `/models/${names.model}/train`,
    { asOf: firstTraining },
  );
  const bar = story.progress('train');
  const summary = await api.result<TrainedModelSummary>(workflowId, ({ stage, done, total, detail }) =>
    bar.at(done, total, `${stage}: ${detail}`),
  );
  bar.end(`version ${summary.version}, ${summary.verdict}`);
  const set = await api.get<{ name: string; rows: { train: number; test: number }; rowHash: string }>(
    `/datasets/${summary.trainingSet}`,
  );
  story.say(
    `Training set ${set.name}: ${count(set.rows.train)} rows to train, ${count(set.rows.test)} held out, row hash ${set.rowHash.slice(0, 12)}…`,
  );
  const { evaluation, modelSha256 } = await api.get<RunAnswer>(`/runs/${run}`);
  story.say(`Model ${modelSha256.slice(0, 12)}…, read from Flight by pyarrow, trained by LightGBM, served as ONNX.`);
  tellEvaluation(story, evaluation);
  story.say(`In the Temporal UI: ${ui}`);
}

function tellEvaluation(
  story: Story,
  { candidateMetrics, championMetrics, verdict, reasons }: RunAnswer['evaluation'],
): void {
  const line = (who: string, { overall }: Evaluated) => [
    who,
    count(overall.rows),
    figure(overall.auc),
    figure(overall.log_loss),
    figure(overall.calibration_gap),
    figure(overall.calibration_error),
  ];
  story.table(
    ['held-out week', 'rows', 'AUC', 'log-loss', 'gap', 'calibration error'],
    [line('candidate', candidateMetrics), ...(championMetrics ? [line('champion', championMetrics)] : [])],
  );
  const worst = [...candidateMetrics.slices]
    .filter(({ metrics }) => metrics.auc !== null)
    .sort((a, b) => (a.metrics.auc ?? 1) - (b.metrics.auc ?? 1))
    .slice(0, 3);
  story.say(
    `Of ${candidateMetrics.slices.length} origins the worst: ${worst.map(({ value, metrics }) => `${value} AUC ${figure(metrics.auc)} of ${metrics.rows}`).join(', ')}`,
  );
  story.say(`Verdict: ${verdict}. ${reasons.join('; ')}.`);
}

async function ask({ story, inferenceUrl }: LoopOptions): Promise<void> {
  story.heading('4  Ask the model online: Open Inference Protocol v2');
  const url = `${inferenceUrl}/v2/models/${names.endpoint}/infer`;
  const rows = [
    [733, 8, 1, 0.1, 20, 0.15, 9],
    [733, 18, 5, 0.6, 45, 0.4, 9],
  ];
  const body = JSON.stringify({
    inputs: [{ name: 'input', datatype: 'FP32', shape: [2, 7], data: rows.flat() }],
    parameters: { event_time: askedAt },
  });
  const answer = await askUntil(url, body);
  story.say(`POST ${url}`);
  story.table(
    ['distance', 'hour', 'weekday', 'origin late', 'departures', 'route late', 'route flights', 'P(late)'],
    rows.map((row, at) => [...row, figure(answer[at])]),
  );
}

/** A killed instance is back in moments. */
async function askUntil(url: string, body: string): Promise<number[]> {
  for (const until = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 300))) {
    const response = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } }).catch(
      () => null,
    );
    if (response?.ok) return ((await response.json()) as { outputs: { data: number[] }[] }).outputs[0]?.data ?? [];
    if (Date.now() > until)
      throw new Error(`${url} does not answer: ${response ? await response.text() : 'no connection'}`);
  }
}

async function monitor({ api, story, until }: LoopOptions): Promise<void> {
  story.heading('5  Live through the spring: one tick a week, scored, judged, and retrained if it must be');
  // The range is half-open, and the last tick belongs to it.
  const end = new Date(Date.parse(until) + 1000).toISOString();
  const { ticks } = await api.post<{ ticks: { asOf: Instant; workflowId: string }[] }>(
    `/monitors/${names.monitor}/backfill`,
    { start: firstTick, end },
  );
  const bar = story.progress('ticks');
  for (const [at, tick] of ticks.entries()) {
    bar.at(at, ticks.length, `week before ${day(tick.asOf)}`);
    const ticked = await untilThere(() =>
      api.result<MonitorTicked>(tick.workflowId, ({ stage, detail }) =>
        bar.at(at, ticks.length, `${day(tick.asOf)} ${stage}: ${detail}`),
      ),
    );
    if (!ticked.breached) continue;
    bar.end(`${day(tick.asOf)}: alert. ${ticked.reasons.join('; ')}`);
    if (ticked.retraining) await tellRetraining(api, story, ticked);
  }
  bar.end(`${ticks.length} ticks`);
}

/** A tick that waits for the one before it has no workflow yet. */
async function untilThere<Result>(ask: () => Promise<Result>): Promise<Result> {
  for (const until = Date.now() + 15 * 60_000; ; await new Promise((resolve) => setTimeout(resolve, 250))) {
    try {
      return await ask();
    } catch (error) {
      if ((error as { code?: string }).code !== 'workflow_unknown' || Date.now() > until) throw error;
    }
  }
}

async function tellRetraining(api: DemoApi, story: Story, { retraining, alert, asOf }: MonitorTicked): Promise<void> {
  const summary = await api.result<TrainedModelSummary>(retraining ?? '');
  const run = await api.get<RunAnswer>(`/runs/${summary.run}`);
  tellEvaluation(story, run.evaluation);
  const alerts = await api.all<{
    id: string;
    status: string;
    resolution: string | null;
    remedy: { asOf: Instant; outcome: string }[];
  }>(`/monitors/${names.monitor}/alerts`);
  const found = alerts.find(({ id }) => id === alert);
  story.say(
    `Alert ${alert} ${found?.status}: ${found?.remedy.find((one) => one.asOf === asOf)?.outcome ?? 'no remedy'}.`,
  );
}

/** What was asked online lies at the wall clock's event time unless the caller says otherwise; here it said a day of March. */
async function readTogether({ api, story }: LoopOptions): Promise<void> {
  story.heading('6  Read online and batch answers together: eider inference-log');
  const range = { start: askedAt.slice(0, 10), end: '2001-03-07' };
  const { workflowId, flight } = await api.post<{ workflowId: string; flight: string[] }>(
    `/endpoints/${names.endpoint}/log`,
    range,
  );
  const log = await api.result<CommittedLog>(workflowId);
  story.say(
    `${log.committed} of ${log.windows} daily windows committed, ${count(log.rows)} rows: Flight path ${JSON.stringify(flight)}.`,
  );
}
