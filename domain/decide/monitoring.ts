import type { Window } from '../features.js';
import { shortInstant } from '../ids.js';
import type {
  AlertJudgement,
  AlertState,
  Breach,
  Finding,
  FindingDetails,
  FindingTest,
  JudgedWindow,
  Observed,
  RemedyState,
  Resolution,
} from '../monitoring.js';
import type { MonitorTest } from '../resources.js';
import { boundsOf, boundSentence, breaks, figures, shownName, type Bound } from './bounds.js';

/** What the tests say of one window: one finding for each test and subject, also for those that hold or cannot be computed. */
export function findingsOf(tests: readonly MonitorTest[], observed: Observed): Finding[] {
  const bySubject = new Map<string, { seen: Seen; bounds: Bound[] }>();
  for (const test of tests)
    for (const seen of seenBy(test, observed)) {
      const key = `${seen.test} ${seen.subject}`;
      const bounds = [...(bySubject.get(key)?.bounds ?? []), ...boundsOfTest(test)];
      bySubject.set(key, { seen, bounds });
    }
  return [...bySubject.values()].map(({ seen, bounds }) => findingOf(seen, bounds));
}

interface Seen extends Breach {
  readonly value: number | null;
  readonly details: Partial<FindingDetails>;
  /** Why there is no value. */
  readonly unknown: string;
}

function seenBy(test: MonitorTest, { drift, rows, metrics }: Observed): Seen[] {
  const subject = (name: string, value: number | null, details: Partial<FindingDetails>, unknown: string): Seen => ({
    test: testName(test),
    subject: name,
    value,
    details,
    unknown,
  });
  if (test.test === 'row_count') return rows === undefined ? [] : [subject('rows', rows, {}, '')];
  if (test.test === 'metric') {
    if (!metrics) return [];
    const details = { rows: metrics.rows, positives: metrics.positives };
    const unknown = `of ${metrics.rows} judged rows ${metrics.positives} are positive`;
    return [subject(test.metric, metrics[test.metric], details, unknown)];
  }
  if (!drift) return [];
  return (test.columns ?? drift.map(({ column }) => column)).map((name) => {
    const column = drift.find(({ column }) => column === name);
    if (!column) return subject(name, null, {}, 'the column was not observed');
    return test.test === 'psi'
      ? subject(name, column.psi, { noise: column.noise ?? null }, 'the window or the reference has no rows')
      : subject(name, column.nullShare, {}, 'the window has no rows');
  });
}

function findingOf({ test, subject, value, details, unknown }: Seen, bounds: Bound[]): Finding {
  const name = subjectName({ test, subject });
  const broken = value === null ? undefined : bounds.find((bound) => breaks(value, bound));
  const reasons =
    value === null ? [`${name} is not known: ${unknown}`] : bounds.map((bound) => boundSentence(name, value, bound));
  const threshold = (broken ?? bounds[0])?.limit ?? null;
  return { test, subject, value, threshold, breached: broken !== undefined, details: { bounds, reasons, ...details } };
}

/**
 * Whether the tests breach now. `recent` are the last windows, newest first, and only those that the version scored which
 * serves now: what a former version did is no reason to act against this one. The caller filters them; windows beyond what
 * the tests ask for are ignored.
 *
 * A test of `{ breached: 2, of: 3 }` breaches when two of the newest three windows with a value do; windows whose labels
 * are not known yet do not count. Values are judged by the tests as they are declared now, not as they were.
 */
export function judgeAlert({ tests, recent, open }: AlertInput): AlertJudgement {
  const judged = tests.flatMap((test) => judgementsOf(test, recent));
  const breached = judged.filter((judgement) => judgement.breached);
  const openBreaches = open?.breaches ?? [];
  const ofOpen = judged.filter((judgement) => openBreaches.some((breach) => same(breach, judgement)));
  const told = breached.length > 0 ? breached : ofOpen;
  const nothing = judged.length === 0 ? 'no window of the serving version could be judged yet' : 'no test is breached';
  return {
    breached: breached.length > 0,
    breaches: distinct(breached.map(({ test, subject }) => ({ test, subject }))),
    judged: distinct(judged).length,
    unjudged: openBreaches.filter((breach) => !judged.some((judgement) => same(breach, judgement))),
    reasons: told.length > 0 ? told.map(({ reason }) => reason) : [nothing],
  };
}

export interface AlertInput {
  readonly tests: readonly MonitorTest[];
  readonly recent: readonly JudgedWindow[];
  readonly open: AlertState | null;
}

interface Told {
  readonly window: Window;
  readonly value: number;
}

interface Judgement extends Breach {
  readonly breached: boolean;
  readonly reason: string;
}

