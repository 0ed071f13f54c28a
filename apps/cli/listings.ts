import type { Evaluated } from '../../domain/evaluation.js';
import { expectationName, type Expectation } from '../../domain/expectations.js';
import type { LedgerRow, Window } from '../../domain/features.js';
import { wholePart } from '../../domain/splits.js';
import type { Kind, Revision } from '../../domain/resources.js';
import type { ErasureRow, SnapshotRow } from '../../domain/snapshots.js';
import type { DatasetManifest } from '../../domain/datasets.js';
import { plainName } from './kinds.js';
import { listing, type Listing } from './listing.js';
import { onlineListings } from './online-listings.js';
import { bytes, figure, moment, type Column } from './table.js';

interface Materialized extends Revision {
  readonly materialized: {
    readonly windows: number;
    readonly rows: number;
    readonly bytes: number;
    readonly snapshot: number;
  };
}
interface Served extends Revision {
  readonly traffic: { readonly model: string; readonly version: number; readonly dataInstant: string } | null;
}
interface Watched extends Revision {
  readonly alert: { readonly openedAsOf: string } | null;
}
interface RunRow {
  readonly id: string;
  readonly model: string;
  readonly asOf: string;
  readonly status: string;
  readonly trainingSet: string | null;
  readonly durationMs: number | null;
}
interface VersionRow {
  readonly version: number;
  readonly run: string;
  readonly digest: string;
  readonly lineage: { readonly trainingSet: string };
}
interface AliasRow {
  readonly alias: string;
  readonly version: number;
  readonly generation: number;
  readonly dataInstant: string;
}
interface WorkflowRow {
  readonly id: string;
  readonly status: string;
  readonly stage: string | null;
  readonly startedAt: string;
}
interface TickRow {
  readonly asOf: string;
  readonly window: Window;
  readonly version: number;
  readonly workflowId: string;
}
interface FindingRow {
  readonly window: Window;
  readonly version: number;
  readonly test: string;
  readonly subject: string;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly breached: boolean;
}
interface AlertRow {
  readonly id: string;
  readonly status: string;
  readonly openedAsOf: string;
  readonly resolvedAsOf: string | null;
  readonly reasons: readonly string[];
}
interface ExpectationRow extends Window {
  readonly expectation: Expectation;
  readonly severity: string;
  readonly passed: boolean;
  readonly rows: number;
  readonly failed: number | null;
  readonly value: number | null;
  readonly commit: number | null;
}
type QuarantineRow = Readonly<Record<string, unknown>> & { readonly reasons: string };
interface StatisticsRow {
  readonly column: string;
  readonly rows: number;
  readonly nulls: number;
  readonly min?: number | null;
  readonly max?: number | null;
  readonly quantiles?: Readonly<Record<string, unknown>>;
  readonly distinct?: { readonly count: number; readonly exact: boolean };
}
type Projects = { readonly name: string; readonly createdAt: string };

const resourceColumns: readonly Column<Revision>[] = [
  ['NAME', ({ name }) => name],
  ['REVISION', ({ revision }) => revision],
  ['CREATED', ({ createdAt }) => moment(createdAt)],
  ['DESCRIPTION', ({ description }) => description?.slice(0, 60)],
];

/** `train 7, test 3`; a set that is not divided has its number alone. */
const partsText = (rows: DatasetManifest['rows']): string =>
  Object.entries(rows)
    .map(([part, count]) => (part === wholePart ? figure(count) : `${part} ${figure(count)}`))
    .join(', ');

