import { findingsOf, judgeAlert, resolution } from '../../domain/decide/monitoring.js';
import type { Metrics } from '../../domain/evaluation.js';
import type { Window } from '../../domain/features.js';
import { instant, plusMicros } from '../../domain/instants.js';
import type { AlertJudgement, JudgedWindow, Observed, RemedyState } from '../../domain/monitoring.js';
import { MonitorTest } from '../../domain/resources.js';

const tests = (...declared: object[]) => declared.map((test) => MonitorTest.parse(test));
const weekMicros = 7 * 86_400e6;
const window = (week: number): Window => {
  const start = plusMicros(instant('2001-04-02'), week * weekMicros);
  return { start, end: plusMicros(start, weekMicros) };
};
const metrics = (change: Partial<Metrics> = {}): Metrics => ({
  rows: 1000, positives: 200, auc: 0.7, log_loss: 0.4, brier: 0.15, calibration_gap: 0.01, calibration_error: 0.02, ...change,
}); // prettier-ignore
const observed = (change: Partial<Observed>): Observed => ({ window: window(0), version: 1, ...change });

const gapInTwoOfThree = {
  test: 'metric',
  metric: 'calibration_gap',
  absolute: true,
  max: 0.03,
  windows: { breached: 2, of: 3 },
};

describe('findings', () => {
  const drift = [
    { column: 'distance', psi: 0.05, nullShare: 0, noise: 0.001 },
    { column: 'hour', psi: 0.25, nullShare: 0.5 },
    { column: 'prediction', psi: null, nullShare: null },
  ];

  test('there is one for each test and column, with a reason', () => {
    const found = findingsOf(tests({ test: 'psi', max: 0.2 }), observed({ drift }));
    expect(found).toEqual([
      { test: 'psi', subject: 'distance', value: 0.05, threshold: 0.2, breached: false,
        details: { bounds: [{ kind: 'max', limit: 0.2, absolute: false }], reasons: ['psi of distance 0.0500 is not above 0.2'], noise: 0.001 } },
      { test: 'psi', subject: 'hour', value: 0.25, threshold: 0.2, breached: true,
        details: { bounds: [{ kind: 'max', limit: 0.2, absolute: false }], reasons: ['psi of hour 0.2500 is above 0.2'], noise: null } },
      { test: 'psi', subject: 'prediction', value: null, threshold: 0.2, breached: false,
        details: { bounds: [{ kind: 'max', limit: 0.2, absolute: false }], reasons: ['psi of prediction is not known: the window or the reference has no rows'], noise: null } },
    ]); // prettier-ignore
  });

  test.each<[object, Partial<Observed>, object]>([
    [{ test: 'null_share', max: 0.1, columns: ['hour'] }, { drift }, { subject: 'hour', value: 0.5, breached: true }],
    [{ test: 'null_share', max: 0.5, columns: ['hour'] }, { drift }, { subject: 'hour', value: 0.5, breached: false }],
    [{ test: 'psi', max: 0.1, columns: ['dst'] }, { drift }, { subject: 'dst', value: null, breached: false }],
    [{ test: 'row_count', min: 100 }, { rows: 99 }, { subject: 'rows', value: 99, threshold: 100, breached: true }],
    [{ test: 'row_count', min: 100 }, { rows: 100 }, { subject: 'rows', value: 100, breached: false }],
    [{ test: 'row_count', min: 100 }, { rows: 0 }, { subject: 'rows', value: 0, breached: true }],
    [gapInTwoOfThree, { metrics: metrics({ calibration_gap: -0.04 }) }, { test: 'calibration_gap', value: -0.04, breached: true }],
    [{ test: 'metric', metric: 'calibration_gap', max: 0.03 }, { metrics: metrics({ calibration_gap: -0.04 }) }, { breached: false }],
    [{ test: 'metric', metric: 'auc', min: 0.6 }, { metrics: metrics({ auc: null }) }, { value: null, breached: false }],
    [{ test: 'metric', metric: 'auc', min: 0.75, max: 0.99 }, { metrics: metrics() }, { value: 0.7, threshold: 0.75, breached: true }],
    [{ test: 'metric', metric: 'log_loss' }, { metrics: metrics() }, { value: 0.4, threshold: null, breached: false }],
  ])('%j of %j is %j', (test, seen, expected) => {
    const found = findingsOf(tests(test), observed(seen));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject(expected);
  }); // prettier-ignore

  test('what was not looked at gives none', () => {
    const all = tests(
      { test: 'psi', max: 1 },
      { test: 'null_share', max: 1 },
      { test: 'row_count', min: 1 },
      gapInTwoOfThree,
    );
    expect(findingsOf(all, observed({}))).toEqual([]);
  });

  test('two tests of one subject give one, breached if either is', () => {
    const found = findingsOf(
      tests({ test: 'psi', max: 0.2 }, { test: 'psi', max: 0.04, columns: ['distance'] }),
      observed({ drift }),
    );
    expect(found.map(({ subject, threshold, breached }) => [subject, threshold, breached])).toEqual([
      ['distance', 0.04, true],
      ['hour', 0.2, true],
      ['prediction', 0.2, false],
    ]);
    expect(found[0]?.details.reasons).toEqual([
      'psi of distance 0.0500 is not above 0.2',
      'psi of distance 0.0500 is above 0.04',
    ]);
  });
});

