import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import protobuf from 'protobufjs';
import { startFlight, type FlightServer } from '../../apps/flight/server.js';
import { createLogger } from '../../apps/log.js';
import type { FlightInfo } from '../../apps/flight/protocol.js';
import { encapsulated } from '../../lake/read/schema.js';
import { tables } from '../../store/tables.js';
import { withWorld, type World } from '../support/world.js';
import { at, openShop, row, type Shop } from '../workflows/online-shop.js';
import { grpcClient, messages, protoFolder, type GrpcClient } from './client.js';

/** Whoever reads a view by Flight gets what was pushed in the place of what it corrects, and every row when it asks for that. */

const sql = protobuf.parse(readFileSync(join(protoFolder, 'FlightSql.proto'), 'utf8'), { keepCase: true }).root;
let world: World;
let flight: FlightServer;
let client: GrpcClient;
let shop: Shop;
beforeAll(async () => {
  world = await withWorld();
  const log = createLogger('flight', 'error', () => undefined);
  // An endpoint for each byte, where a table may have several.
  flight = await startFlight({
    ...{ host: '127.0.0.1', port: 0, lakeRoot: world.lake.root, protoFolder, tables: tables(world.db), log },
    ...{ endpointBytes: 1, reader: { threads: 2 } },
  });
  client = grpcClient(flight.port);
  shop = await openShop(world, 'corrected');
  await shop.materialize();
}, 120_000);
afterAll(async () => {
  client?.close();
  await flight?.stop(0);
  await world?.close();
});

interface Row {
  readonly shop: number;
  readonly day: number;
  readonly amount: number;
}

/** The rows of all endpoints, one after the other. */
async function rowsBehind({ endpoint }: FlightInfo): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { ticket } of endpoint) {
    const seen = await client.seen('DoGet', ticket);
    expect([seen.code, seen.details]).toEqual([0, 'OK']);
    const parts = seen.messages.flatMap((bytes) => {
      const read = protobuf.Reader.create(bytes);
      const found = new Map<number, Uint8Array>();
      while (read.pos < read.len) found.set(read.uint32() >>> 3, read.bytes());
      return [encapsulated(found.get(2) as Uint8Array), found.get(1000) ?? Buffer.alloc(0)];
    });
    for (const one of tableFromIPC(Buffer.concat(parts)).toArray())
      rows.push({ shop: Number(one['shop']), day: new Date(Number(one['at'])).getUTCDate(), amount: Number(one['amount']) }); // prettier-ignore
  }
  return rows;
}

const infoOf = (name: string) => client.info([shop.project, 'features', name]);
const byPath = async (name: string) => rowsBehind(await infoOf(name));
async function infoOfStatement(query: string): Promise<FlightInfo> {
  const value = sql.lookupType('arrow.flight.protocol.sql.CommandStatementQuery').encode({ query }).finish();
  const any = new protobuf.Type('Any').add(new protobuf.Field('type_url', 1, 'string')).add(new protobuf.Field('value', 2, 'bytes')); // prettier-ignore
  const cmd = any.encode({ type_url: 'type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery', value }).finish(); // prettier-ignore
  return client.unary('GetFlightInfo', { type: 'CMD', cmd }, { metadata: { 'eider-project': shop.project } });
}
const byStatement = async (query: string) => rowsBehind(await infoOfStatement(query));
const amounts = (rows: readonly Row[]) => rows.map(({ shop: of, day, amount }) => `${day}/${of}: ${amount}`);
const noted = (day: string) => at(`${day}T01:00:00`);
const sources = Array.from({ length: 9 }, (_, day) => [1, 2].map((of) => `${day + 1}/${of}: ${(day + 1) * 10 + of}`));

test('without pushed rows a table has its rows counted, in ranges', async () => {
  const info = await infoOf('shop_day');
  expect([info.total_records, info.endpoint.length > 1]).toEqual([18, true]);
  expect(amounts(await rowsBehind(info))).toEqual(sources.flat());
  expect(amounts(await byPath('shop_day@raw'))).toEqual(sources.flat());
});

test('a correction is read in the place of what it corrects, the later one of two, by path and by statement', async () => {
  await shop.push([row(1, '03', 300, noted('03')), row(2, '05', 500, noted('05')), row(2, '05T12:00:00', 512)]);
  await shop.flush();
  await shop.push([row(1, '03', 333, noted('03')), row(2, '05T12:00:00', 555, at('05T12:00:00'))]);
  // The same event time, known at another instant: a row beside the other.
  await shop.push([row(1, '07', 700)]);
  await shop.flush();
  const corrected = sources.flatMap((rows, day) => {
    if (day === 2) return ['3/2: 32', '3/1: 333'];
    if (day === 4) return ['5/1: 51', '5/2: 500', '5/2: 555'];
    return day === 6 ? [...rows, '7/1: 700'] : rows;
  });
  const info = await infoOf('shop_day');
  expect([info.total_records, info.endpoint.length]).toEqual([-1, 1]);
  expect(amounts(await rowsBehind(info))).toEqual(corrected);
  expect(amounts(await byPath('shop_day'))).toEqual(corrected);
  const whole = await infoOfStatement('SELECT * FROM shop_day');
  expect([whole.total_records, amounts(await rowsBehind(whole))]).toEqual([-1, corrected]);
  expect(amounts(await byStatement('SELECT * FROM features.shop_day WHERE shop = 1 AND amount > 100'))).toEqual(['3/1: 333', '7/1: 700']); // prettier-ignore
  const listed = await client.seen('ListFlights', { expression: Buffer.from('features') }, { metadata: { 'eider-project': shop.project } }); // prettier-ignore
  expect(listed.messages.map((bytes) => messages.FlightInfo.deserialize(bytes).total_records)).toEqual([-1]);
});

test('all rows of the files stay under NAME@raw, also of a snapshot, beside the corrected ones in one statement', async () => {
  const info = await infoOf('shop_day@raw');
  expect([info.total_records, info.endpoint.length > 1]).toEqual([22, true]);
  const raw = amounts(await rowsBehind(info));
  expect(raw.slice(4, 7)).toEqual(['3/1: 31', '3/2: 32', '3/1: 333']);
  expect(JSON.parse(info.app_metadata.toString())).toMatchObject({ name: 'shop_day', raw: true });
  expect(amounts(await byPath('shop_day@r1@raw'))).toEqual(raw);
  expect(amounts(await byStatement('SELECT * FROM "shop_day@raw"'))).toEqual(raw);
  expect(amounts(await byPath('shop_day@s9'))).toEqual(sources.flat());
  expect(amounts(await byStatement('SELECT * FROM "shop_day@raw" AT (VERSION => 9)'))).toEqual(sources.flat());
  const both = `SELECT old.shop, old."at", old.amount FROM "shop_day@raw" AS old ANTI JOIN shop_day AS now_ USING (shop, "at", amount) ORDER BY ALL`;
  expect(amounts(await byStatement(both))).toEqual(['3/1: 31', '5/2: 52']);
});
