import { DomainError } from '../domain/errors.js';
import type { Column, PlannedWindow } from '../domain/features.js';
import { quoteName, timestamp, type Session } from '../lake/duckdb.js';
import { hashRows } from '../lake/rows.js';
import type { PinnedSource } from '../lake/sources/index.js';
import { compute, type ViewParts } from './views.js';

const isFloating = ({ type }: Column) => type === 'DOUBLE' || type === 'FLOAT';
/** Sums of doubles depend on the order in which threads add them; this is far above that and far below a value. */
const relativeTolerance = 1e-9;

/**
 * Many windows are computed by one query, so a view that looks further back than it declares, or ahead, would give rows that
 * depend on what else is computed beside them, and let the future in. One window from the middle is therefore computed once
 * more, alone, and must come out the same. Throws `lookback_too_short`.
 */
export async function checkLookback(
  session: Session,
  parts: ViewParts,
  windows: readonly PlannedWindow[],
  pinned: readonly PinnedSource[],
): Promise<void> {
  const window = windows[Math.floor(windows.length / 2)];
  if (windows.length < 2 || !window) return;
  await compute(session, parts, window, pinned, 'computed_alone');
  const column = quoteName(parts.view.spec.eventTime);
  const within = `${column} >= ${timestamp(window.start)} AND ${column} < ${timestamp(window.end)}`;
  const together = await lookOf(session, parts.columns, `(SELECT * FROM computed WHERE ${within})`);
  const alone = await lookOf(session, parts.columns, 'computed_alone');
  if (together.rowHash === alone.rowHash && together.sums.every((sum, at) => isClose(sum, alone.sums[at] ?? null)))
    return;
  const { name, spec } = parts.view;
  throw new DomainError(
    'lookback_too_short',
    `The window ${window.start} of view "${name}" has other rows when it is computed alone: its SQL sees rows outside of ${spec.lookback} before the window to its end.`,
    { view: name, lookback: spec.lookback, window: window.start },
  );
}

interface Look {
  /** Over the columns that are not floating-point. */
  readonly rowHash: string;
  /** Of each floating-point column: how many values, their sum, the sum of their sizes. */
  readonly sums: readonly { count: number; sum: number; size: number }[];
}

async function lookOf(session: Session, columns: readonly Column[], relation: string): Promise<Look> {
  const exact = columns.filter((column) => !isFloating(column));
  const floating = columns.filter(isFloating).map(({ name }) => quoteName(name));
  const { rowHash } = await hashRows(session, relation, exact);
  if (floating.length === 0) return { rowHash, sums: [] };
  const looks = floating.map((name) => {
    const finite = `FILTER (isfinite(${name}))`;
    return `{'count': count(${name})::DOUBLE, 'sum': coalesce(sum(${name}) ${finite}, 0)::DOUBLE, 'size': coalesce(sum(abs(${name})) ${finite}, 0)::DOUBLE}`;
  });
  const rows = await session.rows<{ sums: Look['sums'] }>(`SELECT [${looks.join(', ')}] AS sums FROM ${relation}`);
  const sums = rows[0]?.sums ?? [];
  return { rowHash, sums };
}

const isClose = (one: Look['sums'][number], other: Look['sums'][number] | null): boolean =>
  other !== null &&
  one.count === other.count &&
  Math.abs(one.sum - other.sum) <= relativeTolerance * Math.max(one.size, other.size);
