import { DomainError } from '../../domain/errors.js';
import { duckdbError } from './failure.js';
import { holdResult, library, type Pointer } from './library.js';
import type { Question, Questions } from './messages.js';
import type { Description, ReadPlan } from './plan.js';
import { prepare, runAll } from './prepare.js';
import { schemaMessage } from './schema.js';
import { destroyType, isUnknown, typeReader } from './types.js';

interface Asked {
  readonly connection: Pointer;
  readonly lakeRoot: string;
}

/** What a thread answers without a stream; each is short. */
export const answers: { [Name in Question]: (asked: Asked, ask: Questions[Name]['ask']) => Questions[Name]['answer'] } =
  {
    describe,
    text,
  };

function describe({ connection, lakeRoot }: Asked, plan: ReadPlan): Description {
  const duckdb = library();
  runAll(connection, plan.setup, lakeRoot);
  return prepare(connection, plan.sql, lakeRoot, (prepared) => {
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
  });
}

function text({ connection, lakeRoot }: Asked, { setup, sql, values }: Questions['text']['ask']): string {
  const duckdb = library();
  runAll(connection, setup, lakeRoot);
  const result = holdResult();
  return prepare(connection, sql, lakeRoot, (prepared) => {
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
  });
}
