import { access, readdir, utimes, writeFile as writeFileText } from 'node:fs/promises';
import { join } from 'node:path';
import { commitStaged } from '../../activities/commits.js';
import { DatasetSpec, type VerifiedDataset } from '../../domain/datasets.js';
import { instant } from '../../domain/instants.js';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import type { PushTarget } from '../../domain/online.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import type { ErasureCertificate } from '../../domain/snapshots.js';
import { quoteText } from '../../lake/duckdb.js';
import { writeFile } from '../../lake/snapshots.js';
import { describe as columnsOf } from '../../lake/sources/index.js';
import { getTrainingSet } from '../../store/datasets.js';
import { getErasure, openErasure } from '../../store/erasures.js';
import { putLabels } from '../../store/labels.js';
import { liveGeneration, listGenerations, tableOf } from '../../store/online.js';
import { pushRows } from '../../store/pushes.js';
import { serving } from '../../store/serving.js';
import { tables } from '../../store/tables.js';
import { withWorld, type World } from '../support/world.js';

/** One key of two columns is erased from every place that may hold it; keys that share one of its values stay everywhere. */

const project = 'places' as ProjectName;
const at = (day: number): Instant => instant(`2001-01-0${day}`);
const [start, end] = [at(1), at(6)];
const asked = instant('2001-01-09');

/** Four shops over five days. One row of the erased one is quarantined, one breaks an expectation that only warns. */
const visits = (more = 0) => `
  SELECT TIMESTAMP '2001-01-01' + to_days(day::INTEGER - 1) AS "at", shop::BIGINT AS shop, region, region || '/' || shop AS note,
    CASE WHEN day = 3 AND region || shop IN ('nowhere4711', 'east2') THEN 100 WHEN day = 4 AND region || shop = 'nowhere4711' THEN NULL ELSE day + ${more} END::DOUBLE AS amount
  FROM (VALUES (4711, 'nowhere'), (4711, 'east'), (1, 'nowhere'), (2, 'east')) s(shop, region), range(1, 6) d(day)`;
const declared = (path: string, ttl: string): Resource[] => {
  const view = { sources: ['visits'], ttl, lookback: '0d', window: '1d' };
  const features = [{ name: 'amount', type: 'DOUBLE' }, { name: 'note', type: 'VARCHAR' }]; // prettier-ignore
  const expectations = [{ test: 'range', column: 'amount', max: 90, severity: 'quarantine' }, { test: 'not_null', column: 'amount', severity: 'warn' }]; // prettier-ignore
  return [
    { kind: 'Source', name: 'visits', spec: { path, eventTime: 'at' } },
    { kind: 'Entity', name: 'store', spec: { keys: [{ name: 'shop', type: 'BIGINT' }, { name: 'region', type: 'VARCHAR' }] } }, // prettier-ignore
    { kind: 'Entity', name: 'area', spec: { keys: [{ name: 'region', type: 'VARCHAR' }] } },
    { kind: 'FeatureView', name: 'store_day', spec: { ...view, features, expectations, entity: 'store', sql: 'SELECT shop, region, "at" AS event_time, amount, note FROM visits' } }, // prettier-ignore
    { kind: 'FeatureView', name: 'area_day', spec: { ...view, entity: 'area', sql: 'SELECT region, "at" AS event_time, count(*) AS shops FROM visits GROUP BY ALL', features: [{ name: 'shops', type: 'BIGINT' }] } }, // prettier-ignore
  ].map((one) => Resource.parse(one));
};

let world: World;
let works = 0;
const materialize = (view: string, revision: number) =>
  world.run('materializeView', `materialize/${++works}`, { ...{ project, view, revision, start, end, principal: 'ann' } }); // prettier-ignore
const build = (name: string, spec: object) =>
  world.run('buildDataset', workflowIds.dataset(project, name), { project, spec: DatasetSpec.parse({ name, ...spec }), principal: 'ann' }); // prettier-ignore
