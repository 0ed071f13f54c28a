/** A difference as small as this is rounding: 0.705 − 0.7 is 0.00500000000000000444, and no worse than 0.005. */
export const roundingMax = 1e-12;

/** Whether a value is above a limit by more than rounding. */
export const above = (value: number, limit: number): boolean => value - limit > roundingMax;

/**
 * Figures of one sentence as people read them: four digits after the point, more where two different ones would look
 * the same. Whole numbers stay whole.
 */
export function figures(...values: number[]): string[] {
  const written = (digits: number) => values.map((value) => (Number.isInteger(value) ? `${value}` : value.toFixed(digits)));
  const distinct = new Set(values).size;
  let digits = 4;
  while (digits < 17 && new Set(written(digits)).size < distinct) digits += 1;
  return written(digits);
}
