import { judge } from '../../domain/decide/promotion.js';
import type { Metrics } from '../../domain/evaluation.js';
import type { Gate } from '../../domain/resources.js';

const champion: Metrics = {
  rows: 1000,
  positives: 200,
  auc: 0.7,
  log_loss: 0.3535,
  brier: 0.11,
  calibration_gap: -0.03,
  calibration_error: 0.04,
};
const like = (change: Partial<Metrics>): Metrics => ({ ...champion, ...change });

describe('one gate', () => {
  test.each<[Gate, Partial<Metrics>, string, string]>([
    [{ metric: 'log_loss', worseThanChampionBy: 0 }, { log_loss: 0.3488 }, 'promote', "log_loss 0.3488 is not worse than the champion's 0.3535 by more than 0"],
    [{ metric: 'log_loss', worseThanChampionBy: 0 }, {}, 'promote', "log_loss 0.3535 is not worse than the champion's 0.3535 by more than 0"],
    [{ metric: 'log_loss', worseThanChampionBy: 0 }, { log_loss: 0.36 }, 'reject', "log_loss 0.3600 is worse than the champion's 0.3535 by more than 0"],
    [{ metric: 'log_loss', worseThanChampionBy: 0 }, { log_loss: 0.353501 }, 'reject', "log_loss 0.353501 is worse than the champion's 0.353500 by more than 0"],
    [{ metric: 'auc', worseThanChampionBy: 0.005 }, { auc: 0.695 }, 'promote', "auc 0.6950 is not worse than the champion's 0.7000 by more than 0.005"],
    [{ metric: 'auc', worseThanChampionBy: 0.005 }, { auc: 0.6949 }, 'reject', "auc 0.6949 is worse than the champion's 0.7000 by more than 0.005"],
    [{ metric: 'auc', worseThanChampionBy: 0 }, { auc: 0.8 }, 'promote', "auc 0.8000 is not worse than the champion's 0.7000 by more than 0"],
    [{ metric: 'calibration_gap', worseThanChampionBy: 0 }, { calibration_gap: 0.02 }, 'promote', "|calibration_gap| 0.0200 is not worse than the champion's 0.0300 by more than 0"],
    [{ metric: 'calibration_gap', worseThanChampionBy: 0 }, { calibration_gap: 0.04 }, 'reject', "|calibration_gap| 0.0400 is worse than the champion's 0.0300 by more than 0"],
    [{ metric: 'calibration_gap', max: 0.02 }, {}, 'reject', '|calibration_gap| 0.0300 is above 0.02'],
    [{ metric: 'brier', max: 0.11 }, {}, 'promote', 'brier 0.1100 is not above 0.11'],
    [{ metric: 'brier', max: 0.1 }, {}, 'reject', 'brier 0.1100 is above 0.1'],
    [{ metric: 'auc', min: 0.7 }, {}, 'promote', 'auc 0.7000 is not below 0.7'],
    [{ metric: 'auc', min: 0.65 }, { auc: 0.6 }, 'reject', 'auc 0.6000 is below 0.65'],
    [{ metric: 'auc', min: 0.65 }, { auc: null, positives: 200 }, 'inconclusive', 'auc is not known: of 1000 rows 200 are positive'],
  ])('%j with %j: %s', (gate, change, verdict, reason) =>
    expect(judge(like(change), champion, [gate])).toEqual({ verdict, reasons: [reason] }),
  );
}); // prettier-ignore

test('every bound gives a reason, those that hold as well', () => {
  const gates: Gate[] = [
    { metric: 'auc', min: 0.6, max: 0.99, worseThanChampionBy: 0.005 },
    { metric: 'log_loss', max: 0.3 },
  ];
  expect(judge(champion, champion, gates)).toEqual({
    verdict: 'reject',
    reasons: [
      'auc 0.7000 is not above 0.99',
      'auc 0.7000 is not below 0.6',
      "auc 0.7000 is not worse than the champion's 0.7000 by more than 0.005",
      'log_loss 0.3535 is above 0.3',
    ],
  });
});

test('the first model of its name passes gates that compare, and must pass the others', () => {
  const gates: Gate[] = [{ metric: 'log_loss', worseThanChampionBy: 0 }];
  const reason = 'log_loss 0.3535 has no champion to be worse than: the first model of its name';
  expect(judge(champion, null, gates)).toEqual({ verdict: 'promote', reasons: [reason] });
  expect(judge(champion, null, [...gates, { metric: 'auc', min: 0.8 }])).toEqual({
    verdict: 'reject',
    reasons: [reason, 'auc 0.7000 is below 0.8'],
  });
});

test('a broken bound rejects even when another cannot be judged', () => {
  const gates: Gate[] = [
    { metric: 'auc', min: 0.6 },
    { metric: 'log_loss', max: 0.3 },
  ];
  expect(judge(like({ auc: null }), null, gates).verdict).toBe('reject');
});

test('what the champion does not have cannot be compared', () => {
  const verdict = judge(champion, like({ auc: null }), [{ metric: 'auc', worseThanChampionBy: 0 }]);
  expect(verdict).toEqual({
    verdict: 'inconclusive',
    reasons: ["the champion's auc is not known: of 1000 rows 200 are positive"],
  });
});

test('figures of other rows are not compared', () => {
  const verdict = judge(champion, like({ rows: 999 }), [{ metric: 'auc', worseThanChampionBy: 0 }]);
  expect(verdict.verdict).toBe('inconclusive');
  expect(verdict.reasons[0]).toBe(
    'the candidate was judged on 1000 rows with 200 positives, the champion on 999 rows with 200 positives: not the same rows',
  );
});

test('without rows nothing is promoted, even without gates', () => {
  const empty: Metrics = {
    rows: 0, positives: 0, auc: null, log_loss: null, brier: null, calibration_gap: null, calibration_error: null,
  }; // prettier-ignore
  expect(judge(empty, null, [])).toEqual({
    verdict: 'inconclusive',
    reasons: ['the candidate was judged on no rows', 'no gate is declared'],
  });
  expect(judge(empty, null, [{ metric: 'brier', max: 1 }]).reasons).toContain('brier is not known: there are no rows');
});

test('without gates a candidate is promoted, and the reason says so', () =>
  expect(judge(champion, champion, [])).toEqual({ verdict: 'promote', reasons: ['no gate is declared'] }));
