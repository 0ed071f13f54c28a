import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata, type MethodDefinition } from '@grpc/grpc-js';
import { flightService } from '../../apps/flight/protocol.js';
import { startFlight, type FlightServer } from '../../apps/flight/server.js';
import { createLogger } from '../../apps/log.js';
import { quoteText } from '../../lake/duckdb.js';
import { localObjects } from '../../lake/objects.js';
import { until } from '../../programs/waiting.js';
import { commitWindow } from '../../store/snapshots.js';
import { instantBefore, markedFiles, markTable } from '../../store/retention.js';
import { tables } from '../../store/tables.js';
import { commitOf, project, staged, view } from '../store/samples.js';
import { withDatabase, type TestDatabase } from '../support/database.js';
import { withLake, type TestLake } from '../support/lake.js';

/** What Flight promised, and what it sends, is left alone by garbage collection. */

const protoFolder = fileURLToPath(new URL('../../proto', import.meta.url));
const service = flightService(protoFolder);
const rows = 1_500_000;
let database: TestDatabase;
let lake: TestLake;
let flight: FlightServer;
let client: Client;
let snapshot: number;

beforeAll(async () => {
  [database, lake] = await Promise.all([withDatabase(), withLake()]);
  const log = createLogger('flight', 'error', () => undefined);
  const settings = { host: '127.0.0.1', port: 0, lakeRoot: lake.folder, protoFolder, tables: tables(database.db), log };
  flight = await startFlight(settings);
  client = new Client(`127.0.0.1:${flight.port}`, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await flight.stop(0);
  await lake.close();
  await database.close();
});

/** A view of one large file, which a second commit has replaced. */
beforeEach(async () => {
  const { db } = database;
  await db.query('DELETE FROM leases');
  const [head] = await db.query<{ id: number }>('SELECT max(id)::bigint AS id FROM commits');
  const columns = [{ name: 'i', type: 'BIGINT' }, { name: 'h', type: 'DOUBLE' }]; // prettier-ignore
  const made = async (name: string, count: number, predecessor: number | null) => {
    const key = `eider/${name}-${Date.now()}.parquet`;
    await mkdir(`${lake.folder}/eider`, { recursive: true });
    await lake.in((session) => session.run(`COPY (SELECT i, hash(i)::DOUBLE AS h FROM range(${count}) t(i)) TO ${quoteText(`${lake.folder}/${key}`)} (FORMAT parquet)`)); // prettier-ignore
    const window = { ...staged(1, key), files: [{ key, rows: count, bytes: 1, sha256: '' }], rows: count };
    return commitWindow(db, { ...commitOf(window, predecessor, view), columns });
  };
  const large = await made('large', rows, head?.id ?? null);
  snapshot = large.snapshot;
  await collect();
  await made('small', 10, large.commit);
});

async function collect(): Promise<number> {
  const { db } = database;
  const { files } = await markTable(db, view, { before: await instantBefore(db, 0), by: 'test', dryRun: false });
  const objects = localObjects(lake.folder);
  for (const key of await markedFiles(db, project, 100)) await objects.remove(key);
  return files.files;
}

type Method = MethodDefinition<object, object>;
function ticketOf(name: string): Promise<Buffer> {
  const { path, requestSerialize, responseDeserialize } = service['GetFlightInfo'] as Method;
  const descriptor = { type: 'PATH', path: [project, 'features', name] };
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, descriptor, new Metadata(), (error, info) =>
      error ? reject(error) : resolve((info as { endpoint: { ticket: { ticket: Buffer } }[] }).endpoint[0]?.ticket.ticket as Buffer),
    ),
  ); // prettier-ignore
}
function doGet(ticket: Buffer) {
  const { path, requestSerialize } = service['DoGet'] as Method;
  return client.makeServerStreamRequest(path, requestSerialize, (bytes) => bytes, { ticket }, new Metadata());
}
const leases = () => database.db.query<{ holder: string }>('SELECT holder FROM leases ORDER BY holder');

test('a stream that is open while garbage is collected still finishes, and its files go afterwards', async () => {
  const ticket = await ticketOf(`origin_hour@s${snapshot}`);
  const call = doGet(ticket);
  await once(call, 'readable'); // The first message is there; the rest waits until somebody takes it.
  // The promise of the ticket is over: only the stream itself holds the snapshot now.
  await database.db.query("DELETE FROM leases WHERE holder = 'tickets'");
  expect(await leases()).toMatchObject([{ holder: expect.stringMatching(/^stream\//) as string }]);
  expect(await collect()).toBe(0);
  let bytes = 0;
  call.on('data', (message: Buffer) => (bytes += message.length));
  await once(call, 'end');
  expect(bytes).toBeGreaterThan(rows * 16);
  expect(await until(async () => (await leases()).length === 0, 10_000)).toBe(true);
  expect(await collect()).toBeGreaterThanOrEqual(1);
});

test('a ticket is as good as it says, and afterwards the reader is told that the snapshot was collected', async () => {
  const ticket = await ticketOf(`origin_hour@s${snapshot}`);
  expect(await leases()).toEqual([{ holder: 'tickets' }]);
  expect(await collect()).toBe(0);
  await database.db.query("UPDATE leases SET expires_at = now() - interval '1 second'");
  expect(await collect()).toBeGreaterThanOrEqual(1);
  const [error] = (await once(doGet(ticket).resume(), 'error')) as [{ metadata: Metadata }];
  expect(error.metadata.get('eider-code')).toEqual(['snapshot_collected']);
  await expect(ticketOf(`origin_hour@s${snapshot}`)).rejects.toMatchObject({ details: expect.stringContaining('EIDER_RETENTION') as string }); // prettier-ignore
});
