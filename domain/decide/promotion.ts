import type { Metrics, Verdict } from '../evaluation.js';
import type { Gate, MetricName } from '../resources.js';
import { above, boundsOf, boundSentence, breaks, figures, shownName, type Bound } from './bounds.js';

type Outcome = 'holds' | 'broken' | 'unknown';
interface Check {
  readonly outcome: Outcome;
  readonly reason: string;
}

/**
 * Whether a candidate may take the champion's place. One broken bound rejects; else one that cannot be judged makes it
 * inconclusive; else it is promoted. Both metrics must be of the same rows. `champion` is null for the first model of its name.
 */
export function judge(candidate: Metrics, champion: Metrics | null, gates: readonly Gate[]): Verdict {
  const checks = [
    ...preconditions(candidate, champion),
    ...gates.flatMap((gate) => checksOf(gate, candidate, champion)),
  ];
  const reasons = checks.map(({ reason }) => reason);
  if (gates.length === 0) reasons.push('no gate is declared');
  if (checks.some(({ outcome }) => outcome === 'broken')) return { verdict: 'reject', reasons };
  if (checks.some(({ outcome }) => outcome === 'unknown')) return { verdict: 'inconclusive', reasons };
  return { verdict: 'promote', reasons };
}

function preconditions(candidate: Metrics, champion: Metrics | null): Check[] {
  if (candidate.rows === 0) return [unknown('the candidate was judged on no rows')];
  if (champion === null || (champion.rows === candidate.rows && champion.positives === candidate.positives)) return [];
  const rows = ({ rows, positives }: Metrics) => `${rows} rows with ${positives} positives`;
  return [
    unknown(`the candidate was judged on ${rows(candidate)}, the champion on ${rows(champion)}: not the same rows`),
  ];
}

function checksOf(gate: Gate, candidate: Metrics, champion: Metrics | null): Check[] {
  const value = candidate[gate.metric];
  if (value === null) return [unknown(`${gate.metric} is not known: ${whyUnknown(candidate)}`)];
  const bounds = boundsOf(gate, bySize(gate.metric)).map((bound) => boundCheck(gate.metric, value, bound));
  if (gate.worseThanChampionBy === undefined) return bounds;
  return [...bounds, relativeCheck(gate.metric, value, champion, gate.worseThanChampionBy)];
}

function boundCheck(metric: MetricName, value: number, bound: Bound): Check {
  return { outcome: breaks(value, bound) ? 'broken' : 'holds', reason: boundSentence(metric, value, bound) };
}

function relativeCheck(metric: MetricName, value: number, champion: Metrics | null, by: number): Check {
  const sized = (figure: number) => (bySize(metric) ? Math.abs(figure) : figure);
  const name = shownName(metric, { absolute: bySize(metric) });
  if (champion === null) {
    const [shown] = figures(sized(value));
    return {
      outcome: 'holds',
      reason: `${name} ${shown} has no champion to be worse than: the first model of its name`,
    };
  }
  const other = champion[metric];
  if (other === null) return unknown(`the champion's ${metric} is not known: ${whyUnknown(champion)}`);
  const worse = (sized(value) - sized(other)) * (higherIsBetter(metric) ? -1 : 1);
  const [mine, theirs] = figures(sized(value), sized(other));
  const broken = above(worse, by);
  const reason = `${name} ${mine} is ${broken ? '' : 'not '}worse than the champion's ${theirs} by more than ${by}`;
  return { outcome: broken ? 'broken' : 'holds', reason };
}

const higherIsBetter = (metric: MetricName): boolean => metric === 'auc';
/** A gap of −0.02 is as bad as one of 0.02: gates compare its size. */
const bySize = (metric: MetricName): boolean => metric === 'calibration_gap';
const unknown = (reason: string): Check => ({ outcome: 'unknown', reason });
const whyUnknown = ({ rows, positives }: Metrics): string =>
  rows === 0 ? 'there are no rows' : `of ${rows} rows ${positives} are positive`;
