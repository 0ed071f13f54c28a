import { workflowIds, type ProjectName, type ResourceName } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { DatasetSpec, relabelled, type DatasetManifest } from '../../domain/datasets.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { getTrainingSet } from '../../store/datasets.js';
import { putLabels } from '../../store/labels.js';
import { tables } from '../../store/tables.js';
import { withWorld, type World } from '../support/world.js';

/** Training sets of anybody's asking, over two views with different keys and one without, on real engines. */

let world: World;
const project = 'sets' as ProjectName;
/** Of the test's own training set. */
let name: string;
let tests = 0;
beforeAll(async () => {
  world = await withWorld();
  await world.write('prices.parquet', pricesSql);
  await world.write('asked.parquet', askedSql);
  await world.apply(resources(), project);
  for (const view of ['price', 'pair', 'market', 'spot'])
    await world.run('materializeView', `m/${project}/${view}`, {
      ...{ project, view, revision: 1, principal: 'ann', start: instant('2001-01-01'), end: instant('2001-01-11') },
    });
}, 120_000);
afterAll(() => world.close());
beforeEach(() => void (name = `set${++tests}`));

/** Ten days of prices of five shops and two goods, known an hour late; one row was corrected two days later. */
const pricesSql = `
  SELECT TIMESTAMP '2001-01-01' + to_hours((i * 5)::INTEGER) AS "at", TIMESTAMP '2001-01-01' + to_hours((i * 5 + 1)::INTEGER) AS known,
    's' || (i % 5) AS shop, i % 2 AS good, (i * 1.5)::DOUBLE AS price FROM range(48) t(i)
  UNION ALL SELECT TIMESTAMP '2001-01-01 00:00:00', TIMESTAMP '2001-01-03', 's0', 0, 1000.0`;
/** Rows out of order, one of them twice, with columns that mean nothing to us. */
const askedSql = `
  SELECT * FROM (VALUES
    (7, TIMESTAMP '2001-01-05 12:00:00', 's1', 's2', 0::BIGINT, true, 'ü'),
    (1, TIMESTAMP '2001-01-01 02:00:00', 's0', 's1', 0, false, NULL),
    (3, TIMESTAMP '2001-01-09 12:00:00', 's0', 's0', 0, NULL, 'x'),
    (1, TIMESTAMP '2001-01-01 02:00:00', 's0', 's1', 0, false, NULL),
    (9, TIMESTAMP '2001-01-07 00:00:00', NULL, 's4', 1, true, ''),
    (8, TIMESTAMP '2001-01-08 00:00:00', 's3', 's3', 1, false, '')) v(id, asked, shop, rival, good, bought, note)`;

const resources = (): Resource[] =>
  [
    { kind: 'Source', name: 'prices', spec: { path: `${world.home}/data/prices.parquet`, eventTime: 'at', knownAt: 'known' } }, // prettier-ignore
    { kind: 'Source', name: 'asked', spec: { path: `${world.home}/data/asked.parquet`, eventTime: 'asked' } },
    { kind: 'Entity', name: 'shop', spec: { keys: [{ name: 'shop', type: 'VARCHAR' }] } },
    { kind: 'Entity', name: 'shop_good', spec: { keys: [{ name: 'shop', type: 'VARCHAR' }, { name: 'good', type: 'BIGINT' }] } }, // prettier-ignore
    { kind: 'Entity', name: 'spot', spec: { keys: [{ name: 'place', type: 'VARCHAR' }] } },
    view('spot', 'spot', 'SELECT shop AS place, "at" AS event_time, known_at, price FROM prices'),
    view('price', 'shop', 'SELECT shop, "at" AS event_time, known_at, price FROM prices'),
    view('pair', 'shop_good', 'SELECT shop, good, "at" AS event_time, known_at, price FROM prices'),
    view('market', undefined, 'SELECT "at" AS event_time, known_at, price FROM prices'),
    { kind: 'FeatureService', name: 'basket', spec: { features: ['price:price', 'rival:price'], joins: [{ name: 'rival', view: 'price', keys: { shop: 'rival' } }] } }, // prettier-ignore
  ].map((one) => Resource.parse(one));

