/** A limit as declared: `max` may not be exceeded, `min` not undershot; `absolute` compares without the sign. */
export interface Bound {
  readonly kind: 'max' | 'min';
  readonly limit: number;
  readonly absolute: boolean;
}

/** A difference as small as this is rounding: 0.705 − 0.7 is 0.00500000000000000444, and no worse than 0.005. */
const roundingMax = 1e-12;

export const above = (value: number, limit: number): boolean => value - limit > roundingMax;

export function breaks(value: number, { kind, limit, absolute }: Bound): boolean {
  const compared = absolute ? Math.abs(value) : value;
  return kind === 'max' ? above(compared, limit) : above(limit, compared);
}

/** E.g. `|calibration_gap| 0.0481 is above 0.03`, or `… is not above 0.03` when the bound holds. */
export function boundSentence(name: string, value: number, bound: Bound): string {
  const compared = bound.absolute ? Math.abs(value) : value;
  const [shown] = figures(compared, bound.limit);
  const side = bound.kind === 'max' ? 'above' : 'below';
  return `${shownName(name, bound)} ${shown} is ${breaks(value, bound) ? '' : 'not '}${side} ${bound.limit}`;
}

export const shownName = (name: string, { absolute }: Pick<Bound, 'absolute'>): string =>
  absolute ? `|${name}|` : name;

/** The bounds of anything that declares `max` and `min`, the upper first. */
export function boundsOf({ max, min }: { max?: number; min?: number }, absolute: boolean): Bound[] {
  const bounds: Bound[] = [];
  if (max !== undefined) bounds.push({ kind: 'max', limit: max, absolute });
  if (min !== undefined) bounds.push({ kind: 'min', limit: min, absolute });
  return bounds;
}

/**
 * Figures of one sentence as people read them: four digits after the point, more where two different ones would look
 * the same. Whole numbers stay whole.
 */
export function figures(...values: number[]): string[] {
  const written = (digits: number) =>
    values.map((value) => (Number.isInteger(value) ? `${value}` : value.toFixed(digits)));
  const looksDistinct = (digits: number) => new Set(written(digits).map(Number)).size === new Set(values).size;
  let digits = 4;
  while (digits < 17 && !looksDistinct(digits)) digits += 1;
  return written(digits);
}
