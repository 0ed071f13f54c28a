import { Field, Int32, List, Schema, Table, tableToIPC } from 'apache-arrow';
import { until } from '../../programs/waiting.js';
import { goodStreams, messagesOf, type ArrowMessage } from './fuzz/arrow.js';
import { createCaller, type Caller } from './fuzz/caller.js';
import { signed, type FuzzCase, type Material } from './fuzz/cases.js';
import { materialOf } from './fuzz/material.js';
import { flightMessage, sqlCommand } from './fuzz/messages.js';
import { fuzz, megabytes } from './fuzz/run.js';
import { startFuzzed, type FuzzedServer } from './fuzz/served.js';

/**
 * Whatever clients send, Flight lives, forgets it, and says what is wrong with it. `EIDER_LONG=1` sends 100,000 cases;
 * `EIDER_FUZZ_SEED` decides which.
 */

const isLong = process.env['EIDER_LONG'] !== undefined;
const seed = Number(process.env['EIDER_FUZZ_SEED'] ?? 20_260_101);
const run = {
  ...{ seed, cases: isLong ? 100_000 : 1_500, batch: isLong ? 1_000 : 500 },
  growthBytesMax: (isLong ? 400 : 250) * 2 ** 20,
  tell: (line: string) => void (isLong && process.stderr.write(`${line}\n`)),
};

let server: FuzzedServer;
let material: Material;
let caller: Caller;
beforeAll(async () => {
  server = await startFuzzed();
  material = await materialOf(server);
  caller = createCaller(server.port);
});
afterAll(async () => {
  caller.close();
  await server.stop();
});

test(`mutated tickets, commands, streams, metadata and frames do Flight no harm (seed ${seed})`, async () => {
  const { faults, answers, growthBytes } = await fuzz(server, material, run);
  run.tell(`memory grew by ${megabytes(growthBytes)} MB; answers: ${JSON.stringify(answers, null, 1)}`);
  const logged = server.log();
  expect(faults.length > 0 ? [...faults, logged].join('\n\n') : logged).toBe('');
}, 3_600_000);

const send = (method: string, messages: readonly Buffer[], end: FuzzCase['end'] = 'close') =>
  caller.send({ what: 'found before', method, messages, metadata: { authorization: material.authorizations[0] }, end });
const spines = { type: 1, path: ['eider', 'spines'] };
const joining = { type: 2, cmd: Buffer.from(JSON.stringify({ join: { features: ['price:value'] } })) };
const data = (descriptor: object, stream: readonly ArrowMessage[]) =>
  stream.map(({ header, body }, at) => flightMessage('FlightData', { data_header: header, data_body: body, ...(at === 0 ? { flight_descriptor: descriptor } : {}) })); // prettier-ignore
const schemaOf = (...fields: Field[]): ArrowMessage[] =>
  messagesOf(tableToIPC(new Table(new Schema(fields)), 'stream'));
const { spine, nested, dictionary, nulls } = goodStreams() as Record<'spine' | 'nested' | 'dictionary' | 'nulls', ArrowMessage[]>; // prettier-ignore

/** The ticket of a join with something else in its content. */
function joinTicket(change: object): Buffer {
  const said = material.tickets.map((ticket) => JSON.parse(ticket.subarray(33).toString()) as { content: { kind: string } }); // prettier-ignore
  const join = said.find(({ content }) => content.kind === 'join');
  const text = JSON.stringify({ ...join, content: { ...join?.content, ...change } });
  return signed(material.ticketKey, material.tickets[0]?.[0] ?? 0, text);
}
const get = (ticket: Buffer) => [flightMessage('Ticket', { ticket })];
const named = (...path: string[]) => [flightMessage('FlightDescriptor', { type: 1, path })];
const tablesLike = (pattern: string) => [flightMessage('FlightDescriptor', { type: 2, cmd: sqlCommand('CommandGetTables', { table_name_filter_pattern: pattern }) })]; // prettier-ignore

