import { PassThrough } from 'node:stream';
import { OnlineAnswers } from '../support/online-answers.js';
import type { Instant, ProjectName } from '../../domain/ids.js';
import { plusMicros } from '../../domain/instants.js';
import { Join } from '../../domain/names.js';
import type { OnlineAnswer, PushedRow } from '../../domain/online.js';
import { anonymous } from '../../domain/principal.js';
import { getResource } from '../../store/resources.js';
import { dropRetired } from '../../store/online-drop.js';
import { loadGeneration, planGeneration, rollBack } from '../../store/online-publish.js';
import { shapeOf } from '../../store/online-shapes.js';
import { listGenerations, tableOf } from '../../store/online.js';
import { until } from '../../programs/waiting.js';
import { race } from '../support/race.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { day, nothing, onlineProject, publishRows, push, seat } from './online-samples.js';

let database: TestDatabase;
let reader: OnlineAnswers;
let project: ProjectName;
let tests = 0;
beforeAll(async () => {
  database = await withDatabase();
  reader = new OnlineAnswers(database.db);
});
afterAll(() => database.close());
beforeEach(async () => {
  project = `store${++tests}` as ProjectName;
  await onlineProject(database.db, project);
});

const ask = (features: readonly string[], letters: readonly (string | null)[] = ['A'], options: object = {}): Promise<OnlineAnswer> =>
  reader.read(project, { features, entities: { row: letters.map(() => 1), letter: letters }, asOf: day('20'), ...options }); // prettier-ignore
const amounts = async (...letters: string[]) => (await ask(['seats:amount'], letters)).columns[0]?.values;
const lettered = (...names: string[]) => names.map((letter, at) => ({ letter, at: day('19'), amount: at }));
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: { code: string; message: string }) => [error.code, error.message],
  );

test('values of every type come back as they were pushed', async () => {
  const values = { flag: false, tiny: -128, big: '9007199254740993', ratio: 0.5, amount: 0.1, label: 'ü"\n\\', day: '2001-02-28', seen: '2001-01-01T00:00:00.000001Z' }; // prettier-ignore
  await push(database.db, project, [seat('A', day('19'), values), seat('B', day('19'), { amount: 'NaN', ratio: '-Infinity', big: -5, label: '' })]); // prettier-ignore
  const features = Object.keys(values).map((name) => `seats:${name}`);
  const { columns } = await ask(features, ['A', 'B']);
  expect(columns.map((column) => column.values[0])).toEqual(Object.values(values));
  expect(columns.map((column) => column.values[1])).toEqual([null, null, -5, '-Infinity', 'NaN', '', null, null]);
  expect(columns.map(({ type }) => type)).toEqual(['BOOLEAN', 'TINYINT', 'BIGINT', 'FLOAT', 'DOUBLE', 'VARCHAR', 'DATE', 'TIMESTAMP']); // prettier-ignore
});

test.each<[string, PushedRow, string]>([
  ['a column that the view does not have', seat('A', day('19'), { price: 1 }), 'rows.1.price is no column of the view'],
  ['a text where a number belongs', seat('A', day('19'), { amount: '1' }), 'rows.1.amount must be a number'],
  ['a number that a double cannot be', seat('A', day('19'), { ratio: 1e39 }), 'rows.1.ratio must be within its range'],
  ['a whole number beyond its bits', seat('A', day('19'), { tiny: 128 }), 'rows.1.tiny must be within its 8 bits'],
  ['a whole number that JSON has rounded', seat('A', day('19'), { big: 2 ** 53 }), 'as text where it is beyond 2^53'],
  ['a day that does not exist', seat('A', day('19'), { day: '2001-02-29' }), 'rows.1.day "2001-02-29" is not a real'],
  ['a text with a NUL', seat('A', day('19'), { label: 'a\0b' }), 'rows.1.label must be text without NUL'],
  ['a key that is null', seat('A', day('19'), { letter: null }), 'rows.1.letter is missing or null'],
  ['an event time that is missing', { ...seat('A', day('19')), at: null }, 'rows.1.at is missing or null'],
  ['an event time in the future', seat('A', '2999-01-01T00:00:00Z' as Instant), 'rows.1.at lies in the future'],
  ['a known-at in the future', seat('A', day('19'), { noted: '2999-01-01' }), 'rows.1.noted lies in the future'],
  ['a feature that is missing', { row: 1, letter: 'A', at: day('19') }, 'rows.1.flag is missing'],
])('a push is refused as a whole for %s', async (_, row, sentence) => {
  expect(await codeOf(push(database.db, project, [seat('B', day('19')), row]))).toEqual(['pushed_row_invalid', expect.stringContaining(sentence)]); // prettier-ignore
  expect(await database.db.query('SELECT 1 FROM pushed_rows WHERE project = $1', [project])).toEqual([]);
});

