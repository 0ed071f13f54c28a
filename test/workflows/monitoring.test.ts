import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import type { MonitorTicked } from '../../domain/monitoring.js';
import { anonymous } from '../../domain/principal.js';
import { findTraffic } from '../../store/deployment.js';
import { putLabels } from '../../store/labels.js';
import { aliasHistory } from '../../store/models.js';
import { listAlerts } from '../../store/alerts.js';
import { listFindings, listTicks } from '../../store/monitoring.js';
import { ledger } from '../../store/snapshots.js';
import { dayOf, eventResources, eventsSql, type EventResources } from '../support/events.js';
import { serveInstance } from '../support/instance.js';
import { withWorld, type World } from '../support/world.js';

/** Eight weeks whose truth changes on the 29th: weeks are scored, judged, found wanting, and retrained. */

const driftDay = 29;
const days = 58;
const all = { start: dayOf(1), end: dayOf(days + 1) };
const ticks = [22, 29, 36, 43, 50, 57].map(dayOf);

interface Story {
  readonly project: ProjectName;
  readonly ticked: readonly MonitorTicked[];
}

let world: World;
let stopServing: () => Promise<void>;
let path: string;
let remedied: Story;
let rejected: Story;

beforeAll(async () => {
  world = await withWorld();
  stopServing = await serveInstance(world);
  path = await world.write('events.parquet', eventsSql({ days, driftDay }));
  // The trainer hands over the model that has become true from the tick on that raises the alert.
  remedied = await story('remedied', { parameters: { second_from: 20010212 } });
  // Here it hands over the same one for ever, which no longer passes a gate that it used to pass.
  rejected = await story('rejected', { gates: [{ metric: 'brier', max: 0.25 }] });
}, 240_000);
afterAll(async () => {
  await stopServing();
  await world.close();
});

const tick = (project: ProjectName, asOf: Instant, id = '') =>
  world.run('monitorTick', `${workflowIds.monitor(project, 'weekly', asOf)}${id}`, { ...{ project, monitor: 'weekly', asOf }, principal: 'ann' }); // prettier-ignore

async function story(name: string, more: Partial<EventResources>): Promise<Story> {
  const project = name as ProjectName;
  await start(project, more);
  const ticked: MonitorTicked[] = [];
  for (const asOf of ticks) ticked.push(await tick(project, asOf));
  return { project, ticked };
}

/** Features of all days, and a first version that serves from the fifteenth on. */
async function start(project: ProjectName, more: Partial<EventResources>): Promise<void> {
  await world.apply(eventResources({ path, ...more }), project);
  await world.run('materializeView', `m/${project}`, {
    ...{ project, view: 'place_day', revision: 1, principal: 'ann' },
    ...all,
  });
  const run = {
    ...{ project, model: 'risk', revision: 1, asOf: dayOf(15) },
    trigger: { kind: 'manual' as const },
    principal: 'ann',
  };
  await world.run('trainModel', workflowIds.train(project, 'risk', 1, run.asOf), run);
}

test('every tick scores its week with the version that serves, and judges weeks whose labels are known', () => {
  expect(remedied.ticked.map(({ rows, judged }) => [rows, judged])).toEqual([
    [700, []],
    [700, [dayOf(15)]],
    [700, [dayOf(22)]],
    [700, [dayOf(29)]],
    [700, [dayOf(36)]],
    [700, [dayOf(43)]],
  ]);
});

test('a drift that was made is found, alerted, remedied by a retraining, and resolved', async () => {
  const { project, ticked } = remedied;
  expect(ticked.map(({ breached }) => breached)).toEqual([false, false, false, true, false, false]);
  expect(ticked[3]?.reasons).toEqual([
    expect.stringMatching(/^\|calibration_gap\| 0\.\d+ is above 0\.1 in the window from 2001-01-29/),
  ]);
  expect(ticked.map(({ retraining }) => retraining)).toEqual([
    null,
    null,
    null,
    workflowIds.train(project, 'risk', 1, dayOf(43)),
    null,
    null,
  ]);
  expect(await listAlerts(world.db, project)).toMatchObject([
    {
      ...{ id: 'weekly/2001-02-12', status: 'resolved', openedAsOf: dayOf(43), resolvedAsOf: dayOf(43) },
      resolution: 'remedied by version 2',
      breaches: [{ test: 'calibration_gap', subject: 'calibration_gap' }],
      remedy: [{ asOf: dayOf(43), outcome: 'remedied by version 2', workflowId: ticked[3]?.retraining }],
    },
  ]);
  expect(await findTraffic(world.db, project, 'risk')).toMatchObject({ version: 2, dataInstant: dayOf(43) });
  const history = await aliasHistory(world.db, project, 'risk', 'champion');
  expect(history.map(({ version, dataInstant }) => [version, dataInstant])).toEqual([[1, dayOf(15)], [2, dayOf(43)]]); // prettier-ignore
});

