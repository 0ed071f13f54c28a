import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFlight, type FlightServer } from '../../../apps/flight/server.js';
import { createLogger } from '../../../apps/log.js';
import { keyLine, newKey } from '../../../domain/keys.js';
import { protoFolder } from '../../flight/client.js';
import { createTestLake, type TestLake } from '../../flight/lake.js';
import { createAuthority } from '../../support/certificates.js';
import type { Asked } from '../asked.js';
import { describeGo, startGo } from './go.js';

describeGo('Arrow’s Flight SQL client for Go, over TLS and with name and key,', () => {
  const ann = newKey({ name: 'ann', projects: 'eider', expiresAt: null }, Buffer.alloc(32, 1));
  let folder: string;
  let lake: TestLake;
  let flight: FlightServer;
  let go: Asked;
  let how: object;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'eider-go-'));
    writeFileSync(join(folder, 'keys'), keyLine(ann.key));
    const authority = createAuthority(folder);
    lake = await createTestLake();
    await lake.add('rides', ["SELECT i, 'driver ' || i AS driver FROM range(10) t(i)"]);
    flight = await startFlight({
      ...{ host: '127.0.0.1', port: 0, lakeRoot: lake.root, protoFolder, tables: lake.reader },
      ...{ log: createLogger('flight', 'error'), tls: authority.sign('flight'), keys: join(folder, 'keys') },
    });
    go = await startGo();
    how = { address: `127.0.0.1:${flight.port}`, authority: authority.certificate, name: 'ann', key: ann.secret };
  }, 600_000);
  afterAll(async () => {
    await go?.stop();
    await flight?.stop(0);
    lake?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  test('executes a statement', async () => {
    const query = 'SELECT i, driver FROM features.rides WHERE i >= 8 ORDER BY i';
    expect(await go.ask('query', { ...how, query })).toMatchObject({
      rows: [{ i: 8, driver: 'driver 8' }, { i: 9, driver: 'driver 9' }],
    }); // prettier-ignore
  });

  test('prepares one and binds a parameter', async () => {
    const query = 'SELECT count(*)::INTEGER AS n FROM features.rides WHERE driver = ?';
    expect(await go.ask('prepared', { ...how, query, parameters: ['driver 3'] })).toMatchObject({ rows: [{ n: 1 }] });
  });

  test('lists the tables', async () => {
    const { rows } = await go.ask<{ rows: Record<string, unknown>[] }>('tables', how);
    expect(rows).toContainEqual(expect.objectContaining({ catalog_name: 'eider', db_schema_name: 'features', table_name: 'rides' })); // prettier-ignore
  });

  test('is unauthenticated with another key, and may not read another project', async () => {
    expect((await go.refusal('query', { ...how, key: 'wrong', query: 'SELECT 1' })).type).toBe('Unauthenticated');
    expect((await go.refusal('query', { ...how, project: 'other', query: 'SELECT 1' })).type).toBe('PermissionDenied');
  });
});
