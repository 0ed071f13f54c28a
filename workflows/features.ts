import {
  ActivityCancellationType,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  proxyActivities,
  workflowInfo,
} from '@temporalio/workflow';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../activities/index.js';
import type {
  Found,
  Materialized,
  MaterializeView,
  Pace,
  QuarantinedRows,
  ReadQuarantine,
  RefusedWindow,
  Tally,
} from '../domain/features.js';
import type { Instant } from '../domain/ids.js';
import { controlled, type Control } from './control.js';
import { failureCode } from './failures.js';
import { publishCommitted } from './online.js';
import { report, type Reporter } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);
/** Somebody waits for it. */
const once = proxyActivities<Activities>({ ...steps.repeatable, retry: { maximumAttempts: 3 } });
/** Cancelled, the workflow ends when its batches have ended: afterwards nothing is committed in its name. */
const long = proxyActivities<Activities>({
  ...steps.heartbeating,
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
});

/** Enough to share one query's cost, few enough that a killed worker repeats little. */
const windowsPerActivity = 26;
const windowsPerActivityMin = 5;
const batchesAtOnce = 2;
const replanMax = 10;
/** Then a new run goes on, with a history of its own. */
const windowsPerRun = 500;
const refusalsNamed = 20;

const nothing: Tally = {
  ...{ settled: 0, found: { fresh: 0, changed: 0, current: 0, untouched: 0 }, committed: 0, rows: 0, bytes: 0 },
  ...{ quarantined: 0, refused: 0, refusals: [], workedMs: 0 },
};

/** Brings a view's windows up to date with their sources: only what changed is computed, each window is committed once. */
export async function materializeView(input: MaterializeView): Promise<Materialized> {
  const { project, view, revision, carried } = input;
  const reporter = report(`Materialize ${view}@r${revision}`, { project, resource: `FeatureView/${view}` });
  const control = controlled(project, reporter, carried?.control);
  try {
    const { total, tally } = await workThrough(input, { reporter, control });
    const { snapshot } = await safe.tableState({ project, schema: 'features', name: view, revision });
    const whole = total > 0 && tally.refused === 0;
    // First: a revision that does not answer is not shown online in the place of one that does.
    const answering = whole ? await safe.completeTable({ ...input, carried: undefined }) : null;
    // A run before may have committed and not come to it, or what it committed did not answer yet.
    if ((tally.committed > 0 || whole) && input.publish !== false) await publishCommitted(input);
    if (tally.refused > 0) throw refusal(tally, total);
    const aside = tally.quarantined > 0 ? `, ${tally.quarantined} rows quarantined` : '';
    const older = answering?.lacks
      ? `; revision ${answering.revision} answers until ${answering.lacks.start.slice(0, 10)} to ${answering.lacks.end.slice(0, 10)} is materialized`
      : '';
    const detail = `${tally.committed} of ${total} windows committed${aside}, snapshot ${snapshot}${older}`;
    reporter.stage('done', detail, total, total);
    const { committed, rows, bytes, quarantined, found } = tally;
    const unchanged = found.current + found.untouched;
    return { windows: total, committed, unchanged, rows, bytes, quarantined, snapshot, reason: reasonOf(found) };
  } finally {
    // Whoever paused or cancelled it gets an answer before it ends or hands on.
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  }
}

/** Reads a few of the rows that were kept aside; all of them are for Flight. */
export async function readQuarantine(input: ReadQuarantine): Promise<QuarantinedRows> {
  const { project, view } = input;
  const reporter = report(`Quarantined rows of ${view}`, { project, resource: `FeatureView/${view}` });
  const found = await once.readQuarantine(input);
  reporter.stage('done', `${found.rows.length} of ${found.total} rows`);
  return found;
}

interface Operators {
  readonly reporter: Reporter;
  readonly control: Control;
}

/** The range slice by slice; hands on to a new run before the history grows too long. */
async function workThrough(input: MaterializeView, operators: Operators): Promise<{ total: number; tally: Tally }> {
  const { carried, ...asked } = input;
  let tally = carried?.tally ?? nothing;
  let from = carried?.from;
  for (let computed = 0; ;) {
    const slice = await settleSlice(asked, from, tally, operators);
    computed += slice.computed;
    tally = slice.tally;
    if (slice.next === null) return { total: slice.total, tally };
    from = slice.next;
    if (computed < windowsPerRun && !workflowInfo().continueAsNewSuggested) continue;
    await operators.control.proceed();
    await condition(allHandlersFinished);
    await continueAsNew<typeof materializeView>({
      ...asked,
      carried: { from, tally, control: operators.control.state() },
    });
  }
}

interface Slice {
  readonly tally: Tally;
  readonly computed: number;
  readonly total: number;
  readonly next: Instant | null;
}