test('a value is valid up to its TTL and not a microsecond longer, as offline', async () => {
  await push(database.db, project, [seat('A', day('19'), { amount: 7 })]);
  const at = async (asOf: Instant, expired: 'null' | 'value' = 'null') => {
    const [column] = (await ask(['seats:amount'], ['A'], { asOf, expired })).columns;
    return [column?.values[0], column?.statuses[0], column?.eventTimes[0]];
  };
  expect(await at(day('20'))).toEqual([7, 'PRESENT', day('19')]);
  const after = plusMicros(day('20'), 1);
  expect(await at(after)).toEqual([null, 'OUTSIDE_MAX_AGE', day('19')]);
  expect(await at(after, 'value')).toEqual([7, 'OUTSIDE_MAX_AGE', day('19')]);
  expect(await at(day('19'))).toEqual([7, 'PRESENT', day('19')]);
  // Nobody could know it then.
  expect(await at(plusMicros(day('19'), -1))).toEqual([null, 'NOT_FOUND', null]);
  await push(database.db, project, [seat('B', day('19'), { amount: 8, noted: '2001-01-19T12:00:00Z' })]);
  expect((await ask(['seats:amount'], ['B'], { asOf: day('19') })).columns[0]?.statuses).toEqual(['NOT_FOUND']);
});

test('newer beats older whatever comes first, the same instants are a correction, and a later known-at beats an earlier', async () => {
  const one = (at: string, amount: number, noted: string | null = null) => push(database.db, project, [seat('A', day(at), { amount, noted })]); // prettier-ignore
  expect(await one('18', 1)).toMatchObject({ applied: 1 });
  expect(await one('19', 2)).toMatchObject({ applied: 1 });
  expect(await one('18', 3)).toMatchObject({ applied: 0 });
  expect(await one('19', 1)).toMatchObject({ applied: 1 });
  expect(await amounts('A')).toEqual([1]);
  expect(await one('19', 5, '2001-01-19T06:00:00Z')).toMatchObject({ applied: 1 });
  expect(await one('19', 6)).toMatchObject({ applied: 0 });
  expect(await amounts('A')).toEqual([5]);
  // Within one push the last of equal rows counts.
  await push(database.db, project, ['C', 'C'].map((letter, at) => seat(letter, day('19'), { amount: at }))); // prettier-ignore
  expect(await amounts('C')).toEqual([1]);
});

test('pushes of one id at the same time happen once, and all get the same answer', async () => {
  const { values, codes } = await race(8, () => push(database.db, project, [seat('A', day('19'))], { id: 'same' }));
  expect(codes).toEqual([]);
  expect(values.map(({ sequence }) => sequence)).toEqual(Array(8).fill(1));
  expect(values.filter(({ repeated }) => !repeated)).toHaveLength(1);
  const others = await race(8, (at) => push(database.db, project, [seat('A', day('19'))], { id: `other-${at}` }));
  expect(others.values.map(({ sequence }) => sequence).sort()).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
});

test('a view without keys has one row, and joins read a view under other names', async () => {
  await push(database.db, project, [{ at: day('19'), rain: 0.25 }], { view: 'weather' });
  expect(await codeOf(ask(['seats:amount']))).toEqual(['view_not_online', expect.stringContaining('"seats"')]);
  await push(database.db, project, [seat('A', day('19'), { amount: 1, label: 'a' }), seat('B', day('19'), { amount: 2, label: 'b' })]); // prettier-ignore
  const answer = await reader.read(project, { service: 'cabin', entities: { row: [1, 1], letter: ['A', 'B'], neighbour: ['B', 'Z'] }, asOf: day('20') }); // prettier-ignore
  expect(answer.columns.map(({ ref, values }) => [ref, values])).toEqual([
    ['seats:amount', [1, 2]],
    ['other:label', ['b', null]],
    ['weather:rain', [0.25, 0.25]],
  ]);
  expect((await reader.read(project, { features: ['weather:rain'], entities: {} })).columns[0]?.values).toEqual([0.25]);
});

test.each<[string, object, [string, string]]>([
  ['an unknown feature', { features: ['seats:price'] }, ['reference_unknown', 'View "seats" has no feature price']],
  ['an unknown view', { features: ['chairs:amount'] }, ['resource_unknown', 'There is no FeatureView "chairs"']],
  ['an unknown service', { service: 'galley' }, ['resource_unknown', 'There is no FeatureService "galley"']],
  [
    'a key column that is missing',
    { entities: { row: [1] } },
    ['request_invalid', 'entities lacks the column "letter"'],
  ],
  ['columns of unequal length', { entities: { row: [1, 2], letter: ['A'] } }, ['request_invalid', 'row has 2 values, letter has 1']], // prettier-ignore
  ['a key of another type', { entities: { row: ['x'], letter: ['A'] } }, ['request_invalid', 'entities.row.0: must be a whole number']], // prettier-ignore
  ['a join of an unknown key', { joins: [{ name: 'seats', view: 'seats', keys: { seat: 'x' } }] }, ['join_invalid', 'maps seat']], // prettier-ignore
  ['too many entities', { entities: { row: Array(10_001).fill(1), letter: Array(10_001).fill('A') } }, ['request_too_large', 'at most 10000']], // prettier-ignore
])('%s is refused with the reason', async (_, question, [code, sentence]) => {
  await push(database.db, project, [seat('A', day('19'))]);
  const whole = { features: ['seats:amount'], entities: { row: [1], letter: ['A'] }, ...question };
  expect(await codeOf(reader.read(project, whole))).toEqual([code, expect.stringContaining(sentence)]);
});