const view = (name: string, entity: string | undefined, sql: string) => ({
  ...{ kind: 'FeatureView', name },
  spec: { entity, sources: ['prices'], sql, knownAt: 'known_at', lookback: '0s', features: [{ name: 'price', type: 'DOUBLE' }] }, // prettier-ignore
});

const sql = { from: 'sql', sources: ['asked'], sql: 'SELECT * EXCLUDE (known_at) FROM asked' };
const spec = (more: object = {}): DatasetSpec =>
  DatasetSpec.parse({ name, spine: sql, eventTime: 'asked', features: ['price:price'], ...more });
const build = async (more: object = {}): Promise<DatasetManifest> => {
  const asked = spec(more);
  const input = { project, spec: asked, principal: 'ann' };
  await world.run('buildDataset', workflowIds.dataset(project, asked.name), input);
  return getTrainingSet(world.db, project, asked.name);
};
const refused = async (more: object) =>
  world.failure('buildDataset', `refused/${name}`, { project, spec: spec(more), principal: 'ann' });
async function rowsOf<Row extends object>(of = name): Promise<Row[]> {
  const [file] = (await tables(world.db).resolve(project, 'datasets', of)).files;
  return world.query(`SELECT * FROM read_parquet('${world.lake.path(file?.key ?? '')}')`);
}

describe('spines', () => {
  test.each<[string, () => object]>([
    ['SQL over declared sources', () => ({})],
    ['a Parquet file', () => ({ spine: { from: 'parquet', path: `${world.home}/data/asked.parquet` } })],
  ])('%s: rows come out as they went in, in their order, twice if they were there twice', async (_, more) => {
    await build(more());
    const asked = await world.query<object>(askedSql);
    const rows = await rowsOf<{ price__price: number | null }>();
    expect(rows.map(({ price__price: _price, ...row }) => row)).toEqual(asked);
    expect(rows[1]).toEqual(rows[3]);
    expect(rows.map((row) => row.price__price !== null)).toEqual([true, true, true, true, false, true]);
  });

  test('a grid has every key of a view at every step', async () => {
    const grid = { from: 'grid', keys: { view: 'pair' }, start: '2001-01-02', end: '2001-01-04', step: '12h' };
    const { rows, tables: pinned } = await build({ spine: grid, eventTime: 'asked', features: ['pair:price'] });
    expect(rows).toEqual({ all: 10 * 4 });
    expect(pinned).toMatchObject([{ schema: 'features', name: 'pair' }]);
    const found = await rowsOf<{ shop: string; good: string; asked: string }>();
    expect(found.slice(0, 5).map(({ shop, good, asked }) => [shop, good, asked])).toEqual([
      ...['2001-01-02 00:00:00', '2001-01-02 12:00:00', '2001-01-03 00:00:00', '2001-01-03 12:00:00'].map((at) => ['s0', '0', at]), // prettier-ignore
      ['s0', '1', '2001-01-02 00:00:00'],
    ]);
  });

  test('a grid of keys that are named has the entity’s types', async () => {
    const keys = { entity: 'shop_good', rows: [{ shop: 's3', good: 1 }, { shop: 's0', good: 0 }] }; // prettier-ignore
    const grid = { from: 'grid', keys, start: '2001-01-09', end: '2001-01-10', step: '1d' };
    const { columns } = await build({ spine: grid, features: ['pair:price'] });
    expect(columns.map(({ type }) => type)).toEqual(['VARCHAR', 'BIGINT', 'TIMESTAMP', 'DOUBLE']);
    expect((await rowsOf<{ shop: string }>()).map(({ shop }) => shop)).toEqual(['s3', 's0']);
  });

  test.each([
    ['of a view', { view: 'spot' }, ['s0', 's1', 's2', 's3', 's4']],
    ['that are named', { entity: 'spot', rows: [{ place: 's3' }, { place: 's0' }] }, ['s3', 's0']],
  ])('a grid of keys %s keeps a key whatever it is called', async (_, keys, places) => {
    const grid = { from: 'grid', keys, start: '2001-01-09', end: '2001-01-10', step: '1d' };
    await build({ spine: grid, features: ['spot:price'] });
    expect((await rowsOf<{ place: string }>()).map(({ place }) => place)).toEqual(places);
  });

  test.each<[string, object, string]>([
    ['no such event time', { eventTime: 'nothing' }, 'spine_invalid'],
    ['an event time that is no instant', { eventTime: 'shop' }, 'spine_invalid'],
    ['a key that is not there', { key: ['nothing'] }, 'spine_invalid'],
    ['a file outside of the roots', { spine: { from: 'parquet', path: '/etc/passwd' } }, 'path_not_allowed'],
    ['SQL that is no SELECT', { spine: { ...sql, sql: 'DROP TABLE asked' } }, 'sql_invalid'],
    ['SQL that changes from run to run', { spine: { ...sql, sql: 'SELECT *, random() AS r FROM asked' } }, 'sql_not_deterministic'],
    ['a column that a feature is called too', { spine: { ...sql, sql: 'SELECT *, 1 AS price__price FROM asked' } }, 'feature_names_collide'],
    ['no rows', { window: { start: '2002-01-01', end: '2002-01-02' } }, 'training_set_empty'],
    ['a feature that is not there', { features: ['price:nothing'] }, 'reference_unknown'],
    ['an upload that nobody sent', { spine: { from: 'upload', spine: 'f'.repeat(64) } }, 'spine_unknown'],
    ['too many steps', { spine: { from: 'grid', keys: { view: 'pair' }, start: '2001-01-01', end: '2002-01-01', step: '1us' } }, 'request_too_large'],
  ])('%s: refused', async (_, more, code) => expect((await refused(more)).code).toBe(code)); // prettier-ignore
});

