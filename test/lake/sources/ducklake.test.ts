import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance, type DuckDBConnection } from '@duckdb/node-api';
import type { Window } from '../../../domain/features.js';
import { instant } from '../../../domain/instants.js';
import type { SourceAccess } from '../../../lake/access.js';
import { quoteText } from '../../../lake/duckdb.js';
import { pinSource, sourceVersion, type Source } from '../../../lake/sources/index.js';
import { sourceOf, withLake, type TestLake } from '../../support/lake.js';

let lake: TestLake;
beforeAll(async () => (lake = await withLake()));
afterAll(() => lake.close());

const day: Window = { start: instant('2001-01-01'), end: instant('2001-01-02') };
const catalogue = (name: string) => join(lake.folder, `${name}.ducklake`);
const source = (name: string, table = 'events'): Source => sourceOf(catalogue(name), { format: 'ducklake', table });

/** Writes to a DuckLake as its owner does: by an engine of its own, which then lets go of the catalogue. */
async function write(name: string, work: (connection: DuckDBConnection) => Promise<unknown>, data = lake.folder) {
  const extension = await lake.access().imports?.extension('ducklake');
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(`LOAD ${quoteText(extension ?? '')}`);
  await connection.run(`ATTACH ${quoteText(`ducklake:${catalogue(name)}`)} AS lake (DATA_PATH ${quoteText(join(data, name))})`); // prettier-ignore
  try {
    return await work(connection);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
const run = (name: string, sql: string, data?: string) => write(name, (connection) => connection.run(sql), data);

const read = (of: Source, access: SourceAccess = lake.access(), reach: Window | 'everything' = 'everything') =>
  lake.in(async (session) => {
    const pinned = await pinSource(session, of, access, reach);
    const rows = await session.rows(`SELECT * EXCLUDE (known_at) FROM ${pinned.relation()} ORDER BY ALL`);
    return { version: pinned.version, rows };
  });
const events = "SELECT * FROM (VALUES (1, TIMESTAMP '2001-01-01'), (2, TIMESTAMP '2001-01-02')) AS v(value, \"at\")";

test('its newest snapshot is read, and its version is that snapshot', async () => {
  await run('plain', `CREATE TABLE lake.events AS ${events}`);
  const before = await read(source('plain'));
  expect(before.rows).toEqual([
    { value: 1, at: '2001-01-01 00:00:00' },
    { value: 2, at: '2001-01-02 00:00:00' },
  ]);
  expect(await sourceVersion(source('plain'), lake.access())).toBe(before.version);
  expect((await read(source('plain'), lake.access(), day)).rows).toHaveLength(1);

  await run('plain', 'UPDATE lake.events SET value = 7 WHERE value = 1');
  const after = await read(source('plain', 'main.events'));
  expect(after.rows).toContainEqual({ value: 7, at: '2001-01-01 00:00:00' });
  expect(await sourceVersion(source('plain'), lake.access())).not.toBe(before.version);
});

test('a lake that was made anew has another version, though it counts from the beginning again', async () => {
  await run('anew', `CREATE TABLE lake.events AS ${events}`);
  const before = await sourceVersion(source('anew'), lake.access());
  await rm(catalogue('anew'));
  await run('anew', `CREATE TABLE lake.events AS ${events}`);
  expect(await sourceVersion(source('anew'), lake.access())).not.toBe(before);
});

test('what was pinned stays as it was while the lake is written', async () => {
  await run('still', `CREATE TABLE lake.events AS ${events}`);
  await lake.in(async (session) => {
    const pinned = await pinSource(session, source('still'), lake.access(), 'everything');
    await run('still', 'DELETE FROM lake.events');
    expect(await session.rows(`SELECT * FROM ${pinned.relation(day)}`)).toHaveLength(1);
    expect(await pinned.isUnchanged()).toBe(true);
  });
});

test('a lake whose files lie outside of the roots is not read', async () => {
  const outside = await withLake();
  await run('outside', `CREATE TABLE lake.events AS SELECT i, TIMESTAMP '2001-01-01' AS "at" FROM range(10000) t(i)`, outside.folder); // prettier-ignore
  await expect(read(source('outside'))).rejects.toMatchObject({
    ...{ code: 'source_unreadable', message: expect.stringMatching(/Cannot access/) },
  });
  await outside.close();
});

test('a catalogue that somebody writes at the moment is tried again later', async () => {
  await run('held', `CREATE TABLE lake.events AS ${events}`);
  const file = catalogue('held');
  // Another process: DuckDB lets two engines of one process share a file.
  const { spawn } = await import('node:child_process');
  const holder = spawn(process.execPath, ['-e', `
    const { DuckDBInstance } = require('@duckdb/node-api');
    DuckDBInstance.create(${JSON.stringify(file)}).then((held) => { console.log('held'); setInterval(() => held, 1000); });`]); // prettier-ignore
  const ended = new Promise((resolve) => holder.once('exit', resolve));
  try {
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    await expect(read(source('held'))).rejects.toMatchObject({ code: 'source_unreachable', row: { retry: true } });
  } finally {
    holder.kill('SIGKILL');
    await ended;
  }
  expect((await read(source('held'))).rows).toHaveLength(2);
});

test.each([
  ['a table that is not there', () => source('plain', 'nothing'), 'source_missing', /table nothing/],
  ['a catalogue that is not there', () => source('nothing'), 'source_missing', /does not exist/],
  [
    'a catalogue outside of the roots',
    () => sourceOf('/etc/passwd', { format: 'ducklake', table: 'events' }),
    'path_not_allowed',
    /outside/,
  ],
])('%s is refused', async (_, of, code, message) => {
  await expect(read(of())).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
});

test('a process without extensions says so', async () => {
  const access = { roots: [lake.folder], connections: {} };
  await expect(read(source('plain'), access)).rejects.toMatchObject({ code: 'extension_missing' });
});