const push = (id: string, to: PushTarget) =>
  pushRows(
    world.db,
    {
      ...{ project, view: 'store_day', to, id },
      rows: [['4711', 'nowhere'], ['2', 'east']].map(([shop, region]) => ({ shop: Number(shop), region, event_time: at(5), amount: 6, note: `${region}/${shop}` })) as never, // prettier-ignore
    },
    anonymous,
  );

/** A table of the schema `inference`, as scoring and the log of an endpoint commit theirs. */
async function predicted(name: string, select: string): Promise<void> {
  await world.engine.session(async (session) => {
    const columns = await columnsOf(session, `(${select})`);
    const writer = { session, objects: world.lake, relation: `(${select})`, columns, orderBy: [], folder: `${project}/inference/${name}` }; // prettier-ignore
    const { prefixHash: _, rowHash, ...file } = await writeFile(writer, '', 'rows');
    await commitStaged(world.db, world.lake, {
      ...{ table: { project, schema: 'inference', name, revision: 1 }, columns, predecessor: null, sourceVersion: '' },
      window: { start, end, files: [file], rows: file.rows, bytes: file.bytes, rowHash, sourceFingerprint: name, durationMs: 0 }, // prettier-ignore
      ...{ workflowId: 'score', principal: anonymous },
    });
  });
}

async function fill(): Promise<void> {
  const path = await world.write('visits.parquet', visits());
  await world.apply(declared(path, '30d'), project);
  await materialize('store_day', 1);
  await world.write('visits.parquet', visits(1));
  await materialize('store_day', 1);
  // Statistics of what was replaced stay when its files are collected.
  await world.run('collectGarbage', 'gc', { project, keep: '0d', dryRun: false, principal: 'ann' });
  await world.run('compactTable', 'compact', { project, schema: 'features', name: 'store_day', revision: 1, principal: 'ann' }); // prettier-ignore
  await materialize('area_day', 1);
  await world.apply(declared(path, '20d'), project);
  await materialize('store_day', 2);
  await push('flushed', 'online_and_offline');
  await world.run('flushPushes', workflowIds.flush(project, 'store_day'), { project, view: 'store_day', principal: 'ann' }); // prettier-ignore
  await world.run('publishView', workflowIds.publish(project, 'store_day'), { project, view: 'store_day', revision: 2, asOf: asked, principal: 'ann' }); // prettier-ignore
  await push('waiting', 'offline');
  const generation = await liveGeneration(world.db, project, 'store_day');
  await world.db.query(`UPDATE ${tableOf(generation?.id ?? 0)} SET features = replace(features, '6', '7')`);
  await world.run('verifyOnline', 'verify', { project, view: 'store_day', seed: 1, repair: false, principal: 'ann' });
  const sql = 'SELECT "at" AS event_time, shop AS origin_shop, region AS origin_region, note FROM visits';
  const spine = { from: 'sql', sources: ['visits'], sql };
  const joins = [{ view: 'store_day', name: 'origin', keys: { shop: 'origin_shop', region: 'origin_region' } }];
  await build('renamed', { spine, features: ['origin:amount'], joins });
  const rows = [{ shop: 4711, region: 'nowhere' }, { shop: 2, region: 'east' }]; // prettier-ignore
  await build('grid', { spine: { from: 'grid', keys: { entity: 'store', rows }, start, end, step: '1d' }, features: ['store_day:amount'] }); // prettier-ignore
  await putLabels(world.db, project, { dataset: 'grid' }, rows.map((key) => ({ key, label: 1, knownAt: asked })), anonymous); // prettier-ignore
  const own = `SELECT shop, region, 0.5 AS prediction FROM (${visits()})`;
  await predicted('risk', own);
  await predicted('risk_renamed', `SELECT shop AS origin_shop, region AS origin_region, prediction FROM (${own})`);
  await predicted('risk_log', `SELECT 'r' AS request_id, json_object('shop', shop, 'region', region)::VARCHAR AS key, prediction FROM (${own})`); // prettier-ignore
  const logged = { project, endpoint: 'risk', version: 1, requestId: 'r', eventTime: asked, loggedAt: asked, inputs: [1], output: 0.5 }; // prettier-ignore
  await serving(world.db).appendLog(rows.map((key, rowIndex) => ({ ...logged, rowIndex, key })));
}