describe('features', () => {
  test('of several views, under other names, by composite keys, of no entity and of a service', async () => {
    const { views, inputs, spec: kept } = await build({ service: 'basket', features: ['pair:price', 'market:price'] });
    expect(views.map(({ name, view: of, bitemporal }) => [name, of, bitemporal])).toEqual([
      ['price', 'price', true],
      ['rival', 'price', true],
      ['pair', 'pair', true],
      ['market', 'market', true],
    ]);
    expect(inputs.slice(-4)).toEqual(['price__price', 'rival__price', 'pair__price', 'market__price']);
    expect(kept.features).toEqual(['price:price', 'rival:price', 'pair:price', 'market:price']);
    const [row] = await rowsOf<Record<string, unknown>>();
    // The rows of s1, of s2 and of s1 with an even good whose known-at is not after 2001-01-05 12:00.
    expect([row?.price__price, row?.rival__price, row?.pair__price, row?.market__price]).toEqual([
      31.5, 25.5, 24, 31.5,
    ]);
  });

  test('as known, as true, and as Feast has it; a correction rewrites history only where the mode says so', async () => {
    const first = async (mode: string) => {
      const { views } = await build({ name: mode, mode });
      return [(await rowsOf<{ price__price: number }>(mode))[1]?.price__price, views[0]?.bitemporal];
    };
    expect(await first('known_at')).toEqual([0, true]);
    expect(await first('event_time')).toEqual([1000, false]);
    expect(await first('feast')).toEqual([1000, false]);
  });

  test('nothing that became known after asOf is used, whatever the rows’ own instants', async () => {
    await build({ asOf: '2001-01-01T01:30:00Z' });
    const rows = await rowsOf<{ shop: string | null; price__price: number | null }>();
    expect(rows.filter(({ price__price }) => price__price !== null).map(({ shop }) => shop)).toEqual([
      's0',
      's0',
      's0',
    ]);
    expect(new Set(rows.map(({ price__price }) => price__price))).toEqual(new Set([null, 0]));
  });
});

