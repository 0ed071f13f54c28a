import type { Metrics, Verdict } from '../evaluation.js';
import type { Gate, MetricName } from '../resources.js';
import { above, figures } from './figures.js';

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
  const checks = [...preconditions(candidate, champion), ...gates.flatMap((gate) => checksOf(gate, candidate, champion))];
  const reasons = checks.map(({ reason }) => reason);
  if (gates.length === 0) reasons.push('no gate is declared');
  if (checks.some(({ outcome }) => outcome === 'broken')) return { verdict: 'reject', reasons };
  if (checks.some(({ outcome }) => outcome === 'unknown')) return { verdict: 'inconclusive', reasons };
  return { verdict: 'promote', reasons };
}

function preconditions(candidate: Metrics, champion: Metrics | null): Check[] {
  if (candidate.rows === 0) return [{ outcome: 'unknown', reason: 'the candidate was judged on no rows' }];
  if (champion === null || (champion.rows === candidate.rows && champion.positives === candidate.positives)) return [];
  const rows = ({ rows, positives }: Metrics) => `${rows} rows with ${positives} positives`;
  const reason = `the candidate was judged on ${rows(candidate)}, the champion on ${rows(champion)}: not the same rows`;
  return [{ outcome: 'unknown', reason }];
}

function checksOf(gate: Gate, candidate: Metrics, champion: Metrics | null): Check[] {
  const name = shownName(gate.metric);
  const value = compared(gate.metric, candidate);
  if (value === null) return [{ outcome: 'unknown', reason: `${gate.metric} is not known: ${whyUnknown(candidate)}` }];
  const checks: Check[] = [];
  if (gate.max !== undefined) checks.push(maxCheck(name, value, gate.max));
  if (gate.min !== undefined) checks.push(minCheck(name, value, gate.min));
  if (gate.worseThanChampionBy !== undefined) checks.push(relativeCheck(gate.metric, value, champion, gate.worseThanChampionBy));
  return checks;
}

function maxCheck(name: string, value: number, max: number): Check {
  const [shown] = figures(value, max);
  return above(value, max)
    ? { outcome: 'broken', reason: `${name} ${shown} is above ${max}` }
    : { outcome: 'holds', reason: `${name} ${shown} is not above ${max}` };
}

function minCheck(name: string, value: number, min: number): Check {
  const [shown] = figures(value, min);
  return above(min, value)
    ? { outcome: 'broken', reason: `${name} ${shown} is below ${min}` }
    : { outcome: 'holds', reason: `${name} ${shown} is not below ${min}` };
}

function relativeCheck(metric: MetricName, value: number, champion: Metrics | null, by: number): Check {
  const name = shownName(metric);
  if (champion === null) {
    const [shown] = figures(value);
    return { outcome: 'holds', reason: `${name} ${shown} has no champion to be worse than: it is the first model of its name` };
  }
  const other = compared(metric, champion);
  if (other === null) return { outcome: 'unknown', reason: `the champion's ${metric} is not known: ${whyUnknown(champion)}` };
  const worse = higherIsBetter(metric) ? other - value : value - other;
  const [mine, theirs] = figures(value, other);
  return above(worse, by)
    ? { outcome: 'broken', reason: `${name} ${mine} is worse than the champion's ${theirs} by more than ${by}` }
    : { outcome: 'holds', reason: `${name} ${mine} is not worse than the champion's ${theirs} by more than ${by}` };
}

const higherIsBetter = (metric: MetricName): boolean => metric === 'auc';
/** A gap of −0.02 is as bad as one of 0.02: gates compare its size. */
const bySize = (metric: MetricName): boolean => metric === 'calibration_gap';
const shownName = (metric: MetricName): string => (bySize(metric) ? `|${metric}|` : metric);

function compared(metric: MetricName, metrics: Metrics): number | null {
  const value = metrics[metric];
  return value !== null && bySize(metric) ? Math.abs(value) : value;
}

const whyUnknown = ({ rows, positives }: Metrics): string =>
  rows === 0 ? 'there are no rows' : `of ${rows} rows ${positives} are positive`;
