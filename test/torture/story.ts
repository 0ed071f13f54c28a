import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { DemoApi } from '../../apps/cli/demo-api.js';
import type { Materialized } from '../../domain/features.js';
import type { Published } from '../../domain/publishing.js';
import { quoteText, type Engine } from '../../lake/duckdb.js';
import { until } from '../../programs/waiting.js';

/** What is done in the same order in the undisturbed run and in the one with kills. */

export const rounds = 8;
export const users = 200;
export const marks = ['f0', 'f1', 'f2', 'f3', 'f4'] as const;
export const sensors = 20;
const hours = 96;
const range = { start: '2001-01-01', end: '2001-01-05' };
/** Pushes of one round; they go on in the background. */
const pushesARound = 40;
const rowsAPush = 5;
const acknowledgedMaxMs = 180_000;

/** Every value of `pulse` is the number of the round; `readings` is pushed to. */
const pulseSql = (mark: number) =>
  `SELECT i % ${users} AS user_id, TIMESTAMP '2001-01-01' + to_hours((i // ${users})::INTEGER) AS event_time, ${marks.map((name) => `${mark}::BIGINT AS ${name}`).join(', ')} FROM range(${users * hours}) t(i)`;
const readingsSql = `SELECT 'sensor-' || i % ${sensors} AS sensor, TIMESTAMP '2001-01-01' + to_hours((i // ${sensors})::INTEGER) AS event_time, -i AS value FROM range(${sensors * hours}) t(i)`;

const resourcesOver = (folder: string) => {
  const view = (name: string, key: string, type: string, features: readonly string[]) => [
    { kind: 'Source', name: `${name}_rows`, spec: { path: join(folder, `${name}.parquet`), eventTime: 'event_time' } },
    { kind: 'Entity', name: key, spec: { keys: [{ name: key, type }] } },
    {
      kind: 'FeatureView',
      name,
      spec: {
        ...{ entity: key, sources: [`${name}_rows`], lookback: '0d', window: '1h' },
        sql: `SELECT ${key}, event_time, ${features.join(', ')} FROM ${name}_rows`,
        features: features.map((feature) => ({ name: feature, type: 'BIGINT' })),
      },
    },
  ];
  return [...view('pulse', 'user_id', 'BIGINT', marks), ...view('readings', 'sensor', 'VARCHAR', ['value'])];
};

export interface Stage {
  readonly api: DemoApi;
  readonly url: string;
  readonly engine: Engine;
  /** Where sources lie. */
  readonly folder: string;
  /** Outside of the system: one line for each push that was acknowledged. */
  readonly ledger: string;
  /** Called when the work of a round begins; the round ends when what it returns is done. */
  readonly disturb: (round: number) => Promise<void>;
  readonly say: (text: string) => void;
}

export async function tell(stage: Stage): Promise<void> {
  const { api, folder, say } = stage;
  await mkdir(folder, { recursive: true });
  await write(stage, 'pulse', pulseSql(0));
  await write(stage, 'readings', readingsSql);
  await api.post('/apply', { resources: resourcesOver(folder) });
  await refresh(stage, 'readings');
  await refresh(stage, 'pulse');
  for (let round = 1; round <= rounds; round++) {
    const began = performance.now();
    const disturbed = stage.disturb(round);
    const pushing = push(stage, round);
    await write(stage, 'pulse', pulseSql(round));
    const committed = await refresh(stage, 'pulse');
    await refresh(stage, 'readings');
    await Promise.all([pushing, disturbed]);
    say(`round ${round}: ${committed} windows committed, ${pushesARound} pushes acknowledged (${((performance.now() - began) / 1000).toFixed(1)} s)`); // prettier-ignore
  }
  await work(stage, '/features/readings/flush', {});
}

async function write({ engine, folder }: Stage, name: string, select: string): Promise<void> {
  const file = join(folder, `${name}.parquet`);
  await engine.session((session) => session.run(`COPY (${select}) TO ${quoteText(`${file}.half`)} (FORMAT parquet)`));
  await rename(`${file}.half`, file);
}

async function work<Result>({ api }: Stage, path: string, body: object): Promise<Result> {
  const { workflowId } = await api.post<{ workflowId: string }>(path, body);
  return api.result<Result>(workflowId);
}

async function refresh(stage: Stage, view: string): Promise<number> {
  const { committed } = await work<Materialized>(stage, `/features/${view}/materialize`, range);
  await work<Published>(stage, `/features/${view}/publish`, {});
  return committed;
}

export const pushId = (round: number, number: number): string => `round-${round}-${number}`;
/** A later push of the same sensor and instant corrects an earlier one. */
export const pushedRows = (round: number, number: number) =>
  Array.from({ length: rowsAPush }, (_, at) => ({
    sensor: `sensor-${(number * rowsAPush + at) % sensors}`,
    event_time: `2001-01-0${(number % 4) + 1}T12:30:00Z`,
    value: round * 1_000 + number,
  }));

/** One push after the other, each repeated under its id until it is acknowledged; the acknowledgement is synced before the next. */
async function push({ url, ledger }: Stage, round: number): Promise<void> {
  const file = await open(ledger, 'a');
  try {
    for (let number = 0; number < pushesARound; number++) {
      const body = JSON.stringify({ id: pushId(round, number), rows: pushedRows(round, number) });
      await untilAcknowledged(`${url}/api/v1/features/readings/push`, body);
      await file.appendFile(`${JSON.stringify({ round, number })}\n`);
      await file.sync();
    }
  } finally {
    await file.close();
  }
}

async function untilAcknowledged(url: string, body: string): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const acknowledged = async () => {
    const status = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) }).then(
      (answer) => answer.status,
      () => 0,
    );
    if (status >= 400 && status < 500 && status !== 429) throw new Error(`A push was refused with ${status}.`);
    return status === 200;
  };
  if (!(await until(acknowledged, acknowledgedMaxMs, { everyMs: 100 })))
    throw new Error('A push was never acknowledged.');
}
