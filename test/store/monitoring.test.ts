import { anonymous } from '../../domain/principal.js';
import { findOpenAlert, listAlerts, raiseAlert, updateAlert } from '../../store/alerts.js';
import type { Database } from '../../store/db.js';
import {
  findReferenceProfiles,
  findTick,
  finishTick,
  listFindings,
  listTicks,
  recordFindings,
  recordReferenceProfiles,
  recordTick,
  type StoredFinding,
  type Tick,
} from '../../store/monitoring.js';
import { withDatabase } from '../support/database.js';
import { race } from '../support/race.js';
import { day, project, registered } from './samples.js';

let db: Database;
let close: () => Promise<void>;
beforeEach(async () => ({ db, close } = await withDatabase()));
afterEach(() => close());

const finding = (number: number, value: number | null, version = 1): StoredFinding => ({
  ...{ asOf: day(number + 1), window: { start: day(number), end: day(number + 1) }, version },
  ...{ test: 'psi', subject: 'distance', value, threshold: 0.2, breached: false },
  details: { bounds: [], reasons: ['it holds'] },
});
const record = (...findings: StoredFinding[]) => recordFindings(db, project, 'weekly', findings);
const list = (options: Parameters<typeof listFindings>[3] = {}) => listFindings(db, project, 'weekly', options);
const raise = (id: string, asOf = day(1)) =>
  raiseAlert(
    db,
    project,
    {
      id,
      monitor: 'weekly',
      reasons: [id],
      breaches: [{ test: 'psi', subject: 'distance' }],
      openedAsOf: asOf,
      workflowId: 'tick',
    },
    anonymous,
  );

test('a finding comes back as it was recorded, a value that could not be computed too', async () => {
  await record(finding(1, 0.1), finding(2, null));
  expect(await list()).toEqual([finding(2, null), finding(1, 0.1)]);
});

test('the first record of a window, version and test is the one', async () => {
  await record(finding(1, 0.1));
  await record(finding(1, 0.9), finding(1, 0.5, 2));
  expect((await list({ version: 1 })).map(({ value }) => value)).toEqual([0.1]);
  expect((await list({ version: 2 })).map(({ value }) => value)).toEqual([0.5]);
});

test('findings are seen as of an instant, and of one’s own monitor', async () => {
  await record(finding(1, 0.1), finding(2, 0.2));
  expect((await list({ until: day(2) })).map(({ value }) => value)).toEqual([0.1]);
  expect(await list({ limit: 1 })).toHaveLength(1);
  expect(await listFindings(db, project, 'other')).toEqual([]);
});

test('findings are read page by page, newest window first, each once', async () => {
  const of = (number: number, version: number, subject: string) => ({ ...finding(number, 0.1, version), subject });
  const all = [3, 2, 1].flatMap((number) =>
    [1, 2].flatMap((version) => ['a', 'b', 'c'].map((subject) => of(number, version, subject))),
  );
  await record(...all);
  const read: StoredFinding[] = [];
  for (let last: StoredFinding | undefined; ;) {
    const page = await list({ limit: 4, after: last && { ...last, start: last.window.start } });
    read.push(...page);
    last = page.at(-1);
    if (!last) break;
  }
  expect(read).toEqual(all);
  expect(await list()).toEqual(all);
  expect(await list({ since: day(3) })).toEqual(all.slice(0, 6));
});

test('of eight who raise an alert at once one opens it, and all see the same', async () => {
  const { values, codes } = await race(8, (at) => raise(`alert-${at}`));
  expect(codes).toEqual([]);
  expect(new Set(values.map(({ id }) => id)).size).toBe(1);
  expect(await listAlerts(db, project, 'weekly')).toHaveLength(1);
});

test('while an alert is open its reasons are brought up to date, and what it was opened for stays', async () => {
  await raise('first');
  await raise('second', day(2));
  expect(await findOpenAlert(db, project, 'weekly')).toMatchObject({
    id: 'first',
    reasons: ['second'],
    openedAsOf: day(1),
  });
});

test('an alert that is resolved stays so: a repeat of its tick does not open it, a later tick opens another', async () => {
  await raise('first');
  const resolution = { asOf: day(3), reason: 'remedied by version 2' };
  expect(await updateAlert(db, project, 'first', { resolution }, anonymous)).toMatchObject({
    ...{ status: 'resolved', resolvedAsOf: day(3), resolution: 'remedied by version 2' },
  });
  await updateAlert(db, project, 'first', { resolution: { asOf: day(9), reason: 'again' } }, anonymous);
  expect(await raise('first')).toMatchObject({ status: 'resolved', resolvedAsOf: day(3) });
  expect(await findOpenAlert(db, project, 'weekly')).toBeNull();
  expect(await raise('second', day(4))).toMatchObject({ status: 'open' });
});

test('what was tried is kept once for a workflow, also when several of them had no run', async () => {
  await raise('first');
  const remedy = (workflowId: string, outcome: string) =>
    updateAlert(db, project, 'first', { remedy: { asOf: day(2), run: '', workflowId, outcome } }, anonymous);
  await remedy('train-1', 'it failed');
  await remedy('train-2', 'it failed');
  const { remedy: tried } = await remedy('train-2', 'it failed again');
  expect(tried.map(({ workflowId, outcome }) => [workflowId, outcome])).toEqual([
    ['train-1', 'it failed'],
    ['train-2', 'it failed again'],
  ]);
});

test('an alert that does not exist cannot be updated', async () => {
  await expect(updateAlert(db, project, 'nothing', {}, anonymous)).rejects.toMatchObject({ code: 'internal' });
});

test('an instant has one tick; the first record is the one, and it ends once its remedy is through', async () => {
  const tick = (number: number, workflowId: string): Tick => ({
    ...{
      monitor: 'weekly',
      asOf: day(number),
      window: { start: day(number - 1), end: day(number) },
      version: 1,
      workflowId,
    },
    summary: { rows: 1, judged: [], breached: true, reasons: [], alert: 'first', retraining: null, done: false },
  });
  await recordTick(db, project, tick(2, 'first'));
  await recordTick(db, project, tick(2, 'second'));
  await recordTick(db, project, tick(3, 'third'));
  expect(await findTick(db, project, 'weekly', day(2))).toEqual(tick(2, 'first'));
  expect(await findTick(db, project, 'weekly', day(9))).toBeNull();
  await finishTick(db, project, 'weekly', day(2), 'train');
  const [finished, other] = await listTicks(db, project, 'weekly');
  expect(finished?.summary).toMatchObject({ done: true, retraining: 'train', rows: 1 });
  expect(other?.summary.done).toBe(false);
});

test('what a version looked like when it was trained is recorded once', async () => {
  await registered(db);
  const profile = (rows: number) => [{ column: 'distance', edges: [1], counts: [rows, 0], nulls: 0, rows }];
  expect(await findReferenceProfiles(db, project, 'lateness', 1)).toBeNull();
  expect(await recordReferenceProfiles(db, project, 'lateness', 1, profile(5))).toEqual(profile(5));
  expect(await recordReferenceProfiles(db, project, 'lateness', 1, profile(6))).toEqual(profile(5));
});