/** Plans a slice and computes what it needs, anew when the plan was overtaken. */
async function settleSlice(
  input: MaterializeView,
  from: Instant | undefined,
  before: Tally,
  { reporter, control }: Operators,
): Promise<Slice> {
  let tally = before;
  for (let round = 0; ; round++) {
    await control.proceed();
    reporter.stage('plan', 'comparing the source with the ledger', tally.settled);
    const plan = await long.planWindows({ ...input, ...(from === undefined ? {} : { from }) });
    const size = countOf(plan.found);
    const found = round === 0 ? addFound(before.found, plan.found) : tally.found;
    // What an earlier round refused is planned again, like all that was not committed.
    const { refused, refusals } = before;
    tally = { ...tally, found, refused, refusals, settled: before.settled + size - plan.windows.length };
    const show = () =>
      reporter.stage('materialize', reasonOf(found), tally.settled, plan.total, paceOf(tally, plan.total));
    show();
    const clock = () => Date.now() - control.pausedMs();
    const began = clock() - tally.workedMs;
    try {
      const lanes = input.parallel ?? batchesAtOnce;
      await inParallel(lanes, batchesOf(plan.windows, lanes), async (windows) => {
        await control.proceed();
        const first = windows[0]?.start.slice(0, 10);
        const made = await long.materializeWindows.executeWithOptions(
          { summary: `${windows.length} windows from ${first}` },
          [{ ...input, windows, sourceVersion: plan.sourceVersion }],
        );
        tally = { ...add(tally, made, windows.length), workedMs: clock() - began };
        show();
      });
    } catch (error) {
      if (!planIsStale(error) || round === replanMax) throw error;
      continue;
    }
    return { tally, computed: plan.windows.length, total: plan.total, next: plan.next };
  }
}

type Made = Awaited<ReturnType<Activities['materializeWindows']>>;

const add = (tally: Tally, made: Made, windows: number): Tally => ({
  ...tally,
  settled: tally.settled + windows,
  committed: tally.committed + made.committed,
  rows: tally.rows + made.rows,
  bytes: tally.bytes + made.bytes,
  quarantined: tally.quarantined + made.quarantined,
  refused: tally.refused + made.refused.length,
  refusals: [...tally.refusals, ...made.refused].slice(0, refusalsNamed),
});

const countOf = ({ fresh, changed, current, untouched }: Found): number => fresh + changed + current + untouched;
const addFound = (a: Found, b: Found): Found => ({
  fresh: a.fresh + b.fresh,
  changed: a.changed + b.changed,
  current: a.current + b.current,
  untouched: a.untouched + b.untouched,
});

function paceOf({ rows, workedMs, settled, found }: Tally, total: number): Pace {
  const computed = settled - found.current - found.untouched;
  return {
    rows,
    rowsPerSecond: workedMs > 0 ? Math.round((rows * 1000) / workedMs) : 0,
    remainingSeconds:
      computed > 0 && workedMs > 0 ? Math.round(((total - settled) * workedMs) / computed / 1000) : null,
  };
}

function reasonOf(found: Found): string {
  const { fresh, changed, current, untouched } = found;
  if (countOf(found) === 0) return 'the range holds no window';
  if (fresh + changed === 0)
    return current === 0
      ? 'nothing to do: no file of the sources changed since these windows were committed'
      : `nothing to do: the rows that reach these ${current + untouched} windows are the same as when they were committed`;
  const same = current + untouched;
  const parts = [
    fresh > 0 ? `${fresh} never computed` : '',
    changed > 0 ? `${changed} reached by changed rows` : '',
    same > 0 ? `${same} current` : '',
  ];
  return parts.filter(Boolean).join(', ');
}

/** The whole fails, though what passed was committed: nobody should take the range for complete. */
function refusal({ refused, refusals, committed }: Tally, total: number): ApplicationFailure {
  const sentence = ({ start, reasons }: RefusedWindow) => `${start.slice(0, 19)}Z ${reasons.join(', ')}`;
  const named = refusals.slice(0, 3).map(sentence).join('; ');
  const more = refused > 3 ? `; and ${refused - 3} more` : '';
  return ApplicationFailure.create({
    type: 'expectation_failed',
    nonRetryable: true,
    message: `${refused} of ${total} windows were refused and ${committed} committed. ${named}${more}.`,
    details: [{ refused, committed, windows: refusals }],
  });
}

/**
 * The plan no longer fits the source, or somebody else committed a window of it: nothing wrong was committed, and planning
 * again finds what is left to do.
 */
const planIsStale = (error: unknown): boolean => ['source_changed', 'generation_moved'].includes(failureCode(error));

/** Every lane gets work, but no batch is so small that sharing a query saves nothing. */
function batchesOf<Item>(items: readonly Item[], lanes: number): Item[][] {
  const share = Math.ceil(items.length / lanes);
  const size = Math.min(windowsPerActivity, Math.max(windowsPerActivityMin, share));
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

/** When one item fails the others under way are awaited, so that nothing of this round is left beside the next. */
async function inParallel<Item>(
  lanes: number,
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) {
      try {
        await work(item);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failed = ended.find((one) => one.status === 'rejected');
  if (failed) throw failed.reason;
}