/** A kind's own listing where the API says more of it than its declaration. */
const listings: Readonly<Record<string, Listing>> = {
  ...onlineListings,
  featureview: listing<Materialized>(null, () => '/features', [
    ['NAME', ({ name }) => name],
    ['REVISION', ({ revision }) => revision],
    ['WINDOWS', ({ materialized }) => materialized.windows],
    ['ROWS', ({ materialized }) => materialized.rows],
    ['SIZE', ({ materialized }) => bytes(materialized.bytes)],
    ['SNAPSHOT', ({ materialized }) => materialized.snapshot],
  ]),
  endpoint: listing<Served>(null, () => '/endpoints', [
    ['NAME', ({ name }) => name],
    ['MODEL', ({ traffic }) => traffic?.model],
    ['VERSION', ({ traffic }) => traffic?.version],
    ['SINCE', ({ traffic }) => moment(traffic?.dataInstant)],
  ]),
  monitor: listing<Watched>(null, () => '/monitors', [
    ['NAME', ({ name }) => name],
    ['REVISION', ({ revision }) => revision],
    ['ALERT', ({ alert }) => (alert ? `open since ${moment(alert.openedAsOf)}` : null)],
  ]),
  project: listing<Projects>(null, () => '/projects', [
    ['NAME', ({ name }) => name],
    ['CREATED', ({ createdAt }) => moment(createdAt)],
  ]),
  dataset: listing<DatasetManifest>(null, () => '/datasets', [
    ['NAME', ({ name }) => name],
    ['MODEL', ({ model }) => model],
    ['AS OF', ({ asOf }) => moment(asOf)],
    ['ROWS', ({ rows }) => partsText(rows)],
    ['ROW HASH', ({ rowHash }) => rowHash.slice(0, 12)],
  ]),
  run: listing<RunRow>(null, () => '/runs', [
    ['RUN', ({ id }) => id],
    ['MODEL', ({ model }) => model],
    ['AS OF', ({ asOf }) => moment(asOf)],
    ['STATUS', ({ status }) => status],
    ['DATASET', ({ trainingSet }) => trainingSet],
    ['SECONDS', ({ durationMs }) => (durationMs === null ? null : (durationMs / 1000).toFixed(1))],
  ]),
  workflow: listing<WorkflowRow>(null, () => '/workflows', [
    ['WORKFLOW', ({ id }) => id],
    ['STATUS', ({ status }) => status],
    ['STAGE', ({ stage }) => stage],
    ['STARTED', ({ startedAt }) => moment(startedAt)],
  ]),
  version: listing<VersionRow>('MODEL', (model) => `/models/${model}/versions`, [
    ['VERSION', ({ version }) => version],
    ['RUN', ({ run }) => run],
    ['DATASET', ({ lineage }) => lineage.trainingSet],
    ['DIGEST', ({ digest }) => digest.slice(0, 12)],
  ]),
  alias: listing<AliasRow>('MODEL', (model) => `/models/${model}/aliases`, [
    ['ALIAS', ({ alias }) => alias],
    ['VERSION', ({ version }) => version],
    ['GENERATION', ({ generation }) => generation],
    ['SINCE', ({ dataInstant }) => moment(dataInstant)],
  ]),
  window: listing<LedgerRow>('VIEW', (view) => `/features/${view}/windows`, [
    ['START', ({ start }) => moment(start)],
    ['END', ({ end }) => moment(end)],
    ['COMMIT', ({ commit }) => commit],
    ['ROWS', ({ rows }) => rows],
    ['SIZE', (row) => bytes(row.bytes)],
    ['ROW HASH', ({ rowHash }) => rowHash.slice(0, 12)],
  ]),
  snapshot: listing<SnapshotRow>('VIEW', (view) => `/features/${view}/snapshots`, [
    ['SNAPSHOT', ({ snapshot }) => snapshot],
    ['COMMITTED', ({ committedAt }) => moment(committedAt)],
    ['NEW WINDOW', ({ changed }) => moment(changed.start)],
    ['WINDOWS', ({ windows }) => windows],
    ['ROWS', ({ rows }) => rows],
    ['ROW HASH', ({ rowHash }) => rowHash.slice(0, 12)],
    ['', ({ readable }) => (readable ? '' : 'collected')],
  ]),
  erasure: listing<ErasureRow>(null, () => '/erasures', [
    ['ERASURE', ({ id }) => id],
    ['ENTITY', ({ entity }) => entity],
    ['KEY DIGEST', ({ keyDigest }) => keyDigest.slice(0, 12)],
    ['STATUS', ({ status }) => status],
    ['ENDED', ({ endedAt }) => moment(endedAt)],
    ['REASON', ({ reason }) => reason.slice(0, 60)],
  ]),
  expectation: listing<ExpectationRow>('VIEW', (view) => `/features/${view}/expectations`, [
    ['WINDOW', ({ start }) => moment(start)],
    ['TEST', ({ expectation }) => expectationName(expectation)],
    ['SEVERITY', ({ severity }) => severity],
    ['ROWS', ({ rows }) => rows],
    ['FAILED', ({ failed, value }) => figure(failed ?? value)],
    ['', ({ passed }) => (passed ? 'met' : 'not met')],
    ['COMMIT', ({ commit }) => commit ?? 'refused'],
  ]),
  quarantine: listing<QuarantineRow>('VIEW', (view) => `/features/${view}/quarantine`, [
    ['REASONS', ({ reasons }) => reasons],
    ['ROW', ({ reasons: _, ...row }) => JSON.stringify(row)],
  ]),
  statistic: listing<StatisticsRow>('VIEW', (view) => `/features/${view}/statistics`, [
    ['COLUMN', ({ column }) => column],
    ['ROWS', ({ rows }) => rows],
    ['NULL', ({ nulls }) => nulls],
    ['MIN', ({ min }) => figure(min ?? null)],
    ['MEDIAN', ({ quantiles }) => figure((quantiles?.['0.5'] as number | undefined) ?? null)],
    ['MAX', ({ max }) => figure(max ?? null)],
    ['DISTINCT', ({ distinct }) => distinct && `${distinct.exact ? '' : 'about '}${distinct.count}`],
  ]),
  tick: listing<TickRow>('MONITOR', (monitor) => `/monitors/${monitor}/ticks`, [
    ['AS OF', ({ asOf }) => moment(asOf)],
    ['WINDOW', ({ window }) => moment(window.start)],
    ['VERSION', ({ version }) => version],
    ['WORKFLOW', ({ workflowId }) => workflowId],
  ]),
  finding: listing<FindingRow>('MONITOR', (monitor) => `/monitors/${monitor}/findings`, [
    ['WINDOW', ({ window }) => moment(window.start)],
    ['VERSION', ({ version }) => version],
    ['TEST', ({ test }) => test],
    ['SUBJECT', ({ subject }) => subject],
    ['VALUE', ({ value }) => figure(value)],
    ['LIMIT', ({ threshold }) => figure(threshold)],
    ['', ({ breached }) => (breached ? 'breached' : '')],
  ]),
  alert: listing<AlertRow>('MONITOR', (monitor) => `/monitors/${monitor}/alerts`, [
    ['ALERT', ({ id }) => id],
    ['STATUS', ({ status }) => status],
    ['OPENED', ({ openedAsOf }) => moment(openedAsOf)],
    ['RESOLVED', ({ resolvedAsOf }) => moment(resolvedAsOf)],
    ['REASON', ({ reasons }) => reasons[0]],
  ]),
};

/** What can be listed beside the kinds of resources. */
export const listingNames = [
  'projects',
  'datasets',
  'runs',
  'workflows',
  'versions',
  'aliases',
  'windows',
  'expectations',
  'quarantine',
  'statistics',
  'snapshots',
  'generations',
  'verifications',
  'erasures',
  'ticks',
  'findings',
  'alerts',
];

export const findListing = (text: string): Listing | null => listings[plainName(text)] ?? null;

export const resourceListing = (kind: Kind): Listing =>
  listings[plainName(kind)] ?? listing<Revision>(null, () => `/resources?kind=${kind}`, resourceColumns);

/** Metrics of candidate and champion side by side, as a person compares them. */
export interface Comparison {
  readonly metric: string;
  readonly candidate: number | null;
  readonly champion: number | null;
}

export function compared(candidate: Evaluated, champion: Evaluated | null): Comparison[] {
  return Object.entries(candidate.overall).map(([metric, value]) => ({
    metric,
    candidate: value as number | null,
    champion: (champion?.overall as Record<string, number | null> | undefined)?.[metric] ?? null,
  }));
}
