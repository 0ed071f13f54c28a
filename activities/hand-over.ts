import { randomUUID } from 'node:crypto';
import { DomainError } from '../domain/errors.js';
import type { Window } from '../domain/features.js';
import { fitOf, ofEntity, sameKeys, type EntityShape, type Fit, type HandOver } from '../domain/hand-over.js';
import { durationMicros, fromMicros } from '../domain/instants.js';
import type { PublishView } from '../domain/publishing.js';
import { quoteName, type Session } from '../lake/duckdb.js';
import { filesRelation } from '../lake/point-in-time.js';
import { notBelow, readAs } from '../lake/pushes.js';
import { givingRevisions, hasOwnRows, type GivingRevision } from '../store/hand-over.js';
import { promiseSnapshots } from '../store/leases.js';
import { shapeOf } from '../store/online-shapes.js';
import { getResource } from '../store/resources.js';
import { tableId, tableState, type TableRef } from '../store/snapshots.js';
import { tables } from '../store/tables.js';
import type { Dependencies } from './dependencies.js';
import { beating } from './heartbeat.js';
import { commitPushed } from './pushes.js';
import { loadView, viewColumns, type ViewParts } from './views.js';

export type HandOverDependencies = Pick<Dependencies, 'db' | 'engine' | 'lake'>;

export const handOverActivities = (dependencies: HandOverDependencies) => ({
  /**
   * Commits what had been pushed to other revisions and was flushed, as far as this one can read it. Each window is committed
   * once: a repeat finds what is still missing, which is nothing once it was done.
   */
  takeOverPushes: (input: PublishView): Promise<HandOver[]> =>
    beating((signal, beat) => takeOver(dependencies, input, signal, beat)),
});

/** For as long as a publish may take: what is flushed meanwhile stays staged, where the publish finds it. */
const publishMsMax = 6 * 3_600_000;

async function takeOver(
  dependencies: HandOverDependencies,
  input: PublishView,
  signal: AbortSignal,
  beat: (details: unknown) => void,
): Promise<HandOver[]> {
  const { db, engine } = dependencies;
  const giving = await givingRevisions(db, input);
  if (giving.length === 0) return [];
  // What was pushed to others must not by itself take the place of a revision that has rows of sources.
  if (!(await hasOwnRows(db, input))) throw notMaterialized(input);
  const parts = await loadView(db, input.project, input.view, input.revision);
  const taking = {
    parts,
    shape: ofEntity(await shapeOf(db, input.project, parts.view), parts.view.spec),
    principal: input.principal,
  };
  return engine.session(async (session) => {
    const given: Given[] = [];
    for (const revision of giving) given.push(await rowsOf(dependencies, taking, revision));
    const taken: HandOver[] = [];
    for (const one of given.filter(({ fit }) => fit.why === null))
      taken.push(await takeFrom(dependencies, session, taking, one, beat));
    // Then: a revision may hold what it had taken over itself of one that could be read.
    for (const one of given.filter(({ fit }) => fit.why !== null))
      taken.push(await leave(dependencies, session, taking, one));
    return taken;
  }, signal);
}

export const notMaterialized = ({ view, revision }: Pick<PublishView, 'view' | 'revision'>): DomainError =>
  new DomainError('features_not_materialized', `View "${view}" revision ${revision} has no commit.`, { view });

interface Taking {
  readonly parts: ViewParts;
  readonly shape: EntityShape;
  readonly principal: string;
}

/** What another revision has of pushed rows in its files. */
interface Given extends GivingRevision {
  readonly pushed: EntityShape;
  readonly fit: Fit;
  readonly snapshot: number;
  readonly relation: string;
}

async function rowsOf(
  dependencies: HandOverDependencies,
  { parts, shape }: Taking,
  of: GivingRevision,
): Promise<Given> {
  const { db } = dependencies;
  const table = { ...parts.table, revision: of.revision };
  const view = await getResource(db, table.project, 'FeatureView', table.name, of.revision);
  const pushed = ofEntity(await shapeOf(db, table.project, view), view.spec);
  const { snapshot, files } = await flushedFiles(dependencies, table);
  const relation = filesRelation(files, viewColumns(view.spec, pushed.keys));
  return { ...of, pushed, fit: fitOf(pushed, shape), snapshot, relation };
}

