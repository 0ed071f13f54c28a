import { createTickets } from '../../apps/flight/ticket.js';
import { tableNameOf } from '../../apps/flight/descriptor.js';
import { defaultProject } from '../../domain/ids.js';

const key = Buffer.alloc(32, 1);
const content = { kind: 'table', schema: 'features', name: 'origin_hour', revision: 2, snapshot: 41 };
const owner = { project: defaultProject, principal: 'anonymous' };

test('a ticket opens to what it pinned, also in another process with the same key', () => {
  const ticket = createTickets(key, 1000, () => 5000).sign(content, owner, 'flight');
  const opened = { ...owner, flight: 'flight', content, expiresAt: 6000 };
  expect(createTickets(Buffer.from(key), 1, () => 5999).open(ticket)).toEqual(opened);
});

test('a ticket expires', () => {
  const ticket = createTickets(key, 1000, () => 5000).sign(content, owner);
  expect(() => createTickets(key, 1000, () => 6000).open(ticket)).toThrow('expired at 1970-01-01T00:00:06.000Z');
});

test('no bit of a ticket can be changed, and no other key signs', () => {
  const tickets = createTickets(key);
  const ticket = tickets.sign(content, owner);
  for (let bit = 0; bit < ticket.length * 8; bit++) {
    const changed = Buffer.from(ticket);
    changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(() => tickets.open(changed)).toThrow('This server did not sign the ticket.');
  }
  expect(() => createTickets(Buffer.alloc(32, 2)).open(ticket)).toThrow('did not sign');
});

test.each([0, 1, 32, 33, 5000, 200_000])('a ticket of %i bytes is refused', (bytes) => {
  expect(() => createTickets(key).open(Buffer.alloc(bytes, 1))).toThrow('did not sign');
});

const path = (...elements: string[]) => ({ type: 'PATH', cmd: Buffer.alloc(0), path: elements }) as const;

test('what would be a ticket of more than 192 KiB is refused', () => {
  const long = { kind: 'statement', sql: 'x'.repeat(200_000) };
  expect(() => createTickets(key).sign(long, owner)).toThrow(expect.objectContaining({ code: 'statement_too_large' }));
});

test.each([
  [['eider', 'features', 'v'], undefined, { project: 'eider', schema: 'features', name: 'v' }],
  [['features', 'v@r2'], undefined, { project: 'eider', schema: 'features', name: 'v@r2' }],
  [['datasets', 'd'], 'other', { project: 'other', schema: 'datasets', name: 'd' }],
  [['mine', 'inference', 'i'], 'other', { project: 'mine', schema: 'inference', name: 'i' }],
])('path %j with project %s names %j', (elements, project, expected) => {
  expect(tableNameOf(path(...elements), project)).toEqual(expected);
});

test.each([
  [[], 'descriptor_invalid'],
  [['features'], 'descriptor_invalid'],
  [['eider', 'features', ''], 'descriptor_invalid'],
  [['eider', 'features', 'v', 'w'], 'descriptor_invalid'],
  [['eider', 'views', 'v'], 'descriptor_invalid'],
  [['No Name', 'features', 'v'], 'project_unknown'],
])('path %j is refused as %s', (elements, code) => {
  expect(() => tableNameOf(path(...elements), undefined)).toThrow(expect.objectContaining({ code }));
});
