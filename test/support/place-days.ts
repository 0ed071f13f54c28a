import { readdir } from 'node:fs/promises';
import type { Materialized, MaterializeView } from '../../domain/features.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { getResource } from '../../store/resources.js';
import { ledger, type TableRef } from '../../store/snapshots.js';
import { tables } from '../../store/tables.js';
import { dayOf, eventResources, eventsSql, type EventResources } from './events.js';
import { withWorld, type World } from './world.js';

export const days = 20;
export const range = { start: dayOf(1), end: dayOf(days + 1) };

/** Changes from test to test, so it is read when it is used. */
export interface PlaceDays {
  world: World;
  path: string;
  /** Each test has a project of its own. */
  project: ProjectName;
  table: TableRef;
}

/** The view `place_day` over twenty days of a small file, on PostgreSQL, DuckDB and Temporal. Called once a test file. */
export function placeDays() {
  const here = {} as PlaceDays;
  let tests = 0;
  beforeAll(async () => void (here.world = await withWorld()));
  afterAll(() => here.world.close());
  beforeEach(async () => {
    here.project = `test${++tests}` as ProjectName;
    here.table = { project: here.project, schema: 'features', name: 'place_day', revision: 1 };
    here.path = await here.world.write(`${here.project}.parquet`, eventsSql({ days }));
    await here.world.apply(eventResources({ path: here.path }), here.project);
  });

  const input = (revision = 1): MaterializeView => ({
    ...{ project: here.project, view: 'place_day', revision, principal: 'ann' },
    ...range,
  });
  const workflowId = (revision = 1) =>
    workflowIds.materialize(here.project, 'place_day', revision, range.start, range.end);
  const pinned = (name: string, schema: TableRef['schema'] = 'features') =>
    tables(here.world.db).resolve(here.project, schema, name);
  /** Every row of a table that may be read, in order, by reading the files that it names. */
  const rowsOf = async <Row extends object>(name: string, schema: TableRef['schema'] = 'features'): Promise<Row[]> => {
    const { files } = await pinned(name, schema);
    const list = files.map(({ key }) => `'${here.world.lake.path(key)}'`).join(', ');
    return here.world.query<Row>(`SELECT * FROM read_parquet([${list}]) ORDER BY ALL`);
  };

  return {
    here,
    ...{ input, workflowId, pinned, rowsOf },
    materialize: (revision = 1): Promise<Materialized> =>
      here.world.run('materializeView', workflowId(revision), input(revision)),
    fails: (revision = 1) => here.world.failure('materializeView', workflowId(revision), input(revision)),
    /** Writes the file anew, with another amount in each row. */
    change: (sql: string) => here.world.write(`${here.project}.parquet`, eventsSql({ days, change: sql })),
    commits: (revision = 1) => ledger(here.world.db, { ...here.table, revision }, { all: true }),
    /** Declares the view anew; returns its revision. */
    async declare(more: Partial<EventResources>): Promise<number> {
      await here.world.apply(eventResources({ path: here.path, ...more }), here.project);
      return (await getResource(here.world.db, here.project, 'FeatureView', 'place_day')).revision;
    },
    /** Parquet files of the test, committed or not. */
    staged: async () =>
      (await readdir(here.world.lake.root, { recursive: true })).filter(
        (name) => name.startsWith(`${here.project}/`) && name.endsWith('.parquet'),
      ),
  };
}
