import { addHandOvers, fitOf, leftOf, type EntityShape } from '../../domain/hand-over.js';

/** Which pushed rows another revision of their view can read without loss. */

const shape = (change: Partial<EntityShape> = {}): EntityShape => ({
  ...{ keys: [{ name: 'shop', type: 'BIGINT' }], eventTime: 'at', knownAt: null, ttlMicros: null, entity: 'shop' },
  features: [{ name: 'amount', type: 'FLOAT' }, { name: 'visitors', type: 'INTEGER' }],
  ...change,
}); // prettier-ignore
const typed = (type: string) => ({ features: [{ name: 'visitors', type }] });

test.each<[string, Partial<EntityShape>, Partial<EntityShape>, readonly number[]]>([
  ['the same features', {}, {}, [1, 2]],
  ['a feature that is gone, and others in another order', {}, { features: [...shape().features].reverse() }, [2, 1]],
  ['another event time’s name and another TTL', {}, { eventTime: 'sold_at', ttlMicros: 1 }, [1, 2]],
  ['a key whose column was renamed', {}, { keys: [{ name: 'store', type: 'BIGINT' }] }, [1, 2]],
  ['a view without keys', { keys: [] }, { keys: [] }, [1, 2]],
  ['a known-at where there was none', {}, { knownAt: 'noted' }, [1, 2]],
  ['a known-at under another name', { knownAt: 'noted' }, { knownAt: 'known' }, [1, 2]],
  ['a whole number that became wider', {}, typed('BIGINT'), [2]],
  ['a whole number that a double has exactly', {}, typed('DOUBLE'), [2]],
  ['a FLOAT that became DOUBLE', {}, { features: [{ name: 'amount', type: 'DOUBLE' }] }, [1]],
])('rows fit: %s', (_, pushed, wanted, features) => {
  expect(fitOf(shape(pushed), shape(wanted))).toEqual({ features, why: null });
});

test.each<[string, Partial<EntityShape>, Partial<EntityShape>, string]>([
  ['another entity with the same keys', {}, { entity: 'store' }, 'its entity is shop, not store'],
  ['an entity that is gone', {}, { entity: null }, 'its entity is shop, not none'],
  ['another key', {}, { keys: [{ name: 'shop', type: 'VARCHAR' }] }, 'its keys are shop BIGINT, not shop VARCHAR'],
  ['one key more', {}, { keys: [...shape().keys, { name: 'till', type: 'BIGINT' }] }, 'its keys are shop BIGINT, not shop BIGINT, till BIGINT'], // prettier-ignore
  ['keys that changed places', { keys: [{ name: 'a', type: 'BIGINT' }, { name: 'b', type: 'BIGINT' }] }, { keys: [{ name: 'b', type: 'BIGINT' }, { name: 'a', type: 'BIGINT' }] }, 'its keys are a BIGINT, b BIGINT, not b BIGINT, a BIGINT'], // prettier-ignore
  ['a known-at that is gone', { knownAt: 'noted' }, {}, 'its rows have the known-at "noted", which would be lost'],
  ['a feature that it never had', {}, { features: [{ name: 'rain', type: 'DOUBLE' }] }, 'it has no feature "rain"'],
  ['a type that has not all values', {}, typed('SMALLINT'), 'its feature "visitors" is INTEGER, not SMALLINT'],
  ['a FLOAT, which cannot be every INTEGER', {}, typed('FLOAT'), 'its feature "visitors" is INTEGER, not FLOAT'],
  ['another kind of value', {}, typed('VARCHAR'), 'its feature "visitors" is INTEGER, not VARCHAR'],
])('rows do not fit: %s', (_, pushed, wanted, why) => {
  expect(fitOf(shape(pushed), shape(wanted))).toEqual({ why });
});

test('what two steps found of a revision is added up', () => {
  const files = [{ revision: 2, snapshot: 5, rows: 3, left: 0, why: null }];
  const staged = [{ revision: 2, snapshot: 5, rows: 1, left: 0, why: null }, { revision: 1, snapshot: 0, rows: 0, left: 4, why: 'gone' }]; // prettier-ignore
  const all = addHandOvers(files, staged);
  expect(all).toEqual([{ revision: 1, snapshot: 0, rows: 0, left: 4, why: 'gone' }, { revision: 2, snapshot: 5, rows: 4, left: 0, why: null }]); // prettier-ignore
  expect(leftOf(all)).toBe(4);
});
