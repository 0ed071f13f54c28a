import type { JoinCatalogue } from '../domain/joins.js';
import type { Instant } from '../domain/ids.js';
import type { Revision } from '../domain/resources.js';
import type { TableRef } from '../domain/tables.js';
import type { Database } from './db.js';
import { promiseSnapshots } from './leases.js';
import { shapeOf } from './online-shapes.js';
import { onlineView } from './online.js';
import { getResource, listResources } from './resources.js';
import { isDistinct, windowHeads } from './snapshots.js';
import { copyPushedNow, countPushed, type PushedRef } from './staged-rows.js';
import { tables } from './tables.js';
import { windowsAt } from './time-travel.js';

/** Before any instant that a view may hold. */
const beginning = '0001-01-01T00:00:00.000000Z' as Instant;

const pushedRef = ({ project, name, revision }: TableRef): PushedRef => ({ project, view: name, revision });
const beside = ({ snapshot }: TableRef, sequence: number) => ({ kind: 'beside snapshot', snapshot, sequence }) as const;

/** What joins read of the database. */
export const joinCatalogue = (db: Database): JoinCatalogue => ({
  tables: tables(db),
  view: (project, name, revision) => getResource(db, project, 'FeatureView', name, revision),
  service: (project, name) => getResource(db, project, 'FeatureService', name),
  views: async (project) => (await listResources(db, project, 'FeatureView')) as Revision<'FeatureView'>[],
  services: async (project) => (await listResources(db, project, 'FeatureService')) as Revision<'FeatureService'>[],
  shape: (project, view) => shapeOf(db, project, view),
  windows: (table, before) =>
    before === 'then'
      ? windowsAt(db, table, table.snapshot)
      : windowHeads(db, table, { start: beginning, end: before }),
  isDistinct: (table) => isDistinct(db, table, table.snapshot),
  promise: (table, forMs) => promiseSnapshots(db, [table], forMs, 'joins'),
  lastPushed: async (project, view) => (await onlineView(db, project, view)).sequence,
  hasPushed: async (table, sequence) => (await countPushed(db, pushedRef(table), beside(table, sequence))) > 0,
  copyPushed: (table, sequence, rows) => copyPushedNow(db, pushedRef(table), beside(table, sequence), rows),
});
