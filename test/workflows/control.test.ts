import type { WorkflowHandle } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import type { Materialized, MaterializeView } from '../../domain/features.js';
import { workflowIds } from '../../domain/ids.js';
import { until } from '../../programs/waiting.js';
import { tableState } from '../../store/snapshots.js';
import { cancelUpdate, pauseUpdate, progressQuery, resumeUpdate } from '../../workflows/messages.js';
import { dayOf, eventsSql } from '../support/events.js';
import { placeDays } from '../support/place-days.js';

/** Operators steer a long backfill, and it goes on over several runs of its workflow. */

const { here, declare } = placeDays();
const hours = 25 * 24;
const range = { start: dayOf(1), end: dayOf(26) };
const asked = (reason: string) => ({ args: [{ principal: 'ann', reason }] as [{ principal: string; reason: string }] });

/** A backfill of hourly windows, more than one run takes. */
async function backfill(more: Partial<MaterializeView> = {}) {
  await here.world.write(`${here.project}.parquet`, eventsSql({ days: 25 }));
  const revision = await declare({ window: '1h' });
  const workflowId = workflowIds.materialize(here.project, 'place_day', revision, range.start, range.end);
  const input = { project: here.project, view: 'place_day', revision, ...range, principal: 'ann', ...more };
  const handle = await here.world.start('materializeView', workflowId, input);
  const committed = async () => (await tableState(here.world.db, { ...here.table, revision })).windows;
  return { handle, workflowId, latest: here.world.client.workflow.getHandle(workflowId), committed };
}
const stageOf = async (handle: WorkflowHandle<Workflow>) => (await handle.describe()).searchAttributes['EiderStage'];
const refusal = (work: Promise<unknown>) =>
  work.then(
    () => 'it was not refused',
    (error: { cause?: Error }) => error.cause?.message,
  );

test('paused it begins no batch, says so wherever it is shown, and goes on where it was, over several runs', async () => {
  const { handle, latest, committed } = await backfill();
  const { runId: firstRun } = await latest.describe();
  expect(await until(async () => (await committed()) > 0, 30_000, { everyMs: 20 })).toBe(true);
  const paused = await latest.executeUpdate(pauseUpdate, asked('the source is being mended'));
  expect(paused).toMatchObject({ state: 'paused', by: 'ann', reason: 'the source is being mended' });
  expect(await refusal(latest.executeUpdate(pauseUpdate, asked('again')))).toBe('The workflow is paused already.');
  // Batches that were under way end; then nothing moves.
  let before = -1;
  await until(
    async () => {
      const now = await committed();
      const still = now === before;
      before = now;
      return still;
    },
    30_000,
    { everyMs: 1_500 },
  );
  expect(before).toBeLessThan(hours);
  expect(before % 26).toBe(0);
  expect(await latest.query(progressQuery)).toMatchObject({
    control: { state: 'paused', by: 'ann', reason: 'the source is being mended' },
    total: hours,
    pace: { rows: expect.any(Number), rowsPerSecond: expect.any(Number), remainingSeconds: expect.any(Number) },
  });
  expect(await until(async () => (await stageOf(latest))?.[0] === 'paused', 10_000)).toBe(true);
  expect(await latest.executeUpdate(resumeUpdate, asked('mended'))).toMatchObject({
    state: 'running',
    reason: 'mended',
  });
  expect(await refusal(latest.executeUpdate(resumeUpdate, asked('again')))).toBe('The workflow is not paused.');
  const made = (await handle.result()) as Materialized;
  expect(made).toMatchObject({ windows: hours, committed: hours, unchanged: 0, snapshot: hours, reason: `${hours} never computed` }); // prettier-ignore
  // The result is that of all runs, the last of which handled what the first left.
  expect((await latest.describe()).runId).not.toBe(firstRun);
  expect(await latest.query(progressQuery)).toMatchObject({ stage: 'done', done: hours, control: { by: 'ann' } });
  const audit = await here.world.db.query(
    "SELECT action, principal, details FROM audit WHERE project = $1 AND action LIKE '%workflow' ORDER BY id",
    [here.project],
  );
  expect(audit).toEqual([
    { action: 'paused workflow', principal: 'ann', details: { reason: 'the source is being mended' } },
    { action: 'resumed workflow', principal: 'ann', details: { reason: 'mended' } },
  ]);
}, 120_000);

test('cancelled it ends as cancelled, keeps what was committed, and can be started again', async () => {
  const { handle, latest, committed, workflowId } = await backfill({ parallel: 1 });
  expect(await until(async () => (await committed()) > 0, 30_000, { everyMs: 20 })).toBe(true);
  expect(await latest.executeUpdate(cancelUpdate, asked('not now'))).toMatchObject({ state: 'cancelling', by: 'ann' });
  await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  expect((await latest.describe()).status.name).toBe('CANCELLED');
  const left = await committed();
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(hours);
  const again = await here.world.run('materializeView', workflowId, {
    ...{ project: here.project, view: 'place_day', revision: 2, principal: 'ann' },
    ...{ start: range.start, end: dayOf(2) },
  });
  expect(again).toMatchObject({ windows: 24, committed: Math.max(0, 24 - left) });
}, 120_000);

test('a paused one can be cancelled, and what is no reason is refused', async () => {
  const { handle, latest } = await backfill();
  await latest.executeUpdate(pauseUpdate, asked('wait'));
  const wrong = latest.executeUpdate(cancelUpdate, { args: [{} as never] });
  expect(await refusal(wrong)).toBe('The argument is {"principal": "who", "reason": "why"}.');
  await latest.executeUpdate(cancelUpdate, asked('never mind'));
  await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  expect(await latest.query(progressQuery)).toMatchObject({ control: { state: 'cancelling', reason: 'never mind' } });
}, 60_000);

test('while it is paused it stays paused from one run to the next', async () => {
  const control = { state: 'paused' as const, by: 'ann', reason: 'lunch', since: dayOf(1) };
  const found = { fresh: 500, changed: 0, current: 0, untouched: 0 };
  const tally = { settled: 500, found, committed: 500, rows: 7, bytes: 8, quarantined: 0, refused: 0, refusals: [], workedMs: 9 }; // prettier-ignore
  const { handle, latest, committed } = await backfill({ carried: { from: dayOf(22), tally, control } });
  expect(await latest.query(progressQuery)).toMatchObject({ control });
  expect(await committed()).toBe(0);
  await latest.executeUpdate(resumeUpdate, asked('lunch is over'));
  const made = (await handle.result()) as Materialized;
  expect(made).toMatchObject({ windows: hours, committed: 500 + 4 * 24, reason: `${500 + 4 * 24} never computed` });
}, 60_000);
