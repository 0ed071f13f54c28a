import { fileURLToPath } from 'node:url';
import { startFlight, type FlightServer } from '../../../apps/flight/server.js';
import { createLogger } from '../../../apps/log.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';
import { jdbcDriver, runJdbc, type Outcome } from './driver.js';

let lake: TestLake;
let flight: FlightServer;
let outcomes: Map<string, Outcome>;
const manyRows = 200_000;

beforeAll(async () => {
  const driver = jdbcDriver();
  lake = await createTestLake();
  await lake.add('types', [
    `SELECT 1::INTEGER AS i, 10::BIGINT AS l, 0.5::DOUBLE AS f, 1234.56::DECIMAL(10,2) AS d, 'one'::VARCHAR AS t, true AS b,
       DATE '2020-02-29' AS day, TIMESTAMP '2026-01-02 03:04:05.678901' AS ts, '\\xAB'::BLOB AS bytes
     UNION ALL SELECT 2, NULL, NULL, -0.01, 'zwei é🚲', false, DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59.999999', NULL
     UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL`,
  ]);
  await lake.add('many', [`SELECT i::BIGINT AS i, 'row ' || i AS t FROM range(${manyRows}) r(i)`]);
  await lake.add('train', ['SELECT i::INTEGER AS id, -i::INTEGER AS label FROM range(3) r(i)'], { schema: 'datasets' });
  flight = await startFlight({
    ...{ host: '127.0.0.1', port: 0, lakeRoot: lake.root, tables: lake.reader },
    protoFolder: fileURLToPath(new URL('../../../proto', import.meta.url)),
    log: createLogger('flight', 'error', () => undefined),
    endpointBytes: 2 ** 20,
  });
  outcomes = await runJdbc(await driver, `jdbc:arrow-flight-sql://127.0.0.1:${flight.port}?useEncryption=false`);
}, 300_000);

afterAll(async () => {
  await flight?.stop(0);
  lake?.remove();
});

/** What the step answered; a test that expects an answer shows the error instead. */
const answer = (step: string): unknown => {
  const outcome = outcomes.get(step);
  return outcome && 'ok' in outcome ? outcome.ok : outcome;
};
const refusal = (step: string): string => {
  const outcome = outcomes.get(step);
  return outcome && 'error' in outcome ? outcome.error : JSON.stringify(outcome);
};

test.each([
  ['product', 'Eider'],
  ['read only', true],
  ['catalogs', [['eider']]],
  ['schemas', expect.arrayContaining([['datasets', 'eider'], ['features', 'eider']])], // prettier-ignore
  ['table types', [['TABLE']]],
  ['tables', [['eider', 'features', 'many', 'TABLE'], ['eider', 'features', 'types', 'TABLE']]], // prettier-ignore
  ['primary keys', []],
  ['imported keys', []],
])('metadata: %s', (step, expected) => {
  expect(answer(step)).toEqual(expected);
});

test('metadata: the columns of a table with the types of java.sql.Types and DuckDB’s names', () => {
  expect(answer('columns')).toEqual([
    ['i', 4, 'INTEGER', 1],
    ['l', -5, 'BIGINT', 2],
    ['f', 8, 'DOUBLE', 3],
    ['d', 3, expect.stringMatching(/^DECIMAL/), 4],
    ['t', 12, 'VARCHAR', 5],
    ['b', 16, 'BOOLEAN', 6],
    ['day', 91, 'DATE', 7],
    ['ts', 93, 'TIMESTAMP', 8],
    ['bytes', -3, 'BLOB', 9],
  ]);
});

test('values of every type and NULL are what was written', () => {
  expect(answer('types')).toEqual([
    [1, '10', '0.5', '1234.56', 'one', true, '2020-02-29', '2026-01-02 03:04:05.678901', 'ab'],
    [2, null, null, '-0.01', 'zwei é🚲', false, '1969-12-31', '1969-12-31 23:59:59.999999', null],
    [null, null, null, null, null, null, null, null, null],
  ]);
  expect(answer('classes')).toEqual(expect.arrayContaining(['d DECIMAL 10 2']));
});

test.each([
  ['join', [[1, -1], [2, -2]]],
  ['many rows', [String(manyRows), '20001788890']],
  ['no rows', []],
  ['execute', [true, -1]],
])('a statement: %s', (step, expected) => {
  expect(answer(step)).toEqual(expected);
}); // prettier-ignore

test.each([
  ['int parameter', [[2]]],
  ['two parameters', [[1], [2]]],
  ['typed parameters', [[true, -7, '9007199254740993', '0.1', '1.5', "'; DROP TABLE x; --", '2020-02-29']]],
  ['decimal parameter', [[1]]],
  ['timestamp parameter', [[1]]],
  ['null parameter', [[true]]],
  ['executed twice', [['one'], ['zwei é🚲']]],
  ['parameter metadata', [2, 4, 'i']],
])('a prepared statement: %s', (step, expected) => {
  expect(answer(step)).toEqual(expected);
});

test('cancelling ends a statement that would run for hours, and the connection goes on', () => {
  expect(answer('cancel')).toBe('cancelled');
  expect(answer('after cancel')).toEqual([[1]]);
});

test.each([
  ['insert', 'INSERT is not served: tables can be read here, by SELECT, and nothing can be changed.'],
  ['create', 'CREATE is not served'],
  ['syntax', 'syntax error at or near "SELEC", at line 1, column 1.'],
  ['no table', 'There is no "nothing" under features.'],
  ['no column', 'Referenced column "nothing" not found'],
  ['file', 'The table function read_text is not served here.'],
  ['late error', "Could not convert string 'row 199999' to INT32"],
])('%s is refused with a sentence', (step, sentence) => {
  expect(refusal(step)).toContain(sentence);
});

test('after every refusal the connection goes on', () => {
  expect(answer('still there')).toEqual([[42]]);
});