test('findings are stored for each window and version, the first version’s beside that which served', async () => {
  const gaps = (await listFindings(world.db, remedied.project, 'weekly')).filter(
    ({ test }) => test === 'calibration_gap',
  );
  const shown = gaps
    .map(({ window, version, value }) => [window.start, version, Math.abs(value ?? 0) > 0.1] as const)
    .sort(([a, one], [b, two]) => (a === b ? one - two : a < b ? 1 : -1));
  expect(shown).toEqual([
    [dayOf(43), 1, true],
    [dayOf(43), 2, false],
    // Version 2 came at the end of this week, so version 1 had scored it.
    [dayOf(36), 1, true],
    [dayOf(29), 1, true],
    [dayOf(22), 1, false],
    [dayOf(15), 1, false],
  ]);
  const drift = (await listFindings(world.db, remedied.project, 'weekly')).filter(({ test }) => test === 'psi');
  expect(drift.every(({ breached, value }) => !breached && value !== null && value < 0.5)).toBe(true);
  expect(new Set(drift.map(({ subject }) => subject))).toEqual(new Set(['a', 'b', 'prediction']));
});

test('a retraining is a child of its tick, in one chain with its rollout', async () => {
  const { project, ticked } = remedied;
  const { memo: _memo, ...train } = await world.client.workflow.getHandle(ticked[3]?.retraining ?? '').describe();
  expect(train.parentExecution?.workflowId).toBe(workflowIds.monitor(project, 'weekly', dayOf(43)));
  const chain = workflowIds.monitor(project, 'weekly', dayOf(43));
  expect(train.searchAttributes.EiderChain).toEqual([chain]);
  const rollout = await world.client.workflow.getHandle(workflowIds.deploy(project, 'risk', 2, dayOf(43))).describe();
  expect(rollout.searchAttributes.EiderChain).toEqual([chain]);
});

test('a candidate that is rejected keeps the champion, and the alert stays open with the reason', async () => {
  const { project, ticked } = rejected;
  expect(ticked.map(({ breached }) => breached)).toEqual([false, false, false, true, true, true]);
  expect(await findTraffic(world.db, project, 'risk')).toMatchObject({ version: 1, generation: 1 });
  const [alert, ...more] = await listAlerts(world.db, project);
  expect(more).toEqual([]);
  expect(alert).toMatchObject({ id: 'weekly/2001-02-12', status: 'open', resolvedAsOf: null });
  const tried = alert?.remedy.map(({ workflowId, outcome }) => [
    workflowId,
    /^version \d was rejected: brier/.test(outcome),
  ]);
  expect(tried).toEqual([43, 50, 57].map((day) => [workflowIds.train(project, 'risk', 1, dayOf(day)), true]));
});

test('an uploaded label takes the place of the source’s, with its own known-at', async () => {
  const project = 'uploaded' as ProjectName;
  await start(project, {});
  // The last hour's flights of a week are known an hour later; these four labels arrived before it ended.
  const labels = [2096, 2097, 2098, 2099].map((id) => ({ key: { id }, label: true, knownAt: dayOf(21) }));
  await putLabels(world.db, project, { model: 'risk' }, labels, anonymous);
  expect((await tick(project, dayOf(22))).judged).toEqual([dayOf(15)]);
  const [auc] = (await listFindings(world.db, project, 'weekly')).filter(({ test }) => test === 'auc');
  const [truth] = await world.query<{ positives: number }>(
    `SELECT (count(*) FILTER (happened AND file_row_number < 2096) + 4)::INTEGER AS positives FROM read_parquet('${path}', file_row_number = true) WHERE file_row_number BETWEEN 1400 AND 2099`,
  );
  expect(auc?.details).toMatchObject({ rows: 700, positives: truth?.positives });
});

test('windows of predictions never overlap: another cut of a scored week is refused', async () => {
  const score = { project: remedied.project, endpoint: 'risk', asOf: dayOf(57), principal: 'ann' };
  const other = { ...score, start: dayOf(16), end: dayOf(17) };
  expect(await world.failure('scoreWindow', 'overlap', other)).toMatchObject({ code: 'request_invalid' });
});

test('scoring a window twice is one commit; a newer version makes it anew', async () => {
  const { project } = remedied;
  const window = { start: dayOf(22), end: dayOf(29) };
  const score = (id: string, once: boolean) =>
    world.run('scoreWindow', id, {
      ...{ project, endpoint: 'risk', asOf: dayOf(57), principal: 'ann', once },
      ...window,
    });
  expect(await score('score-once', true)).toMatchObject({ version: 1, rows: 700 });
  const made = await score('score-anew', false);
  expect(made).toMatchObject({ version: 2, rows: 700 });
  expect(await score('score-again', false)).toEqual(made);
});

test('a tick that is run again answers the same and does nothing', async () => {
  const { project, ticked } = remedied;
  const commits = (await ledger(world.db, { project, schema: 'inference', name: 'risk', revision: 1 }, { all: true }))
    .length;
  for (const [at, asOf] of ticks.entries()) expect(await tick(project, asOf, '-again')).toEqual(ticked[at]);
  expect(
    await ledger(world.db, { project, schema: 'inference', name: 'risk', revision: 1 }, { all: true }),
  ).toHaveLength(commits);
  expect(await listTicks(world.db, project, 'weekly')).toHaveLength(ticks.length);
});
