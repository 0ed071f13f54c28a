import type { DatasetSpec, PinnedRows } from '../domain/datasets.js';
import { DomainError, isDomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { durationMicros, toMicros } from '../domain/instants.js';
import { digestOf } from '../domain/json.js';
import { SourceSpec } from '../domain/resources.js';
import { spineLimits, spineTable, type GridSpine, type Spine } from '../domain/spines.js';
import { splitColumn } from '../domain/splits.js';
import type { PinnedTable } from '../domain/tables.js';
import { interval, quoteName, quoteText, timestamp, typed, type Session } from '../lake/duckdb.js';
import { filesRelation } from '../lake/point-in-time.js';
import { describe, pinSource, stateOf, unreadable, type PinnedSource, type Source } from '../lake/sources/index.js';
import { checkSelect, describeSelect, withSources } from '../lake/sql.js';
import { shapeOf } from '../store/online-shapes.js';
import { getResource } from '../store/resources.js';
import { tables } from '../store/tables.js';
import type { JoinedSpine, Pins, SpineDependencies } from './spine.js';
import { stagedView } from './staged-rows.js';

type SpineRows = Pick<JoinedSpine, 'relation' | 'sources' | 'tables'>;

/** What every kind of spine is read with. */
interface Reading extends SpineDependencies {
  readonly session: Session;
  readonly project: ProjectName;
  readonly pins: Pick<Pins, 'sources' | 'tables'> | undefined;
  readonly systemTime: Instant | undefined;
}

/** The rows of a spine as one relation, wherever it says that they come from; `window` bounds what is read of sources. */
export async function readSpine(
  dependencies: SpineDependencies,
  session: Session,
  project: ProjectName,
  spec: DatasetSpec,
  pins?: Reading['pins'],
): Promise<SpineRows> {
  const rows = await rowsOf({ ...dependencies, session, project, pins, systemTime: spec.systemTime }, spec);
  await requireSpineColumns(session, rows.relation, spec);
  return rows;
}

function rowsOf(reading: Reading, { spine, eventTime, window }: DatasetSpec): Promise<SpineRows> {
  switch (spine.from) {
    case 'sql':
      return sqlRows(reading, spine, window);
    case 'parquet':
      return parquetRows(reading, spine, eventTime);
    case 'upload':
      return uploadedRows(reading, spine);
    case 'grid':
      return gridRows(reading, spine, eventTime);
    case 'dataset':
      return datasetRows(reading, spine);
  }
}

type SpineFrom<From extends Spine['from']> = Extract<Spine, { from: From }>;

async function sqlRows(
  { db, access, session, project, pins }: Reading,
  { sources: names, sql }: SpineFrom<'sql'>,
  window: Window | undefined,
): Promise<SpineRows> {
  await checkSelect(session, sql, names);
  const revisionOf = (name: string) => pins?.sources.find((one) => one.name === name)?.revision;
  const sources: SpineRows['sources'][number][] = [];
  for (const name of names) {
    const source = await getResource(db, project, 'Source', name, revisionOf(name));
    sources.push(await stateBeside(session, await pinSource(session, source, access, window ?? 'everything')));
  }
  const named = sources.map(({ source, pinned }) => ({ name: source.name, relation: pinned.relation(window) }));
  await describeSelect(session, sql, named);
  return { relation: withSources(sql, named), sources, tables: [] };
}

const stateBeside = async (session: Session, pinned: PinnedSource) => ({
  source: pinned.source,
  version: await stateOf(session, pinned),
  pinned,
});

async function parquetRows(
  { access, session }: Reading,
  spine: SpineFrom<'parquet'>,
  eventTime: string,
): Promise<SpineRows> {
  // Files that nobody declared are found, checked and watched like those of a Source.
  const source: Source = {
    ...{ kind: 'Source', name: spine.path, revision: 0, hash: digestOf(spine), createdAt: '', principal: '' },
    spec: SourceSpec.parse({ format: 'parquet', path: spine.path, eventTime }),
  };
  const pinned = await pinSource(session, source, access, 'everything');
  await describe(session, pinned.rows).catch((error: unknown) => {
    throw unreadable(source, error);
  });
  return { relation: pinned.rows, sources: [await stateBeside(session, pinned)], tables: [] };
}

const rowsPin = ({ schema, name, revision, snapshot, rowHash }: PinnedTable): PinnedRows => ({
  ...{ schema: schema as PinnedRows['schema'], name, revision, snapshot, rowHash: rowHash ?? '' },
});

const relationOf = ({ lake }: Reading, { files, columns }: PinnedTable): string =>
  filesRelation(
    files.map(({ key }) => lake.path(key)),
    columns,
  );

async function uploadedRows(reading: Reading, { spine }: SpineFrom<'upload'>): Promise<SpineRows> {
  const table = await tableOf(reading, 'datasets', spineTable(spine)).catch((error: unknown) => {
    if (!isDomainError(error) || error.code !== 'table_unknown') throw error;
    throw new DomainError('spine_unknown', `Nothing with the hash ${spine} was uploaded.`, { spine });
  });
  return { relation: relationOf(reading, table), sources: [], tables: [rowsPin(table)] };
}

async function datasetRows(reading: Reading, { dataset }: SpineFrom<'dataset'>): Promise<SpineRows> {
  const table = await tableOf(reading, 'datasets', dataset);
  const rows = relationOf(reading, table);
  const divided = table.columns.some(({ name }) => name === splitColumn);
  const relation = divided ? `(SELECT * EXCLUDE (${splitColumn}) FROM ${rows})` : rows;
  return { relation, sources: [], tables: [rowsPin(table)] };
}

/** In the state that is pinned, else a view in that of the system time, else in its newest. */
function tableOf(
  { db, project, pins, systemTime }: Reading,
  schema: PinnedRows['schema'],
  name: string,
): Promise<PinnedTable> {
  const pin = pins?.tables.find((one) => one.schema === schema && one.name === name);
  return pin
    ? tables(db).at(project, schema, name, pin.revision, pin.snapshot)
    : tables(db).resolve(project, schema, schema === 'features' && systemTime ? `${name}@t${systemTime}` : name);
}

/** The order of the keys; no key is called so. */
const gridPlace = '"#place"';
const noPlace = { name: '#place', type: 'BIGINT' };

/** Every key at every step, the keys in their order and each key's instants in order of time. */
async function gridRows(reading: Reading, spine: GridSpine, eventTime: string): Promise<SpineRows> {
  const { session } = reading;
  const { start, end, step } = spine;
  const stepMicros = durationMicros(step);
  if (stepMicros === 0 || end <= start)
    throw new DomainError('spine_invalid', 'A grid needs an end after its start, and a step.', { start, end, step });
  const keys = await gridKeys(reading, spine);
  const [count] = await session.rows<{ rows: number }>(`SELECT count(*)::DOUBLE AS rows FROM ${keys.relation}`);
  const rows = (count?.rows ?? 0) * Math.ceil((toMicros(end) - toMicros(start)) / stepMicros);
  if (rows > spineLimits.rows)
    throw new DomainError('request_too_large', `The grid has ${rows} rows; ${spineLimits.rows} are allowed.`, { rows });
  const instants = `range(${timestamp(start)}, ${timestamp(end)}, ${interval(stepMicros)}) AS instants("at")`;
  return {
    relation: `(SELECT keys.* EXCLUDE (${gridPlace}), instants."at" AS ${quoteName(eventTime)} FROM ${keys.relation} AS keys, ${instants} ORDER BY keys.${gridPlace}, instants."at")`,
    ...{ sources: [], tables: keys.tables },
  };
}

async function gridKeys(
  reading: Reading,
  { keys }: GridSpine,
): Promise<{ relation: string; tables: readonly PinnedRows[] }> {
  const { db, session, project, pins, systemTime } = reading;
  if ('view' in keys) {
    const table = await tableOf(reading, 'features', keys.view);
    const view = await getResource(db, project, 'FeatureView', keys.view, table.revision);
    if (view.spec.entity === undefined)
      throw new DomainError('spine_invalid', `View "${keys.view}" has no entity, so it has no keys.`, { ...keys });
    const shape = await shapeOf(db, project, view);
    // A key that was pushed is one of the view's whether or not it was flushed by now; read again, up to the same push.
    const pin = pins?.tables.find(({ schema, name }) => schema === 'features' && name === keys.view);
    const upTo = pin || systemTime ? (pin?.sequence ?? null) : 'newest';
    const { relation, sequence } = await stagedView(reading, session, table, shape, upTo);
    const names = shape.keys.map(({ name }) => quoteName(name)).join(', ');
    return {
      relation: `(SELECT *, row_number() OVER (ORDER BY ${names}) AS ${gridPlace} FROM (SELECT DISTINCT ${names} FROM ${relation}))`,
      tables: [{ ...rowsPin(table), ...(sequence === null ? {} : { sequence }) }],
    };
  }
  const { spec } = await getResource(db, project, 'Entity', keys.entity);
  const wrong = keys.rows.findIndex((row) => digestOf(Object.keys(row).sort()) !== digestOf(spec.keys.map(({ name }) => name).sort())); // prettier-ignore
  if (wrong >= 0)
    throw new DomainError('spine_invalid', `Row ${wrong} of the keys must have exactly ${spec.keys.map(({ name }) => name).join(', ')}.`, { row: keys.rows[wrong] }); // prettier-ignore
  // An erasure may have taken all of them.
  if (keys.rows.length === 0) return { relation: filesRelation([], [...spec.keys, noPlace]), tables: [] };
  const values = keys.rows.map(
    (row, at) => `(${spec.keys.map(({ name, type }) => typed(quoteText(String(row[name])), type)).join(', ')}, ${at})`,
  );
  const names = [...spec.keys.map(({ name }) => quoteName(name)), gridPlace].join(', ');
  await session.run(
    `CREATE OR REPLACE TEMP TABLE grid_keys AS SELECT * FROM (VALUES ${values.join(', ')}) AS k(${names})`,
  );
  return { relation: 'grid_keys', tables: [] };
}

/** What the declaration names must be there, and the event time must be an instant. */
async function requireSpineColumns(session: Session, relation: string, spec: DatasetSpec): Promise<void> {
  const columns = await describe(session, relation);
  const { eventTime, key = [], label, split } = spec;
  const listed = columns.map(({ name }) => name).join(', ');
  const wanted: [string, readonly string[]][] = [
    ['the event time', [eventTime]],
    ['the key', key],
    ['the label’s known-at', label?.knownAt === undefined ? [] : [label.knownAt]],
    ['the split’s column', split?.by === 'group' ? split.columns : split?.by === 'random' ? (split.key ?? []) : []],
  ];
  for (const [purpose, names] of wanted)
    for (const name of names)
      if (!columns.some((column) => column.name === name))
        throw new DomainError('spine_invalid', `The spine has no column "${name}", ${purpose}; it has ${listed}.`, {
          ...{ column: name, columns },
        });
  const ours = columns.find(({ name }) => name.startsWith('#'));
  if (ours)
    throw new DomainError('spine_invalid', `The spine calls a column "${ours.name}"; names that begin with # are kept for Eider.`, { column: ours.name }); // prettier-ignore
  const type = columns.find(({ name }) => name === eventTime)?.type ?? '';
  if (!type.startsWith('TIMESTAMP'))
    throw new DomainError('spine_invalid', `The event time "${eventTime}" must be a timestamp; it is ${type}.`, {
      column: eventTime,
    });
  if (columns.length > spineLimits.columns)
    throw new DomainError('spine_invalid', `The spine has ${columns.length} columns; ${spineLimits.columns} are allowed.`); // prettier-ignore
}
