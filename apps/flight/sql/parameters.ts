import { RecordBatchReader, type Field, type RecordBatch, type Vector } from 'apache-arrow';
import { DomainError, isDomainError } from '../../../domain/errors.js';
import type { Parameter } from '../../../lake/statements/statements.js';
import { ipcStream } from '../incoming.js';
import type { FlightData } from '../protocol.js';
import { parameterOf } from './values.js';

/**
 * What a client binds: one row, a column for each parameter, in their order. Null: no row. Reads the stream to its end. Throws
 * `parameters_invalid`.
 */
export async function readParameters(messages: AsyncIterable<FlightData>): Promise<Parameter[] | null> {
  let only: RecordBatch | null = null;
  let rows = 0;
  for await (const batch of batchesOf(messages)) {
    rows += batch.numRows;
    only ??= batch.numRows > 0 ? batch : null;
  }
  if (only === null) return null;
  if (rows > 1)
    throw new DomainError('parameters_invalid', `A SELECT takes one row of parameters, not ${rows}.`, { rows });
  const batch = only;
  return batch.schema.fields.map((field, index) => valueOf(field, batch.getChildAt(index) as Vector));
}

/** A body that does not hold what its schema says shows when it is read. */
function valueOf(field: Field, column: Vector): Parameter {
  try {
    return parameterOf(field, column);
  } catch (error) {
    if (isDomainError(error)) throw error;
    throw new DomainError('parameters_invalid', `Column "${field.name}" of the parameters cannot be read.`, {}, { cause: error }); // prettier-ignore
  }
}

async function* batchesOf(messages: AsyncIterable<FlightData>): AsyncGenerator<RecordBatch> {
  const rest = messages[Symbol.asyncIterator]();
  try {
    const reader = await RecordBatchReader.from(ipcStream({ [Symbol.asyncIterator]: () => rest }));
    await reader.open();
    yield* reader as AsyncIterable<RecordBatch>;
  } catch (error) {
    for (let next = await rest.next(); !next.done; next = await rest.next());
    const said = error instanceof Error ? error.message : String(error);
    throw new DomainError('parameters_invalid', `They are no stream of Arrow: ${said}`, {}, { cause: error });
  }
}
