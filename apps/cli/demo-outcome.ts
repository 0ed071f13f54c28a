import { canonicalJson, digestOf } from '../../domain/json.js';
import type { DemoApi } from './demo-api.js';
import { names } from './demo-loop.js';

/**
 * What a run of the loop must have come to, whatever was killed on the way: ledger, row hashes, digests, verdicts, findings,
 * alerts. Times, durations, attempts, commit and snapshot numbers of single windows (their order is free) are left out.
 */
export type Outcome = Readonly<Record<string, unknown>>;

type Row = Record<string, unknown>;
const pick = (row: Row, fields: readonly string[]): Row =>
  Object.fromEntries(fields.map((field) => [field, row[field]]));

export async function outcomeOf(api: DemoApi): Promise<Outcome> {
  const windowFields = ['start', 'end', 'rows', 'bytes', 'rowHash', 'sourceFingerprint'];
  const ledgers: Row = {};
  for (const view of names.views) {
    const commits = await api.all<Row>(`/features/${view}/windows`, { all: true });
    ledgers[view] = sorted(commits.map((row) => pick(row, windowFields)));
  }
  const predictions = await api.all<Row>(`/endpoints/${names.endpoint}/windows`, { all: true });
  const runs = await api.all<Row & { id: string }>('/runs', { model: names.model });
  const evaluated = await Promise.all(
    runs.map(async ({ id }) => (await api.get<{ evaluation: Row }>(`/runs/${id}`)).evaluation),
  );
  const history = await api.get<{ items: Row[] }>(`/models/${names.model}/aliases/champion/history`);
  const monitor = `/monitors/${names.monitor}`;
  return {
    ledgers,
    predictions: sorted(predictions.map((row) => pick(row, windowFields))),
    trainingSets: sorted(
      (await api.all<Row>('/datasets')).map((row) =>
        pick(row, ['name', 'asOf', 'rows', 'positives', 'rowHash', 'columns', 'views', 'source']),
      ),
    ),
    runs: runs.map((row) => pick(row, ['id', 'asOf', 'status', 'trainingSet', 'modelSha256', 'metrics', 'trigger'])),
    verdicts: evaluated.map((row) =>
      pick(row ?? {}, ['run', 'champion', 'verdict', 'reasons', 'candidateMetrics', 'championMetrics', 'inputsDigest']),
    ),
    versions: (await api.all<Row>(`/models/${names.model}/versions`)).map((row) =>
      pick(row, ['version', 'run', 'digest', 'lineage']),
    ),
    champions: history.items.map((row) => pick(row, ['generation', 'version', 'dataInstant', 'reason'])),
    findings: sorted(
      (await api.all<Row>(`${monitor}/findings`)).map((row) =>
        pick(row, ['window', 'version', 'test', 'subject', 'value', 'threshold', 'breached']),
      ),
    ),
    ticks: (await api.all<Row>(`${monitor}/ticks`)).map((row) => pick(row, ['asOf', 'window', 'version', 'summary'])),
    alerts: (await api.all<Row>(`${monitor}/alerts`)).map((row) =>
      pick(row, ['id', 'status', 'reasons', 'openedAsOf', 'resolvedAsOf', 'resolution', 'remedy']),
    ),
  };
}

const sorted = (rows: readonly Row[]): Row[] =>
  [...rows].sort((a, b) => (canonicalJson(a) < canonicalJson(b) ? -1 : 1));

export const outcomeDigest = (outcome: Outcome): string => digestOf(outcome);

/** The paths at which two outcomes differ, at most twenty. */
export function differences(one: unknown, other: unknown, path = '', found: string[] = []): string[] {
  if (found.length >= 20 || canonicalJson(one ?? null) === canonicalJson(other ?? null)) return found;
  if (isObject(one) && isObject(other)) {
    for (const key of new Set([...Object.keys(one), ...Object.keys(other)]))
      differences(one[key], other[key], `${path}/${key}`, found);
    return found;
  }
  found.push(
    `${path}: ${canonicalJson(one ?? null).slice(0, 120)} became ${canonicalJson(other ?? null).slice(0, 120)}`,
  );
  return found;
}

const isObject = (value: unknown): value is Record<string, unknown> => value !== null && typeof value === 'object';

/** Every window of every table was committed exactly once: the ledger of all commits names each window once. */
export function repeatedCommits({ ledgers, predictions }: Outcome): string[] {
  const tables = { ...(ledgers as Record<string, Row[]>), predictions: predictions as Row[] };
  return Object.entries(tables).flatMap(([table, rows]) => {
    const starts = rows.map((row) => String(row.start));
    return starts.filter((start, at) => starts.indexOf(start) !== at).map((start) => `${table} ${start}`);
  });
}