/** The erased key as rows, JSON, sentences and the feature `note` say it. */
const said = String.raw`4711\W{1,8}((origin_)?region\W{1,8})?nowhere|nowhere/4711`;
interface Counted {
  readonly key: number;
  readonly others: number;
}
const inTable = (schema: 'features' | 'quarantine' | 'datasets' | 'inference', name: string) => async () => {
  const { files } = await tables(world.db).resolve(project, schema, name);
  const list = files.map(({ key }) => quoteText(world.lake.path(key))).join(', ');
  const [row] = await world.query<Counted>(
    `SELECT count_if(held)::INTEGER AS key, count_if(NOT held)::INTEGER AS others FROM (SELECT regexp_matches(t::VARCHAR, '${said}') AS held FROM read_parquet([${list}]) t)`,
  );
  return row as Counted;
};
const inRecords =
  (name: string, where = 'true') =>
  async () => {
    const [row] = await world.db.query<Counted>(
      `SELECT count(*) FILTER (WHERE t::text ~ $1) AS key, count(*) FILTER (WHERE t::text !~ $1) AS others FROM ${name} t WHERE project = $2 AND ${where}`,
      [said, project],
    );
    return row as Counted;
  };
const online = async () => {
  const generation = await liveGeneration(world.db, project, 'store_day');
  const rows = await world.db.query<{ key: string }>(`SELECT key FROM ${tableOf(generation?.id ?? 0)}`);
  const key = rows.filter((row) => row.key.includes('4711') && row.key.includes('nowhere')).length;
  return { key, others: rows.length - key };
};

/** Where, how it is counted, rows of the key before, and of others before and after. */
const places: [string, () => Promise<Counted>, number, number][] = [
  ['an old revision of a view, compacted', inTable('features', 'store_day@r1'), 4, 14],
  ['the active revision, with pushed rows that were flushed', inTable('features', 'store_day@r2'), 5, 15],
  ['what an expectation kept aside', inTable('quarantine', 'store_day@r2'), 1, 1],
  ['a view of another entity with one of its columns', inTable('features', 'area_day'), 0, 10],
  ['a training set that joins it by renamed columns', inTable('datasets', 'renamed'), 5, 15],
  ['a training set of a grid', inTable('datasets', 'grid'), 5, 5],
  ['predictions', inTable('inference', 'risk'), 5, 15],
  ['predictions under renamed columns', inTable('inference', 'risk_renamed'), 5, 15],
  ['a committed inference log', inTable('inference', 'risk_log'), 5, 15],
  ['the inference log', inRecords('inference_log'), 1, 1],
  ['labels', inRecords('labels'), 1, 1],
  ['the online store', online, 1, 3],
  ['pushed rows, flushed and waiting', inRecords('pushed_rows'), 2, 2],
];

async function erase(): Promise<ErasureCertificate | undefined> {
  const { id, workflowId } = await openErasure(
    world.db,
    {
      ...{
        project,
        entity: 'store',
        keys: [
          { name: 'shop', type: 'BIGINT' },
          { name: 'region', type: 'VARCHAR' },
        ],
      },
      ...{ values: [4711, 'nowhere'], reason: 'case 4711' },
    },
    anonymous,
  );
  await world.run('eraseEntity', workflowId, { project, erasure: id, principal: 'ann' });
  return (await getErasure(world.db, project, id)).certificate?.certificate;
}

const before = new Map<string, Counted>();
let textsBefore: string[];
let certificate: ErasureCertificate | undefined;
beforeAll(async () => {
  world = await withWorld();
  await fill();
  for (const [where, count] of places) before.set(where, await count());
  textsBefore = await recordsThatSay();
  certificate = await erase();
}, 120_000);
afterAll(() => world.close());

