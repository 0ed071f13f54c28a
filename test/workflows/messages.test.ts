import { DatasetSpec } from '../../domain/datasets.js';
import { sha256 } from '../../domain/json.js';
import { defaultProject as project } from '../../domain/ids.js';
import { runIdOf } from '../../domain/training.js';
import type * as workflows from '../../workflows/index.js';
import { dayOf, eventResources } from '../support/events.js';

/** What goes to a workflow and comes back is JSON: nothing is lost between TypeScript, Temporal and the API. */

type Workflows = typeof workflows;
type Examples = {
  readonly [Name in keyof Workflows]: readonly [
    input: Parameters<Workflows[Name]>[0],
    output: Awaited<ReturnType<Workflows[Name]>>,
  ];
};

const asOf = dayOf(15);
const principal = 'ann';
const run = { project, model: 'risk', revision: 1, asOf };
const window = { start: dayOf(8), end: asOf };
const verdict = { verdict: 'promote', reasons: ['log_loss 0.35 is not above 0.36'] } as const;

const examples: Examples = {
  checkResources: [
    { project, resources: eventResources({ path: '/data/events.parquet' }) },
    [{ kind: 'Source', name: 'events', field: 'spec.path', code: 'source_missing', detail: 'It does not exist.' }],
  ],
  materializeView: [
    { project, view: 'place_day', revision: 1, ...window, principal },
    {
      windows: 7,
      committed: 2,
      unchanged: 5,
      rows: 8,
      bytes: 900,
      quarantined: 0,
      snapshot: 9,
      reason: '2 reached by changed rows',
    },
  ],
  refreshView: [
    { project, view: 'place_day', revision: 1, start: null, end: asOf, principal },
    { view: 'place_day', revision: 1, start: dayOf(1), end: asOf, materialized: null, published: null },
  ],
  readQuarantine: [
    { project, view: 'place_day', revision: 1, limit: 10, start: asOf },
    { rows: [{ place: 'place-1', mean: null, reasons: 'not_null(mean)' }], total: 1 },
  ],
  buildDataset: [
    {
      spec: DatasetSpec.parse({
        ...{ name: 'places', spine: { from: 'upload', spine: sha256('upload') }, features: ['place_day:mean'], asOf },
        label: { column: 'happened', knownAt: 'known_at' },
        split: { by: 'random', parts: [{ name: 'train', share: 0.5 }, { name: 'test', share: 0.5 }] }, // prettier-ignore
      }),
      ...{ project, principal },
    },
    { name: 'places', rows: 7, rowHash: sha256('rows') },
  ],
  verifyDataset: [
    { project, name: 'places', principal },
    {
      ...{ name: 'places', verdict: 'damaged', rowHash: { recorded: sha256('rows'), found: null } },
      damage: [{ file: 'eider/datasets/places/rows/1.parquet', rowGroup: 0, column: 'mean', detail: 'It changed.' }],
      reasons: ['It changed.', 'Its rows cannot be read.'],
    },
  ],
  recreateDataset: [
    { project, name: 'places', principal },
    {
      ...{ name: 'places', verdict: 'gone', rowHash: { recorded: sha256('rows'), found: null }, spine: null },
      reasons: ['features/place_day@r1@s3 is gone.'],
    },
  ],
  takeSpine: [
    { project, spine: sha256('upload'), form: 'stream', principal },
    { spine: sha256('upload'), rows: 3, columns: [{ name: 'place', type: 'VARCHAR' }] },
  ],
  explainValue: [
    { project, view: 'place_day', revision: 1, feature: 'mean', key: { place: 'place-1' }, at: asOf },
    {
      ...{ view: 'place_day', revision: 1, definition: sha256('view'), feature: 'mean', type: 'DOUBLE', snapshot: 9 },
      ...{ key: { place: 'place-1' }, at: asOf, value: null, status: 'NOT_FOUND', bitemporal: false, winner: null },
      ...{
        ttl: { declared: '3d', state: 'no value', until: null },
        origin: null,
        push: null,
        missing: [],
        sources: [],
      },
      ...{ sourcesState: null, others: [], online: null },
      counts: { won: 0, future: 0, not_yet_known: 0, older: 0, known_earlier: 0, replaced: 0, tie: 0 },
    },
  ],
  publishView: [
    { project, view: 'place_day', revision: 1, asOf, principal },
    {
      ...{ view: 'place_day', revision: 1, generation: 2, snapshot: 9, watermark: asOf, rows: 4 },
      ...{ rowHash: sha256('rows'), replayed: 1, before: 1, left: 2 },
      handedOver: [{ revision: 3, snapshot: 5, rows: 0, left: 2, why: 'it has no feature "mean"' }],
    },
  ],
  flushPushes: [
    { project, view: 'place_day', principal },
    { rows: 3, windows: 2, snapshot: 11 },
  ],
  verifyOnline: [
    { project, view: 'place_day', sample: 100, seed: 1, repair: false, principal },
    {
      ...{ id: 'report', view: 'place_day', revision: 1, generation: 2, snapshot: 9, watermark: asOf, sequence: 3 },
      ...{ sample: 100, seed: 1, compared: 4, bucketsDiffering: 1, differing: 1, repaired: 0 },
      counts: { missing_online: 0, missing_offline: 0, stale: 1, ahead: 0, values_differ: 0 },
    },
  ],
  compactTable: [
    { project, schema: 'features', name: 'place_day', revision: 1, principal },
    { filesBefore: 20, filesAfter: 1, written: 1, rows: 76, bytes: 900, reason: '1 files written' },
  ],
  eraseEntity: [
    { project, erasure: '1b4e28ba-2fa1-4d2b-883f-0016d3cca427', principal },
    { erasure: '1b4e28ba-2fa1-4d2b-883f-0016d3cca427', sha256: sha256('certificate'), files: 20, tables: 2 },
  ],
  collectGarbage: [
    { project, keep: '30d', dryRun: false, principal },
    {
      ...{ dryRun: false, keep: '30d', before: asOf, pushedRows: 0 },
      ...{ snapshots: { files: 2, bytes: 900 }, compactions: { files: 0, bytes: 0 } },
      ...{ orphans: { files: 0, bytes: 0 }, scratch: { files: 0, bytes: 0 } },
      kept: [{ reason: 'lease', holder: 'stream/1', snapshot: 'features/place_day@r1@s9', files: 1, bytes: 450 }],
    },
  ],
  buildTrainingSet: [
    { ...run, principal },
    { name: 'risk_r1_20010115', rowHash: sha256('rows'), rows: 1396 },
  ],
  trainModel: [
    { ...run, trigger: { kind: 'alert', monitor: 'weekly', alert: 'weekly/2001-02-12' }, principal },
    { ...verdict, run: runIdOf(run), trainingSet: 'risk_r1_20010115', version: 2, rollout: null },
  ],
  evaluateRun: [
    { project, run: runIdOf(run), model: 'risk', principal },
    { ...verdict, endpoint: null },
  ],
  deployVersion: [
    { project, endpoint: 'risk', model: 'risk', version: 1, asOf, reason: 'better', principal },
    { rollout: 'deploy/eider/risk/v1/2001-01-15T00:00:00Z', version: 1, generation: 1, instances: 2 },
  ],
  scoreWindow: [
    { project, endpoint: 'risk', ...window, asOf, once: true, principal },
    { version: 1, rows: 700, snapshot: 3, rowHash: sha256('rows') },
  ],
  commitInferenceLog: [
    { project, endpoint: 'risk', ...window, principal },
    { table: 'risk_log', windows: 7, committed: 7, rows: 700 },
  ],
  monitorTick: [
    { project, monitor: 'weekly', asOf, principal },
    {
      ...{ asOf, version: 1, rows: 700, judged: [dayOf(1)], breached: true, reasons: ['psi of a 0.31 is above 0.2'] },
      ...{ alert: 'weekly/2001-01-15', retraining: 'train/eider/risk@r1/2001-01-15T00:00:00Z' },
    },
  ],
};

test.each(Object.entries(examples))('what goes to %s and comes back survives JSON', (_, [input, output]) => {
  // Strictly: a Date would come back as text, an undefined field would be gone.
  expect(JSON.parse(JSON.stringify(input))).toStrictEqual(plain(input));
  expect(JSON.parse(JSON.stringify(output))).toStrictEqual(output);
});

/** zod leaves optional fields of a resource as undefined; that they are gone afterwards is their meaning. */
const plain = (input: unknown): unknown =>
  typeof input === 'object' && input !== null && 'resources' in input ? JSON.parse(JSON.stringify(input)) : input;
