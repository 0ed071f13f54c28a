import { DomainError } from '../../domain/errors.js';
import type { Lent } from './connections.js';
import { duckdbError } from './failure.js';
import { holdResult, library, type Pointer } from './library.js';
import type { Question, Questions } from './messages.js';
import type { Description } from './plan.js';
import { orDestroyed, prepared } from './prepare.js';
import { schemaMessage } from './schema.js';
import { destroyType, isUnknown, typeReader } from './types.js';

interface Asked {
  readonly lent: Lent;
  readonly lakeRoot: string;
}

/** What a thread answers without a stream, and the statement that it prepared for it; each is short. */
export const answers: {
  [Name in Question]: (
    asked: Asked,
    ask: Questions[Name]['ask'],
  ) => { readonly answer: Questions[Name]['answer']; readonly prepared: Pointer };
} = {
  describe({ lent, lakeRoot }, plan) {
    const statement = prepared(lent, plan, lakeRoot);
    return { answer: orDestroyed(statement, () => descriptionOf(statement)), prepared: statement };
  },
  text({ lent, lakeRoot }, ask) {
    const statement = prepared(lent, ask, lakeRoot);
    return { answer: orDestroyed(statement, () => textOf(statement, ask.values, lakeRoot)), prepared: statement };
  },
};

function descriptionOf(prepared: Pointer): Description {
  const duckdb = library();
  const [typeOf, typeOfParameter] = [typeReader(), typeReader()];
  const columns = Array.from({ length: duckdb.preparedColumnCount(prepared) }, (_, index) => {
    const name = duckdb.preparedColumnName(prepared, index) ?? '';
    return { name, type: typeOf(name, duckdb.preparedColumnType(prepared, index)) };
  });
  const parameters = Array.from({ length: duckdb.parameterCount(prepared) }, (_, index) => {
    const type = duckdb.parameterType(prepared, index + 1);
    if (!isUnknown(type)) return typeOfParameter(`$${index + 1}`, type).sql;
    destroyType(type);
    return 'UNKNOWN';
  });
  return {
    schema: schemaMessage(columns),
    columns: columns.map(({ name, type }) => ({ name, type: type.sql })),
    parameters,
  };
}

function textOf(prepared: Pointer, values: readonly string[], lakeRoot: string): string {
  const duckdb = library();
  const result = holdResult();
  values.forEach((value, index) => duckdb.bindText(prepared, index + 1, value));
  try {
    if (duckdb.executePrepared(prepared, result.address) !== 0)
      throw duckdbError(duckdb.resultError(result.address) ?? 'no reason', duckdb.resultErrorType(result.address), lakeRoot); // prettier-ignore
    const at = duckdb.valueText(result.address, 0, 0);
    if (at === 0) throw new DomainError('internal', 'DuckDB answered no text.');
    const answer = duckdb.textAt(at);
    duckdb.free(at);
    return answer;
  } finally {
    duckdb.destroyResult(result.address);
  }
}
