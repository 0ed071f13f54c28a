import type { Instant } from '../../domain/ids.js';
import { instant, plusMicros } from '../../domain/instants.js';
import { Resource } from '../../domain/resources.js';
import { weights } from '../models/fixtures/risk.js';

/** A small world with a true model in it that changes on a known day, so that a drift is made and not hoped for. */

const dayMicros = 86_400e6;
export const firstDay = instant('2001-01-01');
export const dayOf = (number: number): Instant => plusMicros(firstDay, (number - 1) * dayMicros);
export const rowsADay = 100;

/** Between −1 and 1, the same on every machine. */
const even = (salt: string) => `(hash(i, '${salt}') % 2000001)::DOUBLE / 1000000 - 1`;
const score = ({ of, bias }: (typeof weights)['risk' | 'risk2']) => `${of[0]} * a + ${of[1]} * b + ${bias}`;

/**
 * Rows of `days` days, a hundred a day at even distance in four places; the label follows model `risk`, from day `driftDay`
 * on `risk2`. `change` is put in place of the amount of a row, e.g. `CASE WHEN i = 3 THEN 9 ELSE amount END`.
 */
export const eventsSql = ({ days = 50, driftDay = 29, change = 'amount' } = {}): string => `
  SELECT TIMESTAMP '${firstDay.slice(0, 10)}' + to_microseconds((i * ${dayMicros / rowsADay})::BIGINT) AS "at",
    'place-' || (i % 4) AS place, a, b, ${change} AS amount,
    1 / (1 + exp(-(CASE WHEN i < ${(driftDay - 1) * rowsADay} THEN ${score(weights.risk)} ELSE ${score(weights.risk2)} END))) > (hash(i, 'coin') % 1000000)::DOUBLE / 1000000 AS happened
  FROM (SELECT i, ${even('a')} AS a, ${even('b')} AS b, ${even('amount')} AS amount FROM range(${days * rowsADay}) t(i)) ORDER BY i`;

const viewSql = `SELECT place, date_trunc('day', known_at) + INTERVAL 1 DAY AS event_time, avg(amount) AS mean, count(*) AS events
  FROM events GROUP BY ALL`;

export interface EventResources {
  readonly path: string;
  readonly format?: 'parquet' | 'csv' | 'json';
  readonly viewSql?: string;
  readonly spineSql?: string;
  readonly parameters?: Readonly<Record<string, number | boolean>>;
  readonly gates?: readonly object[];
  readonly ttl?: string;
  readonly window?: string;
  readonly expectations?: readonly object[];
  /** Of the view, beside its own two. */
  readonly features?: readonly object[];
  readonly endpoint?: boolean;
}

const spineSql = 'SELECT id, "at" AS asked, place, a, b, happened, known_at FROM events';

/** Everything that is declared over the file, as people would write it. */
export function eventResources(options: EventResources): Resource[] {
  const { path, format = 'parquet', gates = [{ metric: 'log_loss', worseThanChampionBy: 0 }], ttl = '3d' } = options;
  const window = { lookback: '26h', window: options.window ?? '1d' };
  const model = {
    spine: {
      ...{ source: 'events', sql: options.spineSql ?? spineSql, key: ['id'] },
      ...{ eventTime: 'asked', knownAt: 'known_at', label: 'happened' },
    },
    ...{ inputs: ['a', 'b', 'place_day:mean'], history: '14d', holdout: '3d', slices: ['place'], gates },
    trainer: { name: 'copy', seed: 1, timeout: '1m', parameters: options.parameters ?? {} },
    ...(options.endpoint === false ? {} : { endpoint: 'risk' }),
  };
  const source = { format, path, rowNumber: format === 'parquet' ? 'id' : undefined, eventTime: 'at' };
  const view = {
    entity: 'place',
    sources: ['events'],
    sql: options.viewSql ?? viewSql,
    ttl,
    ...window,
    expectations: options.expectations,
  };
  const features = [{ name: 'mean', type: 'DOUBLE' }, { name: 'events', type: 'BIGINT' }, ...(options.features ?? [])]; // prettier-ignore
  const tests = [
    { test: 'metric', metric: 'calibration_gap', absolute: true, max: 0.1 },
    { test: 'metric', metric: 'auc' },
    { test: 'psi', max: 0.5, columns: ['a', 'b', 'prediction'] },
    { test: 'row_count', min: 10 },
  ];
  const monitor = { endpoint: 'risk', window: '7d', start: dayOf(22), tests, baseline: 'first', remedy: 'retrain' };
  return [
    { kind: 'Source', name: 'events', spec: { ...source, knownAt: '"at" + INTERVAL 1 HOUR' } },
    { kind: 'Entity', name: 'place', spec: { keys: [{ name: 'place', type: 'VARCHAR' }] } },
    { kind: 'FeatureView', name: 'place_day', spec: { ...view, features } },
    { kind: 'Model', name: 'risk', spec: model },
    { kind: 'Endpoint', name: 'risk', spec: { model: 'risk', policy: { readyTimeout: '20s' } } },
    { kind: 'Monitor', name: 'weekly', spec: monitor },
  ].map((one) => Resource.parse(one));
}
