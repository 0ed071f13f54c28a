import { Readable } from 'node:stream';
import { instant } from '../../domain/instants.js';
import type { Instant, ProjectName } from '../../domain/ids.js';
import type { PushedRow, PushTarget } from '../../domain/online.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { flipGeneration, loadGeneration, planGeneration } from '../../store/online-publish.js';
import { shapeOf } from '../../store/online-shapes.js';
import { pushRows } from '../../store/pushes.js';
import { applyResources, createProject, getResource } from '../../store/resources.js';

/** A view of every type that can be online, with a key of two columns, and one without keys. */
export const types = {
  flag: 'BOOLEAN',
  tiny: 'TINYINT',
  big: 'BIGINT',
  ratio: 'FLOAT',
  amount: 'DOUBLE',
  label: 'VARCHAR',
  day: 'DATE',
  seen: 'TIMESTAMP',
} as const;
export const day = (text: string): Instant => instant(`2001-01-${text}`);

export function onlineResources(): Resource[] {
  const view = { sources: ['rows'], sql: 'SELECT 1', eventTime: 'at', lookback: '0d' };
  const features = Object.entries(types).map(([name, type]) => ({ name, type }));
  return [
    { kind: 'Source', name: 'rows', spec: { path: '/data/rows.parquet', eventTime: 'at' } },
    { kind: 'Entity', name: 'seat', spec: { keys: [{ name: 'row', type: 'INTEGER' }, { name: 'letter', type: 'VARCHAR' }] } }, // prettier-ignore
    { kind: 'FeatureView', name: 'seats', spec: { ...view, entity: 'seat', knownAt: 'noted', ttl: '1d', features } },
    { kind: 'FeatureView', name: 'weather', spec: { ...view, features: [{ name: 'rain', type: 'DOUBLE' }] } },
    { kind: 'FeatureService', name: 'cabin', spec: { features: ['seats:amount', 'other:label', 'weather:rain'], joins: [{ name: 'other', view: 'seats', keys: { letter: 'neighbour' } }] } }, // prettier-ignore
  ].map((one) => Resource.parse(one));
}

export async function onlineProject(db: Database, project: ProjectName): Promise<void> {
  await createProject(db, project, anonymous);
  await applyResources(db, project, onlineResources(), anonymous);
}

export const nothing = Object.fromEntries(Object.keys(types).map((name) => [name, null])) as PushedRow;
export const seat = (letter: string, at: Instant, values: PushedRow = {}): PushedRow => ({
  ...{ ...nothing, row: 1, letter, at, noted: null, ...values },
});

let pushes = 0;
export const push = (
  db: Database,
  project: ProjectName,
  rows: readonly PushedRow[],
  { view = 'seats', to = 'online_and_offline', id = `push-${++pushes}` }: { view?: string; to?: PushTarget; id?: string } = {}, // prettier-ignore
) => pushRows(db, { project, view, rows, to, id }, anonymous);

export interface LoadedRow {
  readonly letter: string;
  readonly at: Instant;
  readonly amount: number;
}

/** Publishes these seats without a lake, as the steps of the workflow do: returns what the flip said. */
export async function publishRows(
  db: Database,
  project: ProjectName,
  rows: readonly LoadedRow[],
  madeBy = `publish-${++pushes}`,
) {
  const view = await getResource(db, project, 'FeatureView', 'seats');
  const planned = await planGeneration(db, {
    ...{ project, view: 'seats', revision: view.revision, shape: await shapeOf(db, project, view) },
    ...{ snapshot: 1, watermark: day('31'), madeBy, workflowId: madeBy, principal: anonymous },
  });
  await loadGeneration(
    db,
    planned.id,
    async () => 'hash',
    () => Readable.from(rows.map(lineOf)),
  );
  return flipGeneration(db, project, planned.id, anonymous);
}

function lineOf({ letter, at, amount }: LoadedRow): string {
  const features = JSON.stringify(Object.keys(types).map((name) => (name === 'amount' ? amount : null)));
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  return `${quoted(JSON.stringify([1, letter]))},${at},${at},0,${quoted(features)}\n`;
}
