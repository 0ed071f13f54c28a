import { feastWriter } from '../../apps/api/feast-values.js';
import { JsonBytes, RowValues } from '../../apps/api/online-bytes.js';

const rows = [
  ['"a,b"', '"say \\"hi\\\\"', '1e+20', 'null', '"ü,€,😀"'],
  ['""', '-0.0', '"NaN"', 'true', '"9007199254740993"'],
  ['12345678901234567890.5', '"[1,2]"', '-5', '"null"', 'false'],
];

test('every value of a row is found within its text, whatever it holds', () => {
  const values = new RowValues(
    rows.map((row) => `[${row.join(',')}]`),
    5,
  );
  const found = rows.map((row, at) => row.map((_, place) => values.bytes.toString('utf8', values.start(at, place), values.end(at, place)))); // prettier-ignore
  expect(found).toEqual(rows);
  expect(rows.map((row, at) => row.map((_, place) => values.isNull(at, place)))).toEqual(
    rows.map((row) => row.map((text) => text === 'null')),
  );
});

test.each([
  ['fewer', '[1]'],
  ['more', '[1,2,3]'],
])('a row that has %s values than its view is refused', (_, text) => {
  expect(() => new RowValues([text], 2)).toThrow('other than 2 values');
});

test.each([
  ['DOUBLE', '5', '5.0'],
  ['DOUBLE', '-12', '-12.0'],
  ['FLOAT', '0.5', '0.5'],
  ['DOUBLE', '1e+20', '1e+20'],
  ['DOUBLE', '"NaN"', '"NaN"'],
  ['DOUBLE', 'null', 'null'],
  ['BIGINT', '"9007199254740993"', '9007199254740993'],
  ['BIGINT', '-7', '-7'],
  ['BOOLEAN', 'true', 'true'],
  ['VARCHAR', '"5"', '"5"'],
  ['TIMESTAMP', '"2001-01-01T00:00:01.500000Z"', '978307201'],
  ['DATE', '"2001-01-01"', '978307200'],
  ['TIMESTAMP', 'null', 'null'],
])('the %s %s is %s in an answer to Feast’s client', (type, stored, shown) => {
  const json = new JsonBytes(0);
  feastWriter(type)(json, Buffer.from(`[${stored}]`), 1, 1 + Buffer.byteLength(stored));
  expect(json.bytes().toString()).toBe(shown);
});

test('an answer grows with what is written into it', () => {
  const json = new JsonBytes(0);
  const part = Buffer.from('0123456789'.repeat(50));
  for (let at = 0; at < 100; at++) json.text('ü').byte(0x2c).all(part).copy(part, 0, 3);
  expect(json.bytes().toString()).toBe(`ü,${part.toString()}012`.repeat(100));
});