async function takeFrom(
  dependencies: HandOverDependencies,
  session: Session,
  taking: Taking,
  { revision, snapshot, ...given }: Given,
  beat: (details: unknown) => void,
): Promise<HandOver> {
  const { parts, shape, principal } = taking;
  const rows = await lackedRows(dependencies, session, taking, given);
  const from = ['table', tableId({ ...parts.table, revision })] as const;
  const details = { handedOver: { revision, snapshot } };
  for (const window of await windowsOfRows(session, rows, parts)) {
    const staged = 'hand_over.staged';
    const { commit } = await commitPushed(dependencies, session, { parts, shape, window, rows, from, details, principal, staged }); // prettier-ignore
    beat({ handedOver: window.start, commit });
  }
  return { revision, snapshot, rows: await countOf(session, rows), left: 0, why: null };
}

/** Counts what cannot be read, but for rows that are here all the same. */
async function leave(
  dependencies: HandOverDependencies,
  session: Session,
  { parts, shape }: Taking,
  { revision, snapshot, relation, pushed, fit: { why } }: Given,
): Promise<HandOver> {
  const own = filesRelation((await flushedFiles(dependencies, parts.table)).files, parts.columns);
  const keysOnly = { ...shape, features: [] };
  const left = sameKeys(pushed, shape) ? notBelow(readAs(relation, pushed, keysOnly, []), own, keysOnly) : relation;
  return { revision, snapshot, rows: 0, left: await countOf(session, left), why };
}

/** The files of a revision's lane of pushed rows, which stay while the view is published. */
async function flushedFiles({ db, lake }: HandOverDependencies, table: TableRef) {
  const { snapshot } = await tableState(db, table);
  if (snapshot === 0) return { snapshot, files: [] };
  await promiseSnapshots(db, [{ ...table, snapshot }], publishMsMax, 'joins');
  const { files } = await tables(db).at(table.project, table.schema, table.name, table.revision, snapshot);
  return { snapshot, files: files.filter(({ lane }) => lane === 'pushes').map(({ key }) => lake.path(key)) };
}

/**
 * A temporary table of the rows that this revision does not have. Of two with the same keys and instants the one counts that
 * belongs to the revision which was pushed to last: what was pushed before, this one has taken over already.
 */
async function lackedRows(
  dependencies: HandOverDependencies,
  session: Session,
  { parts: { columns, table }, shape }: Taking,
  { relation, pushed, fit, above }: Pick<Given, 'relation' | 'pushed' | 'fit' | 'above'>,
): Promise<string> {
  const list = columns.map(({ name }) => quoteName(name)).join(', ');
  const given = readAs(relation, pushed, shape, fit.why === null ? fit.features : []);
  const has = filesRelation((await flushedFiles(dependencies, table)).files, columns);
  const lacked = above
    ? `SELECT ${list} FROM ${given} EXCEPT SELECT ${list} FROM ${has}`
    : `SELECT ${list} FROM ${notBelow(given, has, shape)}`;
  const name = `eider_handed_over_${randomUUID().replaceAll('-', '')}`;
  await session.run(`CREATE TEMP TABLE ${name} AS ${lacked}`);
  return name;
}

async function windowsOfRows(session: Session, rows: string, { view }: ViewParts): Promise<Window[]> {
  const size = durationMicros(view.spec.window);
  const numbers = await session.rows<{ number: number }>(
    `SELECT DISTINCT floor(epoch_us(${quoteName(view.spec.eventTime)}) / ${size}::DOUBLE)::DOUBLE AS number FROM ${rows} ORDER BY number`,
  );
  return numbers.map(({ number }) => ({ start: fromMicros(number * size), end: fromMicros((number + 1) * size) }));
}

async function countOf(session: Session, rows: string): Promise<number> {
  const [counted] = await session.rows<{ count: number }>(`SELECT count(*)::DOUBLE AS count FROM ${rows}`);
  return counted?.count ?? 0;
}