describe('one training set', () => {
  test('is recorded once under its name, and another one of this name is refused', async () => {
    const first = await build();
    expect(await build()).toEqual(first);
    expect((await refused({ features: [] })).code).toBe('dataset_exists');
  });

  test('says all that it was made of', async () => {
    const manifest = await build({ key: ['id'], label: { column: 'bought' } });
    expect(manifest).toMatchObject({
      ...{ name, model: null, label: 'bought', key: ['id'], rows: { all: 6 }, positives: { all: 2 } },
      sources: [{ name: 'asked', revision: 1, version: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      views: [{ view: 'price', revision: 1, snapshot: expect.any(Number), sequence: null }],
      window: { start: instant('2001-01-01T02:00:00Z'), end: instant('2001-01-09T12:00:00.000001Z') },
      ...{ rowHash: expect.stringMatching(/^[0-9a-f]{64}$/), spineHash: expect.stringMatching(/^[0-9a-f]{64}$/) },
      ...{ sha256: expect.stringMatching(/^[0-9a-f]{64}$/), engine: expect.stringMatching(/^duckdb v/) },
    });
    const lineage = await world.db.query<{ from: string }>('SELECT from_kind || from_id AS from FROM lineage WHERE project = $1 AND to_id = $2', [project, name]); // prettier-ignore
    expect(lineage.map(({ from }) => from).sort()).toEqual([
      `snapshotfeatures/price@r1@s${manifest.views[0]?.snapshot}`,
      'sourceasked@r1',
    ]);
  });

  test('counts what its columns hold', async () => {
    const { statistics } = await build();
    const of = (column: string) => statistics.find((one) => one.column === column);
    expect(of('price__price')).toMatchObject({ rows: 6, nulls: 1, nan: 0, min: 0 });
    expect(of('shop')).toMatchObject({ rows: 6, nulls: 1, values: { s0: 3, s1: 1, s3: 1 } });
  });
});

describe('labels', () => {
  const label = { column: 'bought', knownAt: 'asked', unknown: 'keep' };
  const upload = (of: { dataset: string }, id: number, value: boolean, known: string) =>
    putLabels(world.db, project, of, [{ key: { id }, label: value, knownAt: instant(known) }], anonymous);
  const bought = async (name: string) => (await rowsOf<{ bought: boolean | null }>(name)).map((row) => row.bought);

  test('that are not known yet are NULL, or their rows are left out', async () => {
    const asOf = '2001-01-07T12:00:00Z';
    await build({ key: ['id'], label, asOf });
    expect(await bought(name)).toEqual([true, false, null, false, true, null]);
    expect((await build({ name: 'known', key: ['id'], label: { ...label, unknown: 'drop' }, asOf })).rows).toEqual({ all: 4 }); // prettier-ignore
  });

  test('may come later: the set stays, and another one has them, with the same features and a link', async () => {
    const spine = { ...sql, sql: 'SELECT * EXCLUDE (known_at, bought) FROM asked' };
    const first = await build({ spine, key: ['id'], label: { column: 'bought' }, split: { by: 'time', parts: [{ name: 'test', from: '3d' }] } }); // prettier-ignore
    expect(await bought(name)).toEqual([null, null, null, null, null, null]);
    await upload({ dataset: name }, 1, true, '2001-02-01');
    await upload({ dataset: name }, 1, false, '2001-03-01');
    await upload({ dataset: name }, 3, true, '2001-03-01');
    const relabel = async (other: string, asOf: string) => build(relabelled(first, { name: other as ResourceName, asOf: instant(asOf) })); // prettier-ignore
    const february = await relabel('february', '2001-02-02');
    expect(await bought('february')).toEqual([null, true, null, true, null, null]);
    expect(february).toMatchObject({ relabels: name, labels: { used: 2 }, rows: first.rows });
    await relabel('march', '2001-03-02');
    expect(await bought('march')).toEqual([null, false, true, false, null, null]);
    const without = async (name: string) => (await rowsOf<{ bought: unknown }>(name)).map(({ bought: _, ...row }) => row); // prettier-ignore
    expect(await without('march')).toEqual(await without(name));
    expect(await getTrainingSet(world.db, project, name)).toEqual(first);
  });

  test('nor when no key divided it and its spine has many columns, of any names: the manifest’s declaration is one still', async () => {
    const split = { by: 'random', parts: [{ name: 'train', share: 0.5 }, { name: 'test', share: 0.5 }] }; // prettier-ignore
    const more = Array.from({ length: 20 }, (_, at) => `hash(known_at, ${at}) AS "c ${at}"`);
    const spine = { from: 'sql', sources: ['prices'], sql: `SELECT "at" AS asked, shop, price > 5 AS bought, ${more.join(', ')} FROM prices` }; // prettier-ignore
    const first = await build({ spine, split });
    expect(DatasetSpec.parse(first.spec).split).toMatchObject({ key: { length: 23 } });
    await build(relabelled(first, { name: `${name}_again` as ResourceName }));
    const rows = await rowsOf<{ split: string }>();
    expect(new Set(rows.map((row) => row.split)).size).toBe(2);
    expect(await rowsOf(`${name}_again`)).toEqual(rows);
  });

  test('do not move a row to another part, whatever divided the set', async () => {
    const split = { by: 'random', parts: [{ name: 'train', share: 0.5 }, { name: 'test', share: 0.5 }] }; // prettier-ignore
    const spine = { from: 'sql', sources: ['prices'], sql: 'SELECT "at" AS asked, shop, price > 5 AS bought FROM prices' }; // prettier-ignore
    const first = await build({ spine, split });
    await build(relabelled(first, { name: `${name}_again` as ResourceName }));
    const rows = await rowsOf<{ split: string }>();
    expect(new Set(rows.map((row) => row.split)).size).toBe(2);
    expect(await rowsOf(`${name}_again`)).toEqual(rows);
  });

  test.each(['INTEGER', 'DOUBLE', 'DECIMAL(9,2)'])(
    'find their row by the values of its key, %s and TIMESTAMP, however they were written',
    async (type) => {
      const put = (id: number | string, asked: string, value: boolean, known: string) =>
        putLabels(world.db, project, { dataset: name }, [{ key: { id, asked }, label: value, knownAt: instant(known) }], anonymous); // prettier-ignore
      await put(7, '2001-01-05 12:00:00', true, '2001-02-01');
      await put('7', '2001-01-05T14:00:00+02:00', false, '2001-03-01');
      await put('3.0', '2001-01-09T12:00:00Z', true, '2001-02-01');
      // Of no row: another number, no number, and no instant.
      await put(8.004, '2001-01-08 00:00:00', true, '2001-02-01');
      await put('nine', '2001-01-07 00:00:00', false, '2001-02-01');
      await put(9, 'later', false, '2001-02-01');
      const spine = { ...sql, sql: `SELECT * REPLACE (id::${type} AS id) FROM asked` };
      const set = await build({ spine, key: ['id', 'asked'], label: { column: 'bought' } });
      expect(await bought(name)).toEqual([false, false, true, false, true, false]);
      expect(set).toMatchObject({ rows: { all: 6 }, labels: { used: 2 } });
    },
  );

  test('of many uploads are all taken', async () => {
    const many = Array.from({ length: 10_001 }, (_, id) => ({ key: { id }, label: id === 9, knownAt: instant('2001-02-01') })); // prettier-ignore
    await putLabels(world.db, project, { dataset: name }, many, anonymous);
    await build({ key: ['id'], label: { column: 'bought' } });
    expect(await bought(name)).toEqual([false, false, false, false, true, false]);
  });
});