const statement = (query: string) => [flightMessage('FlightDescriptor', { type: 2, cmd: sqlCommand('CommandStatementQuery', { query }) })]; // prettier-ignore

/** What was found so, or would have been: each was an `internal` error, or worse. */
test.each<[string, string, () => readonly Buffer[], string | null]>([
  ['a table whose name has a character of code 0', 'GetFlightInfo', () => named('eider', 'features', 'kno\0wn'), 'table_unknown'],
  ['a pattern of names with a hyphen', 'GetFlightInfo', () => tablesLike('a-b'), null],
  ['a pattern of names that takes a backtracking search forever', 'GetFlightInfo', () => tablesLike('%a'.repeat(200)), null],
  ['a statement with a number larger than any', 'GetFlightInfo', () => statement('SELECT 1e400'), 'statement_refused'],
  ['a ticket that is signed around no JSON', 'DoGet', () => get(signed(material.ticketKey, 3, '{{}}')), 'ticket_invalid'],
  ['a ticket that is signed around something else', 'DoGet', () => get(signed(material.ticketKey, 3, '[[1]]')), 'ticket_invalid'],
  ['a ticket of a join that pins no view', 'DoGet', () => get(joinTicket({ views: {} })), 'request_invalid'],
  ['a ticket of a join of a revision that no column holds', 'DoGet', () => get(joinTicket({ views: { price: { revision: 2 ** 32, snapshot: 1, sequence: null } } })), 'ticket_invalid'],
  ['a ticket of a join over a range that is none', 'DoGet', () => get(joinTicket({ range: { start: '@', end: '@' } })), 'statement_invalid'],
  ['an upload whose column has no name', 'DoPut', () => data(spines, schemaOf(new Field('', new Int32()))), 'spine_invalid'],
  ['an upload whose list has no items', 'DoPut', () => data(spines, schemaOf(new Field('list', Object.assign(new List(new Field('item', new Int32())), { children: [] })))), 'spine_invalid'],
  ['an upload that declares two thousand million rows and sends no byte of them', 'DoPut', () => data(spines, nulls), 'request_invalid'],
  ['a join of a spine of the year 200000', 'GetFlightInfo', () => [flightMessage('FlightDescriptor', { type: 2, cmd: Buffer.from(JSON.stringify({ join: { features: ['price:value'], spine: { rows: [{ shop: 1, event_time: '200000-01-01 00:00:00' }] } } })) })], 'spine_invalid'],
  ['an exchange of more dictionaries than anybody needs', 'DoExchange', () => data(joining, [dictionary[0] as ArrowMessage, ...Array.from({ length: 1_100 }, () => dictionary[1] as ArrowMessage)]), 'request_too_large'],
])('%s is answered by what is wrong with it', async (_, method, messages, expected) => {
  const { code, status, details } = await send(method, messages());
  expect([code, status === 'OK' ? null : details]).toEqual([expected, expected === null ? null : expect.any(String)]);
}); // prettier-ignore

test('uploads that are refused leave no file open, on disk or not', async () => {
  const before = server.openFiles();
  const broken = data(spines, dictionary.with(0, nested[0] as ArrowMessage));
  for (let count = 0; count < 60; count++) expect((await send('DoPut', broken)).code).toMatch(/_invalid$/);
  expect(await until(() => server.openFiles() <= before + 10 && server.scratchFiles().length === 0, 5_000)).toBe(true);
});

test('exchanges whose clients leave at once let go of what they pinned', async () => {
  await Promise.all(Array.from({ length: 100 }, () => send('DoExchange', data(joining, spine), 'cancel')));
  expect(await until(async () => (await server.leases()) === 0, 10_000)).toBe(true);
  expect(await until(async () => (await send('DoExchange', data(joining, spine))).status === 'OK', 10_000)).toBe(true);
});
