import fc from 'fast-check';
import { instant } from '../../domain/instants.js';
import type { OnlineShape, OnlineValue } from '../../domain/online.js';
import { keyText, valueOf } from '../../domain/online-values.js';
import { quoteText } from '../../lake/duckdb.js';
import * as sql from '../../lake/online.js';
import { overlay } from '../../lake/pushes.js';
import { withLake, type TestLake } from '../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const texts = async (type: string, literals: readonly string[]) => {
  const column = [{ name: 'v', type }];
  return lake.query<{ key: string | null; features: string }>(
    `SELECT ${sql.keyText(column)} AS key, ${sql.featuresText(column)} AS features FROM (VALUES ${literals.map((literal) => `(${literal}::${type})`).join(', ')}) t(v)`,
  );
};

test.each<[string, string, unknown]>([
  ['BOOLEAN', 'true', true],
  ['INTEGER', '-5', -5],
  ['BIGINT', '9007199254740991', 9007199254740991],
  ['BIGINT', '9007199254740992', '9007199254740992'],
  ['BIGINT', "'-9223372036854775808'", '-9223372036854775808'],
  ['DOUBLE', '0.1', 0.1],
  ['DOUBLE', '-0.0', -0],
  ['DOUBLE', '1e300', 1e300],
  ['DOUBLE', '5e-324', 5e-324],
  ['DOUBLE', "'nan'", 'NaN'],
  ['DOUBLE', "'-infinity'", '-Infinity'],
  ['FLOAT', '0.1', 0.1],
  ['VARCHAR', "'ü\"\\ /' || chr(10) || chr(31) || chr(127) || chr(8232)", 'ü"\\ /\n\x1f\x7f\u2028'],
  ['VARCHAR', "''", ''],
  ['DATE', "'2001-02-28'", '2001-02-28'],
  ['TIMESTAMP', "'2001-01-01 00:00:00.000001'", '2001-01-01T00:00:00.000001Z'],
  ['TIMESTAMP WITH TIME ZONE', "'2001-01-01 05:30:00+05:30'", '2001-01-01T00:00:00Z'],
])('a %s %s has the same text in DuckDB as in TypeScript', async (type, literal, given) => {
  const value = valueOf(type, given);
  const [row] = await texts(type, [literal]);
  const expected = keyText([{ name: 'v', type }], [value]);
  expect(row?.key).toBe(expected);
  const [feature] = JSON.parse(row?.features ?? '') as OnlineValue[];
  expect([plain(feature)]).toEqual([plain(value)]);
});

/** JSON of TypeScript does not know minus zero. */
const plain = (value: OnlineValue | undefined) => (value === 0 ? 0 : value);

test('any double and any text has the same key in DuckDB as in TypeScript', async () => {
  const doubles = fc.sample(fc.double({ noNaN: true, noDefaultInfinity: true }), { numRuns: 300, seed: 4 });
  const found = await texts('DOUBLE', doubles.map((value) => `'${value}'`)); // prettier-ignore
  expect(found.map(({ key }) => key)).toEqual(
    doubles.map((value) => keyText([{ name: 'v', type: 'DOUBLE' }], [value])),
  );
  const words = fc
    .sample(fc.string({ unit: 'binary' }), { numRuns: 300, seed: 4 })
    .filter((text) => !text.includes('\0'));
  const keys = await texts('VARCHAR', words.map(quoteText));
  expect(keys.map(({ key }) => key)).toEqual(words.map((text) => keyText([{ name: 'v', type: 'VARCHAR' }], [text])));
});

test('composite keys do not run together, and a NULL in one is no key', async () => {
  const keys = ['a', 'b'].map((name) => ({ name, type: 'VARCHAR' }));
  const rows = await lake.query<{ key: string | null }>(`SELECT ${sql.keyText(keys)} AS key FROM (VALUES ('1', '23'), ('12', '3'), ('1', NULL)) t(a, b)`); // prettier-ignore
  expect(rows.map(({ key }) => key)).toEqual(['["1","23"]', '["12","3"]', null]);
  expect(keyText(keys, ['1', null])).toBeNull();
});

const shape: OnlineShape = {
  ...{ keys: [{ name: 'k', type: 'BIGINT' }], eventTime: 'at', knownAt: 'noted', ttlMicros: null },
  features: [{ name: 'x', type: 'DOUBLE' }, { name: 'eider_event_at', type: 'BIGINT' }], // prettier-ignore
};
const relation = (...rows: string[]) => `(SELECT k::BIGINT AS k, "at"::TIMESTAMP AS "at", noted::TIMESTAMP AS noted, x::DOUBLE AS x, eider_event_at::BIGINT AS eider_event_at FROM (VALUES ${rows.join(', ')}) t(k, "at", noted, x, eider_event_at))`; // prettier-ignore

test('the latest row of a key is that of the greatest event time, known-at and content that could be known', async () => {
  const rows = relation(
    "(1, '2001-01-01', NULL, 1, 0)",
    "(1, '2001-01-02', NULL, 2, 0)",
    "(1, '2001-01-02', '2001-01-02 01:00', 1, 7)",
    "(1, '2001-01-02', '2001-01-02 01:00', 1, 6)",
    "(1, '2001-01-02', '2001-01-09', 9, 0)",
    "(1, '2001-01-08', NULL, 8, 0)",
    "(NULL, '2001-01-02', NULL, 5, 0)",
    '(2, NULL, NULL, 5, 0)',
    "(3, 'infinity', NULL, 5, 0)",
  );
  const latest = sql.latestRows(rows, shape, instant('2001-01-07'));
  expect(await lake.query(`SELECT k, "#event_at"::VARCHAR AS at, "#known_at"::VARCHAR AS noted, x, eider_event_at FROM ${latest} ORDER BY ALL`)).toEqual([{ k: '1', at: '2001-01-02 00:00:00', noted: '2001-01-02 01:00:00', x: 1, eider_event_at: '7' }]); // prettier-ignore
  expect(await lake.query(`SELECT * FROM ${sql.latestRows(rows, { ...shape, keys: [] }, instant('2001-01-07'))}`)).toHaveLength(1); // prettier-ignore
});

test('what is pushed stands above rows with the same key and instants, a NULL known-at being the event time', async () => {
  const base = relation("(1, '2001-01-01', '2001-01-01', 1, 0)", "(1, '2001-01-01', '2001-01-02', 2, 0)", "(2, '2001-01-01', NULL, 3, 0)"); // prettier-ignore
  const top = relation("(1, '2001-01-01', NULL, 10, 0)", "(3, '2001-01-01', NULL, 30, 0)");
  expect(await lake.query(`SELECT x FROM ${overlay(base, top, shape)} ORDER BY x`)).toEqual([2, 3, 10, 30].map((x) => ({ x }))); // prettier-ignore
});
