import fc from 'fast-check';
import { matcher, nameIn } from '../../apps/flight/sql/patterns.js';

test.each([
  [undefined, 'anything', true],
  ['%', '', true],
  ['', '', true],
  ['', 'a', false],
  ['origin_hour', 'originxhour', true],
  ['origin\\_hour', 'originxhour', false],
  ['origin\\_hour', 'origin_hour', true],
  ['100\\%', '100%', true],
  ['%hour', 'origin_hour', true],
  ['%hour', 'hours', false],
  ['o%_r', 'or', false],
  ['a-b.c', 'a-b.c', true],
  ['a.c', 'abc', false],
  ['ORIGIN%', 'origin_hour', true],
  ['a\\b', 'a\\b', true],
  ['_', '🚲', true],
])('the pattern %s and the name %s: %s', (pattern, name, same) => {
  expect(matcher(pattern)(name)).toBe(same);
});

test('a pattern says what the same regular expression says', () => {
  const letters = (...all: string[]) =>
    fc.array(fc.constantFrom(...all), { maxLength: 8 }).map((some) => some.join(''));
  fc.assert(
    fc.property(letters('a', 'b', '%', '_'), letters('a', 'b'), (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll('%', '.*').replaceAll('_', '.')}$`);
      expect(matcher(pattern)(name)).toBe(expression.test(name));
    }),
  );
});

test('a pattern of nothing but wildcards takes no time over a long name', () => {
  const matchesLong = matcher('%a'.repeat(1_000));
  const started = performance.now();
  expect(matchesLong('a'.repeat(999))).toBe(false);
  expect(performance.now() - started).toBeLessThan(1_000);
});

test('a name is read out of a pattern by the letter', () => {
  expect(nameIn('origin\\_hour@r2')).toBe('origin_hour@r2');
  expect(nameIn('origin_hour@s41')).toBe('origin_hour@s41');
});