test('while publishes and roll-backs go on, every read is whole, from one generation, and none fails', async () => {
  const letters = ['A', 'B', 'C', 'D', 'E'];
  /** All amounts of a generation are its number. */
  const publish = (number: number) => publishRows(database.db, project, letters.map((letter) => ({ letter, at: day('19'), amount: number }))); // prettier-ignore
  const joins = [Join.parse({ name: 'other', view: 'seats', keys: { letter: 'neighbour' } })];
  const entities = { row: letters.map(() => 1), letter: letters, neighbour: [...letters].reverse() };
  const question = { features: ['seats:amount', 'other:amount'], joins, entities };
  await publish(1);
  let done = false;
  const seen = new Set<number>();
  const reading = Promise.all(
    Array.from({ length: 4 }, async () => {
      for (let reads = 0; !done || reads < 50; reads++) {
        const { columns, generations } = await reader.read(project, { ...question, asOf: day('20') });
        const values = new Set(columns.flatMap((column) => column.values));
        expect([...values]).toEqual([generations[0]?.generation]);
        seen.add(generations[0]?.generation ?? 0);
      }
    }),
  );
  for (let number = 2; number <= 20; number++) {
    await publish(number);
    if (number % 5 === 0) await rollBack(database.db, project, 'seats', 'a test', anonymous);
    await dropRetired(database.db, project, 'seats');
  }
  done = true;
  await reading;
  expect(seen.size).toBeGreaterThan(5);
  const status = (await listGenerations(database.db, project, 'seats')).map((one) => one.status);
  expect(status).toEqual(['dropped', 'live', ...Array(18).fill('dropped')]);
}, 120_000);

test('what is pushed while generations change is never lost', async () => {
  await publishRows(database.db, project, lettered('A', 'B', 'C', 'D'));
  let done = false;
  let pushed = 0;
  const pushing = (async () => {
    while (!done) await push(database.db, project, [seat('A', plusMicros(day('19'), ++pushed), { amount: pushed })]);
  })();
  for (let round = 0; round < 8; round++) {
    await publishRows(database.db, project, lettered('A', 'B', 'C', 'D'));
    if (round % 3 === 2) await rollBack(database.db, project, 'seats', null, anonymous);
    await dropRetired(database.db, project, 'seats');
    const before = pushed;
    const [now] = (await amounts('A')) ?? [];
    // One push may be on its way.
    expect(Number(now)).toBeGreaterThanOrEqual(before - 1);
  }
  done = true;
  await pushing;
  expect(await amounts('A', 'B')).toEqual([pushed, 1]);
});

test('a generation that is dropped while it is loaded leaves no table', async () => {
  const view = await getResource(database.db, project, 'FeatureView', 'seats');
  const { id } = await planGeneration(database.db, {
    ...{ project, view: 'seats', revision: view.revision, shape: await shapeOf(database.db, project, view) },
    ...{ snapshot: 1, watermark: day('31'), madeBy: 'cancelled', workflowId: 'cancelled', principal: anonymous },
  });
  const rows = new PassThrough();
  const loading = loadGeneration(database.db, id, async () => 'hash', () => rows); // prettier-ignore
  const waiting = (what: string) => database.db.query(`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE $1 AND wait_event_type = 'Lock'`, [what]); // prettier-ignore
  const copying = () => database.db.query(`SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'`); // prettier-ignore
  await until(async () => (await copying()).length > 0, 10_000);
  const dropping = dropRetired(database.db, project, 'seats');
  await until(async () => (await waiting('UPDATE online_generations%')).length > 0, 10_000);
  rows.end();
  await loading;
  expect(await dropping).toBe(1);
  expect(await database.db.query('SELECT to_regclass($1) AS found', [tableOf(id)])).toEqual([{ found: null }]);
});

test('a flip that was planned before the pointer moved is refused, and an older pointer number wins nothing', async () => {
  const { values, codes } = await race(4, (at) => publishRows(database.db, project, [{ letter: 'A', at: day('19'), amount: at }])); // prettier-ignore
  expect(values.length).toBeGreaterThanOrEqual(1);
  expect(codes.every((code) => code === 'generation_moved')).toBe(true);
  const [newest] = (await listGenerations(database.db, project, 'seats')).filter(({ status }) => status === 'live');
  expect(newest).toBeDefined();
});

test('who pushes while nobody published begins a generation; offline only does not', async () => {
  await push(database.db, project, [seat('A', day('19'))], { to: 'offline' });
  expect(await codeOf(ask(['seats:amount']))).toEqual(['view_not_online', expect.anything()]);
  expect((await ask(['seats:amount'], ['A'], { unpublished: 'empty' })).columns[0]?.statuses).toEqual(['NOT_FOUND']);
  expect(await push(database.db, project, [seat('A', day('19'), { ...nothing, amount: 3 })])).toMatchObject({ generation: 1, sequence: 2 }); // prettier-ignore
  expect(await amounts('A')).toEqual([3]);
});