/** Tables of PostgreSQL in which any row says the key. */
async function recordsThatSay(): Promise<string[]> {
  const names = await world.db.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1`,
  );
  const found = [];
  for (const { name } of names) {
    const [row] = await world.db.query<{ n: number }>(`SELECT count(*) AS n FROM ${name} t WHERE t::text ~ $1`, [said]);
    if (row?.n) found.push(name);
  }
  return found;
}

test.each(places)('rows of the key leave %s, and no others', async (where, count, key, others) => {
  expect(before.get(where)).toEqual({ key, others });
  expect(await count()).toEqual({ key: 0, others });
});

test('no file on the disk has a row of the key, whether a table names it or not', async () => {
  const names = (await readdir(join(world.lake.root, project), { recursive: true })).filter((name) => name.endsWith('.parquet')); // prettier-ignore
  const list = names.map((name) => quoteText(join(world.lake.root, project, name)));
  const counts = await Promise.all(
    list.map((file) => world.query<{ n: number }>(`SELECT count(*)::INTEGER AS n FROM read_parquet(${file}) t WHERE regexp_matches(t::VARCHAR, '${said}')`)), // prettier-ignore
  );
  expect(counts.flat().filter(({ n }) => n > 0)).toEqual([]);
});

test('statistics, examples of broken expectations, reports and manifests say it no more', async () => {
  expect(textsBefore).toEqual(
    expect.arrayContaining(['commits', 'expectation_results', 'online_reports', 'training_sets', 'window_statistics']),
  );
  expect(await recordsThatSay()).toEqual([]);
  const [{ left } = { left: 0 }] = await world.db.query<{ left: number }>(
    `SELECT count(*) AS left FROM window_statistics s JOIN commits c ON c.id = s.commit_id WHERE c.project = $1 AND s.statistics::text LIKE '%east/4711%'`,
    [project],
  );
  expect(left).toBeGreaterThan(0);
  expect(certificate?.rows).toMatchObject({ online_reports: 1, grid_keys: 1, pushed: 2, inference_log: 1, labels: 1 });
  expect(certificate?.staged).toEqual({ files: 0, collectableAt: null });
});

test('a training set that lost rows has no statistics, and its verification says why it is smaller', async () => {
  expect((await getTrainingSet(world.db, project, 'renamed')).statistics).toEqual([]);
  const verified = await world.run('verifyDataset', 'verify-set', { project, name: 'renamed', principal: 'ann' });
  expect((verified as VerifiedDataset).verdict).toBe('erased');
});

test('a generation that lost a row has the number that it has now, and no row hash of then', async () => {
  const generations = await listGenerations(world.db, project, 'store_day');
  expect(generations.find(({ status }) => status === 'live')).toMatchObject({ rows: 3, rowHash: null });
});

test('the certificate names the sources, which have the key still, and does not say the key itself', () => {
  expect(certificate?.sources).toEqual(['visits']);
  expect(JSON.stringify(certificate)).not.toMatch(new RegExp(said));
});

test('a staged file of an attempt that may work still is counted with the instant from which it goes, an older one goes at once', async () => {
  const [young, old] = ['young', 'old'].map((name) => `${project}/features/store_day@r2/left/${name}.parquet`) as [string, string]; // prettier-ignore
  for (const key of [young, old])
    await world.query(`COPY (${visits()}) TO ${quoteText(await world.lake.stage(key))} (FORMAT parquet)`);
  await writeFileText(await world.lake.stage(`${project}/features/store_day@r2/left/half.parquet`), 'half a file');
  const days = (number: number) => new Date(Date.now() - number * 86_400_000);
  await utimes(world.lake.path(young), days(8), days(8));
  await utimes(world.lake.path(old), days(10), days(10));
  const again = await erase();
  expect(again?.staged.files).toBe(2);
  // The half of a file was written just now: nine days from here no attempt can work at it.
  expect((again?.staged.collectableAt ?? '') > days(-8).toISOString()).toBe(true);
  expect(await Promise.all([young, old].map((key) => access(world.lake.path(key)).then(() => true, () => false)))).toEqual([true, false]); // prettier-ignore
});
