import { DomainError } from '../domain/errors.js';
import type { GoldenRows } from '../domain/serving.js';
import type { LoadedModel, Models, Rows } from './onnx.js';

/**
 * Has the model answer the golden rows. Returns how far it was off at most; throws `golden_rows_differ` with the worst row
 * when that is more than the tolerance, or when one side has a number and the other none.
 */
export async function checkGolden(
  models: Models,
  model: LoadedModel,
  golden: GoldenRows,
): Promise<{ rows: number; differenceMax: number }> {
  const { inputs, predictions: expected, tolerance } = golden;
  if (inputs.length !== expected.length || inputs.length === 0) {
    throw new DomainError(
      'golden_rows_differ',
      `There are ${inputs.length} golden rows and ${expected.length} predictions.`,
    );
  }
  const found = await models.run(model, goldenMatrix(model, inputs));
  let worst = 0;
  let differenceMax = 0;
  expected.forEach((prediction, row) => {
    const difference = differenceOf(prediction, found[row] ?? NaN);
    if (difference > differenceMax) [worst, differenceMax] = [row, difference];
  });
  if (differenceMax > tolerance) {
    const [wanted, got] = [expected[worst], found[worst]];
    throw new DomainError(
      'golden_rows_differ',
      `Golden row ${worst}: the model answers ${got}, its trainer recorded ${wanted}; allowed is a difference of ${tolerance}.`,
      { row: worst, expected: String(wanted), found: String(got), tolerance, inputs: inputs[worst] },
    );
  }
  return { rows: inputs.length, differenceMax };
}

function goldenMatrix(model: LoadedModel, inputs: GoldenRows['inputs']): Rows {
  const columns = model.signature.inputs[0]?.columns.length ?? 0;
  const data = new Float32Array(inputs.length * columns);
  inputs.forEach((values, row) => {
    if (values.length !== columns) {
      throw new DomainError(
        'golden_rows_differ',
        `Golden row ${row} has ${values.length} values, the model takes ${columns}.`,
        { row },
      );
    }
    data.set(
      values.map((value) => value ?? NaN),
      row * columns,
    );
  });
  return { rows: inputs.length, columns, data };
}

/** Two missing predictions are equal; a missing one and a number could not be further apart. */
function differenceOf(a: number, b: number): number {
  if (Number.isNaN(a) && Number.isNaN(b)) return 0;
  const difference = Math.abs(a - b);
  return Number.isNaN(difference) ? (a === b ? 0 : Infinity) : difference;
}
