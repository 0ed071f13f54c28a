import fc from 'fast-check';
import { instant } from '../../domain/instants.js';
import { Split, timeParts } from '../../domain/splits.js';
import { splitExpression, type Divided } from '../../lake/splits.js';
import { withLake, type TestLake } from '../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const rows = 20_000;
const relation = `(SELECT i AS id, i % 97 AS visitor, TIMESTAMP '2001-01-01' + to_minutes(i::INTEGER) AS "at" FROM range(${rows}) t(i))`;
const parts = [
  { name: 'train', share: 0.7 },
  { name: 'validation', share: 0.1 },
  { name: 'test', share: 0.2 },
];
const divided = (split: object, by = ['id'], end = '2001-01-15'): Divided => {
  const parsed = Split.parse(split);
  const cuts = parsed.by === 'time' ? timeParts(parsed, instant(end)) : [];
  return { split: parsed, eventTime: 'at', cuts, by: by.map((name) => ({ name, type: 'BIGINT' })) };
};
const random = (seed = 1, by = ['id']) => divided({ by: 'random', parts, seed }, by);
const partsOf = (how: Divided, from = relation) =>
  lake.in((session) =>
    session.rows<{ id: string; visitor: string; part: string }>(
      `SELECT id, visitor, ${splitExpression(how)} AS part FROM ${from}`,
    ),
  );
const byId = (found: readonly { id: string; part: string }[]) => new Map(found.map(({ id, part }) => [id, part]));

test('a split at random has the shares that were asked for, nearly', async () => {
  const found = await partsOf(random());
  for (const { name, share } of parts)
    expect(Math.abs(found.filter(({ part }) => part === name).length / rows - share)).toBeLessThan(0.015);
});

test('it depends on the seed and the row, not on order nor on the other rows', async () => {
  const all = byId(await partsOf(random()));
  const backwards = byId(await partsOf(random(), `(SELECT * FROM ${relation} ORDER BY id DESC)`));
  expect([...backwards].every(([id, part]) => all.get(id) === part)).toBe(true);
  const some = byId(await partsOf(random(), `(SELECT * FROM ${relation} WHERE id % 7 = 3)`));
  expect([...some].every(([id, part]) => all.get(id) === part)).toBe(true);
  const other = byId(await partsOf(random(2)));
  const moved = [...all].filter(([id, part]) => other.get(id) !== part).length / rows;
  expect(moved).toBeGreaterThan(0.3);
});

test('all rows of a group are in one part, and every part gets groups', async () => {
  const found = await partsOf(divided({ by: 'group', parts, columns: ['visitor'] }, ['visitor']));
  const partsOfVisitor = new Map<string, Set<string>>();
  for (const { visitor, part } of found)
    partsOfVisitor.set(visitor, (partsOfVisitor.get(visitor) ?? new Set()).add(part));
  expect([...partsOfVisitor.values()].every((set) => set.size === 1)).toBe(true);
  expect(new Set(found.map(({ part }) => part))).toEqual(new Set(parts.map(({ name }) => name)));
});

test('the same rows are divided alike on every machine and version: it is written down here', async () => {
  const found = await partsOf(random(), `(SELECT * FROM ${relation} WHERE id < 12)`);
  expect(found.map(({ part }) => part.slice(0, 1)).join('')).toMatchInlineSnapshot(`"tttttvtttttt"`);
});

test('cuts of time are instants or count back from the end, and hold to the microsecond', async () => {
  const how = divided({
    by: 'time',
    parts: [
      { name: 'test', from: '1d' },
      { name: 'validation', from: '2001-01-13T00:00:00Z' },
    ],
  });
  expect(how.cuts).toEqual([
    { name: 'validation', from: instant('2001-01-13') },
    { name: 'test', from: instant('2001-01-14') },
  ]);
  const at = (text: string) => `(SELECT 1 AS id, 1 AS visitor, ${text} AS "at")`;
  const part = async (text: string) => (await partsOf(how, at(text)))[0]?.part;
  expect(await part("TIMESTAMP '2001-01-12 23:59:59.999999'")).toBe('train');
  expect(await part("TIMESTAMP '2001-01-13 00:00:00'")).toBe('validation');
  expect(await part("TIMESTAMP '2001-01-13 23:59:59.999999'")).toBe('validation');
  expect(await part("TIMESTAMPTZ '2001-01-14 05:30:00+05:30'")).toBe('test');
  expect(await part("TIMESTAMP_NS '2001-01-13 23:59:59.999999999'")).toBe('validation');
  expect(await part('NULL::TIMESTAMP')).toBe('train');
});

test('whatever the shares, each row has exactly one of the parts, and more share never loses a row', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 98 }), fc.integer({ min: 0, max: 1000 }), async (percent, seed) => {
      const of = async (share: number) => {
        const two = [{ name: 'a', share: share / 100 }, { name: 'b', share: 1 - share / 100 }]; // prettier-ignore
        return byId(
          await partsOf(divided({ by: 'random', parts: two, seed }), `(SELECT * FROM ${relation} LIMIT 300)`),
        );
      };
      const [less, more] = [await of(percent), await of(percent + 1)];
      expect([...less].every(([id, part]) => part === 'b' || more.get(id) === 'a')).toBe(true);
    }),
    { numRuns: 20 },
  );
});

test.each<[string, object]>([
  ['shares that do not add up', { by: 'random', parts: [{ name: 'a', share: 0.5 }, { name: 'b', share: 0.4 }] }], // prettier-ignore
  ['two parts of one name', { by: 'random', parts: [{ name: 'a', share: 0.5 }, { name: 'a', share: 0.5 }] }], // prettier-ignore
  ['a cut that is no time', { by: 'time', parts: [{ name: 'test', from: 'soon' }] }],
  ['no columns of the group', { by: 'group', parts }],
])('%s: refused', (_, split) => expect(Split.safeParse(split).success).toBe(false));