/** Windows of these gaps, the newest first; null is a window whose labels are not known. */
const gaps = (...values: (number | null | undefined)[]): JudgedWindow[] =>
  values.map((gap, age) => ({
    window: window(values.length - age),
    findings:
      gap === undefined
        ? []
        : findingsOf(tests(gapInTwoOfThree), observed({ metrics: metrics({ calibration_gap: gap }) })),
  }));

describe('two breached windows of three', () => {
  test.each<[(number | null | undefined)[], boolean]>([
    [[], false],
    [[0.05], false],
    [[0.05, 0.05], true],
    [[0.05, -0.05], true],
    [[0.05, 0.01, 0.05], true],
    [[0.01, 0.05, 0.05], true],
    [[0.01, 0.01, 0.05], false],
    [[0.05, 0.01, 0.01, 0.05], false],
    [[undefined, 0.05, 0.01, 0.05], true],
    [[null, 0.05, null, 0.01, 0.05], true],
    [[null, 0.05, null, 0.01, 0.01, 0.05], false],
    [[0.03, 0.03, 0.03], false],
    [[0.030001, 0.030001], true],
  ])('of the gaps %j, newest first, is a breach: %s', (values, breached) =>
    expect(judgeAlert({ tests: tests(gapInTwoOfThree), recent: gaps(...values), open: null }).breached).toBe(breached),
  );

  test('the reason shows the count and the figures', () =>
    expect(judgeAlert({ tests: tests(gapInTwoOfThree), recent: gaps(0.0353, 0.01, -0.0481, 0.9), open: null })).toEqual(
      {
        breached: true,
        breaches: [{ test: 'calibration_gap', subject: 'calibration_gap' }],
        judged: 1,
        unjudged: [],
        reasons: [
          '|calibration_gap| is above 0.03 in 2 of the last 3 judged windows, and 2 of 3 are a breach; newest first: 0.0353, 0.0100, -0.0481',
        ],
      },
    ));
});