function judgementsOf(test: MonitorTest, recent: readonly JudgedWindow[]): Judgement[] {
  const bounds = boundsOfTest(test);
  const name = testName(test);
  const covered = recent.flatMap(({ window, findings }) =>
    findings.flatMap(({ test, subject, value }) =>
      test === name && value !== null ? [{ window, subject, value }] : [],
    ),
  );
  const columns = 'columns' in test ? test.columns : undefined;
  const subjects = [...new Set(covered.map(({ subject }) => subject))].filter(
    (subject) => columns === undefined || columns.includes(subject),
  );
  if (bounds.length === 0) return [];
  return subjects.map((subject) =>
    judgementOf(
      test,
      { test: name, subject },
      covered.filter((seen) => seen.subject === subject),
    ),
  );
}

/** `seen` are the subject's known values, newest first. */
function judgementOf(test: MonitorTest, about: Breach, seen: Told[]): Judgement {
  const bounds = boundsOfTest(test);
  const rule = test.test === 'metric' ? test.windows : { breached: 1, of: 1 };
  const looked = seen.slice(0, rule.of);
  const broken = looked.filter(({ value }) => bounds.some((bound) => breaks(value, bound)));
  const breached = broken.length >= rule.breached;
  return { ...about, breached, reason: reasonOf(about, bounds, rule, looked, broken.length) };
}

function reasonOf(
  about: Breach,
  bounds: readonly Bound[],
  rule: { breached: number; of: number },
  looked: readonly Told[],
  broken: number,
): string {
  const name = subjectName(about);
  const [newest] = looked;
  if (rule.of === 1 && newest) {
    const bound = bounds.find((bound) => breaks(newest.value, bound)) ?? bounds[0];
    const from = shortInstant(newest.window.start);
    return bound ? `${boundSentence(name, newest.value, bound)} in the window from ${from}` : '';
  }
  const limits = bounds.map((bound) => `${bound.kind === 'max' ? 'above' : 'below'} ${bound.limit}`).join(' or ');
  const shown = shownName(name, { absolute: bounds.some(({ absolute }) => absolute) });
  const values = figures(...looked.map(({ value }) => value)).join(', ');
  return `${shown} is ${limits} in ${broken} of the last ${looked.length} judged windows, and ${rule.breached} of ${rule.of} are a breach; newest first: ${values}`;
}

/**
 * Whether an open alert is over: because its remedy was rolled out, or because the tests no longer breach in windows that
 * tell about them. Otherwise it stays open, with the reason. `remedy` is null when none was started.
 */
export function resolution({ now, remedy }: { now: AlertJudgement; remedy: RemedyState | null }): Resolution {
  if (remedy?.rolledOut) return { resolved: true, reason: `remedied by version ${remedy.version}` };
  if (!now.breached && now.judged > 0 && now.unjudged.length === 0)
    return { resolved: true, reason: `the tests no longer breach: ${now.reasons.join('; ')}` };
  return { resolved: false, reason: [whyRemedyFailed(remedy), whyOpen(now)].filter(Boolean).join('; ') };
}

function whyRemedyFailed(remedy: RemedyState | null): string {
  if (remedy === null) return 'no retraining was started';
  const model = remedy.version === null ? 'the retrained model' : `version ${remedy.version}`;
  const why = remedy.reasons.length > 0 ? `: ${remedy.reasons.join(', ')}` : '';
  if (remedy.verdict === null) return `the retraining gave no verdict${why}`;
  if (remedy.verdict === 'promote') return `${model} passed its gates and was not rolled out${why}`;
  return remedy.verdict === 'reject' ? `${model} was rejected${why}` : `${model} could not be judged${why}`;
}

function whyOpen(now: AlertJudgement): string {
  if (now.breached) return now.reasons.join('; ');
  const missing = now.unjudged.map(subjectName).join(', ');
  return `no window of the serving version tells about ${missing || 'anything'} yet`;
}

const testName = (test: MonitorTest): FindingTest => (test.test === 'metric' ? test.metric : test.test);
const boundsOfTest = (test: MonitorTest): Bound[] => boundsOf(test, test.test === 'metric' && test.absolute);
const subjectName = ({ test, subject }: Breach): string => {
  if (test === 'psi' || test === 'null_share') return `${test} of ${subject}`;
  return test === 'row_count' ? 'the number of rows' : test;
};
const same = (one: Breach, other: Breach): boolean => one.test === other.test && one.subject === other.subject;
const distinct = (breaches: readonly Breach[]): Breach[] =>
  breaches.filter((breach, index) => breaches.findIndex((other) => same(breach, other)) === index);
