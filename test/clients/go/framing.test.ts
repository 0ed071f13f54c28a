import { startBothWays, type BothWays, type Script } from '../../flight/both-ways.js';
import { until } from '../../../programs/waiting.js';
import type { Asked } from '../asked.js';
import { startPyarrow } from '../pyarrow/pyarrow.js';
import { describeGo, startGo } from './go.js';

/** The cases of test/flight/framing.test.ts, as C++ and Go see them. */

let both: BothWays;
beforeAll(async () => {
  both = await startBothWays();
}, 300_000);
afterAll(() => both.stop());
afterEach(async () => {
  expect(await until(() => both.activeStreams() === 0, 5_000, { everyMs: 10 })).toBe(true);
});

const rows = (count: number, more = '') => `SELECT i, hash(i) AS h${more} FROM range(${count}) t(i)`;
const cases: [string, Script, object][] = [
  ['many messages', { sql: rows(500_000) }, {}],
  ['no row', { sql: `${rows(10)} WHERE false` }, {}],
  ['a message of 20 MB', { sql: "SELECT repeat('x', 20000000) AS t" }, {}],
  ['an error before the first row', { sql: 'SELECT no_such_column' }, {}],
  ['an error at row 400,000', { sql: rows(600_000, ", CASE WHEN i = 400000 THEN error('late') ELSE i END AS e") }, {}],
  ['an error before the first frame', { fails: 'streams_exhausted' }, {}],
  ['a client that cancels', { sql: rows(1e12) }, { cancelAfter: 2 }],
  ['a deadline', { sql: rows(1e12, ', sqrt(i) AS s') }, { timeout: 0.5, timeoutMs: 500 }],
];

/** What differs from run to run, and from server to server. */
const plain = (seen: unknown, port: number): unknown =>
  JSON.parse(JSON.stringify(seen).replaceAll(String(port), 'PORT').replace(/created_time:\\?"[^"]*"|0x[0-9a-f]+/g, '')); // prettier-ignore

const uncounted = new Set(['a client that cancels', 'a deadline']);

async function comparedBy(start: (port: number) => Promise<{ client: Asked; ask: object }>, name: string, script: Script, how: object) {
  const ticket = both.ticketOf(script).toString('base64');
  const seen = [];
  for (const port of [both.raw, both.plain]) {
    const { client, ask } = await start(port);
    const outcome = await client.ask<Record<string, unknown>>('outcome', { ticket, ...ask, ...how });
    // How far it came by then is chance, and so is whether the client or the server saw the deadline first.
    if (uncounted.has(name)) {
      for (const counted of ['rows', 'messages', 'bytes', 'message', 'trailer']) delete outcome[counted];
      if (typeof outcome['error'] === 'string') outcome['error'] = outcome['error'].replace(/:.*/s, '');
    }
    seen.push(plain(outcome, port));
  }
  expect(seen[0]).toEqual(seen[1]);
  return seen[0] as { code?: string; error?: string | null };
} // prettier-ignore

describe('pyarrow sees no difference', () => {
  const clients = new Map<number, Asked>();
  beforeAll(async () => {
    for (const port of [both.raw, both.plain]) clients.set(port, await startPyarrow(`grpc://127.0.0.1:${port}`));
  }, 300_000);
  afterAll(() => Promise.all([...clients.values()].map((client) => client.stop())));

  test.each(cases)('between our frames and those of grpc-js: %s', async (name, script, how) => {
    const { error } = await comparedBy(async (port) => ({ client: clients.get(port) as Asked, ask: {} }), name, script, how); // prettier-ignore
    expect(error === null).toBe(/^(many|no|a) (messages|row|message)/.test(name));
  });
});

describeGo('Go sees no difference', () => {
  let go: Asked;
  beforeAll(async () => {
    go = await startGo();
  }, 600_000);
  afterAll(() => go.stop());

  test.each(cases)('between our frames and those of grpc-js: %s', async (name, script, how) => {
    const start = async (port: number) => ({ client: go, ask: { address: `127.0.0.1:${port}` } });
    const { code } = await comparedBy(start, name, script, how);
    expect(code === 'OK').toBe(/^(many|no|a) (messages|row|message)/.test(name));
  });
});
