import { OnlineAnswers } from '../support/online-answers.js';
import type { ProjectName } from '../../domain/ids.js';
import { anonymous } from '../../domain/principal.js';
import { Resource } from '../../domain/resources.js';
import { rollBack } from '../../store/online-publish.js';
import { onlineHistory } from '../../store/online.js';
import { applyResources } from '../../store/resources.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { day, onlineProject, onlineResources, publishRows, push, seat, types } from './online-samples.js';

/** Staged rows that go from revision to revision of a view, and which of them are kept. */

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
  project = `handed${++tests}` as ProjectName;
  await onlineProject(database.db, project);
});

const lettered = (...names: string[]) => names.map((letter, at) => ({ letter, at: day('19'), amount: at }));
async function amounts(...letters: string[]) {
  const entities = { row: letters.map(() => 1), letter: letters };
  const { columns } = await reader.read(project, { features: ['seats:amount'], entities, asOf: day('20') });
  return columns[0]?.values;
}

/** Another revision of the view, which is published without a lake. */
async function publishNext(change: object, madeBy?: string) {
  const seats = onlineResources().find(({ name }) => name === 'seats');
  const changed = Resource.parse({ ...seats, spec: { ...seats?.spec, ...change } });
  await applyResources(database.db, project, [changed], anonymous);
  return publishRows(database.db, project, lettered('A', 'B'), madeBy);
}

test('a publish of another revision takes over what waits to be flushed, every digit of it, and says the same when it is repeated', async () => {
  await publishRows(database.db, project, lettered('A', 'B'));
  const values = { big: '9007199254740993', amount: 0.1, label: 'a,"]ü\n', ratio: 'NaN', seen: '2001-01-01T00:00:00.000001Z' }; // prettier-ignore
  await push(database.db, project, [seat('A', day('20'), values), seat('C', day('20'), { big: 7 })]);
  await push(database.db, project, [seat('B', day('20'))], { to: 'offline' });
  expect(await publishRows(database.db, project, lettered('A', 'B'))).toMatchObject({ left: 0, handedOver: [] });
  const features = ['label', 'seen', 'big', 'ratio', 'amount'].map((name) => ({ name, type: types[name as keyof typeof types] })); // prettier-ignore
  const handedOver = [{ revision: 1, snapshot: 0, rows: 3, left: 0, why: null }];
  expect(await publishNext({ features }, 'twice')).toMatchObject({ left: 0, handedOver, replayed: 0 });
  expect(await publishNext({ features }, 'twice')).toMatchObject({ left: 0, handedOver });
  const staged = await database.db.query('SELECT key, target, features, origin FROM pushed_rows WHERE project = $1 AND revision = 2 ORDER BY sequence', [project]); // prettier-ignore
  expect(staged).toEqual([
    { key: '[1,"A"]', target: 'online_and_offline', features: JSON.stringify([values.label, values.seen, values.big, 'NaN', 0.1]), origin: 1 }, // prettier-ignore
    { key: '[1,"C"]', target: 'online_and_offline', features: '[null,null,7,null,null]', origin: 2 },
    { key: '[1,"B"]', target: 'offline', features: '[null,null,null,null,null]', origin: 3 },
  ]);
});

test('what another revision cannot read is counted by why, once, and by a roll-back as well', async () => {
  await publishRows(database.db, project, lettered('A', 'B'));
  await push(database.db, project, [seat('A', day('20')), seat('C', day('20'))]);
  await push(database.db, project, [seat('B', day('20'))], { to: 'online' });
  const extra = {
    features: [
      { name: 'amount', type: 'DOUBLE' },
      { name: 'price', type: 'DOUBLE' },
    ],
  };
  const why = 'it has no feature "price"';
  expect(await publishNext(extra)).toMatchObject({ left: 3, handedOver: [{ revision: 1, rows: 0, left: 3, why }] });
  expect(await publishNext(extra)).toMatchObject({ left: 0, handedOver: [] });
  await publishNext({});
  await push(database.db, project, [seat('A', day('20'), { amount: 5 })]);
  expect(await rollBack(database.db, project, 'seats', null, anonymous)).toMatchObject({
    handedOver: [{ revision: 1, rows: 0, left: 1, why }],
    left: 1,
  });
  const [moved] = await onlineHistory(database.db, project, 'seats');
  expect(moved).toMatchObject({ action: 'rolled back', handedOver: [{ revision: 1, left: 1, why }] });
});

test('rows of one entity are no rows of another with the same keys, where no erasure of theirs would look', async () => {
  const chair = onlineResources().find(({ kind }) => kind === 'Entity');
  await applyResources(database.db, project, [Resource.parse({ ...chair, name: 'chair' })], anonymous);
  await publishRows(database.db, project, lettered('A', 'B'));
  await push(database.db, project, [seat('A', day('20'), { amount: 7 })]);
  const why = 'its entity is seat, not chair';
  expect(await publishNext({ entity: 'chair' })).toMatchObject({ left: 1, handedOver: [{ revision: 1, rows: 0, left: 1, why }] }); // prettier-ignore
  expect(await amounts('A', 'B')).toEqual([0, 1]);
});

test.each<[string, object]>([
  ['took them over', { ttl: '9d' }],
  ['cannot read them', { features: [{ name: 'amount', type: 'DOUBLE' }, { name: 'price', type: 'DOUBLE' }] }], // prettier-ignore
])('rows that were pushed online only outlast publishes of a revision that %s', async (_, change) => {
  await publishRows(database.db, project, lettered('A', 'B'));
  await push(database.db, project, [seat('A', day('20'), { amount: 7 }), seat('B', day('18'))], { to: 'online' });
  for (let publish = 1; publish <= 3; publish++) await publishNext(change);
  expect(await publishNext({ ttl: '2d' })).toMatchObject({ left: 0 });
  expect(await amounts('A', 'B')).toEqual([7, 1]);
});