describe('tests of one window', () => {
  const psiOf = (...windows: Record<string, number>[]): JudgedWindow[] =>
    windows.map((columns, age) => ({
      window: window(windows.length - age),
      findings: findingsOf(
        tests({ test: 'psi', max: 0.2 }),
        observed({ drift: Object.entries(columns).map(([column, psi]) => ({ column, psi, nullShare: 0 })) }),
      ),
    }));
  const judged = (declared: object, ...windows: Record<string, number>[]) =>
    judgeAlert({ tests: tests(declared), recent: psiOf(...windows), open: null });

  test('breach by the newest window alone, for any column', () => {
    expect(judged({ test: 'psi', max: 0.2 }, { a: 0.1, b: 0.3 }, { a: 0.3, b: 0.1 })).toMatchObject({
      breached: true,
      breaches: [{ test: 'psi', subject: 'b' }],
      judged: 2,
      reasons: ['psi of b 0.3000 is above 0.2 in the window from 2001-04-16T00:00:00Z'],
    });
    expect(judged({ test: 'psi', max: 0.2 }, { a: 0.1 }, { a: 0.9 })).toMatchObject({ breached: false, judged: 1 });
  });

  test('are judged as they are declared now', () => {
    expect(judged({ test: 'psi', max: 0.4 }, { a: 0.3 }).breached).toBe(false);
    expect(judged({ test: 'psi', max: 0.05, columns: ['b'] }, { a: 0.3, b: 0.01 })).toMatchObject({
      breached: false,
      judged: 1,
    });
  });

  test('without limits only record', () => {
    const recent = [
      {
        window: window(0),
        findings: findingsOf(tests({ test: 'metric', metric: 'auc' }), observed({ metrics: metrics() })),
      },
    ];
    expect(judgeAlert({ tests: tests({ test: 'metric', metric: 'auc' }), recent, open: null })).toMatchObject({
      breached: false,
      judged: 0,
    });
  });
});

describe('an open alert', () => {
  const open = { reasons: ['…'], breaches: [{ test: 'calibration_gap', subject: 'calibration_gap' } as const] };
  const judged = (...values: (number | null | undefined)[]): AlertJudgement =>
    judgeAlert({ tests: tests(gapInTwoOfThree), recent: gaps(...values), open });
  const remedy = (change: Partial<RemedyState>): RemedyState => ({
    verdict: 'promote', reasons: [], version: 2, rolledOut: false, ...change,
  }); // prettier-ignore
  const still =
    '|calibration_gap| is above 0.03 in 2 of the last 2 judged windows, and 2 of 3 are a breach; newest first: 0.0400, 0.0500';

  test.each<[string, AlertJudgement, RemedyState | null, boolean, string]>([
    ['whose remedy was rolled out', judged(0.04, 0.05), remedy({ rolledOut: true }), true, 'remedied by version 2'],
    ['that no longer breaches', judged(0.01, 0.02, 0.05), null, true,
      'the tests no longer breach: |calibration_gap| is above 0.03 in 1 of the last 3 judged windows, and 2 of 3 are a breach; newest first: 0.0100, 0.0200, 0.0500'],
    ['that breaches on', judged(0.04, 0.05), null, false, `no retraining was started; ${still}`],
    ['whose remedy was rejected', judged(0.04, 0.05), remedy({ verdict: 'reject', reasons: ['auc 0.6 is below 0.65'] }), false,
      `version 2 was rejected: auc 0.6 is below 0.65; ${still}`],
    ['whose remedy could not be judged', judged(0.04, 0.05), remedy({ verdict: 'inconclusive' }), false, `version 2 could not be judged; ${still}`],
    ['whose remedy was not rolled out', judged(0.04, 0.05), remedy({ reasons: ['an instance refused'] }), false,
      `version 2 passed its gates and was not rolled out: an instance refused; ${still}`],
    ['whose retraining failed', judged(0.04, 0.05), remedy({ verdict: null, version: null, reasons: ['the trainer ended with an error'] }), false,
      `the retraining gave no verdict: the trainer ended with an error; ${still}`],
    ['of which no window tells', judged(null, undefined), null, false,
      'no retraining was started; no window of the serving version tells about calibration_gap yet'],
  ])('%s', (_, now, state, resolved, reason) => expect(resolution({ now, remedy: state })).toEqual({ resolved, reason })); // prettier-ignore
});
