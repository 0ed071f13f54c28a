import { DomainError } from '../domain/errors.js';
import type { Column } from '../domain/features.js';
import type { Signature } from '../domain/serving.js';
import { quoteName, type Session } from '../lake/duckdb.js';
import { readMatrix, rowIndex, writePredictions } from '../lake/matrix.js';
import { predictRows, type Models } from '../models/onnx.js';
import type { Objects } from '../lake/objects.js';

export interface ScoringModel {
  readonly key: string;
  readonly sha256: string;
  readonly signature: Signature;
}

/** Inputs of a model that rows of these columns do not have. */
export const absentInputs = ({ inputs }: Signature, columns: readonly Column[]): string[] =>
  (inputs[0]?.columns ?? []).filter((input) => !columns.some(({ name }) => name === input));

/** Numbers the rows of a relation in a fixed order, into a temporary table. */
export async function numberRows(
  session: Session,
  table: string,
  relation: string,
  orderBy: readonly string[],
): Promise<number> {
  const order = orderBy.map(quoteName).join(', ');
  await session.run(
    `CREATE OR REPLACE TEMP TABLE ${quoteName(table)} AS SELECT (row_number() OVER (ORDER BY ${order}) - 1)::INTEGER AS ${rowIndex}, * FROM ${relation}`,
  );
  const [count] = await session.rows<{ rows: number }>(`SELECT count(*)::INTEGER AS rows FROM ${quoteName(table)}`);
  return count?.rows ?? 0;
}

/** Has the model answer every row of a numbered table; the predictions go to the temporary table `into`. */
export async function predictTable(
  models: Models,
  artifacts: Objects,
  session: Session,
  model: ScoringModel,
  table: string,
  into: string,
): Promise<void> {
  const columns = model.signature.inputs[0]?.columns ?? [];
  const loaded = await models.load(artifacts.path(model.key), model.sha256, model.signature);
  try {
    const written = await writePredictions(
      session,
      into,
      predictRows(models, loaded, readMatrix(session, quoteName(table), columns)),
    );
    const [count] = await session.rows<{ rows: number }>(`SELECT count(*)::INTEGER AS rows FROM ${quoteName(table)}`);
    if (written !== count?.rows) throw new DomainError('internal', `${written} predictions for ${count?.rows} rows.`);
  } finally {
    await models.unload(loaded);
  }
}

/** A numbered table with its predictions beside it, as a relation. */
export const withPredictions = (table: string, predictions: string): string =>
  `(SELECT t.*, p.prediction FROM ${quoteName(table)} AS t JOIN ${quoteName(predictions)} AS p USING (${rowIndex}))`;
