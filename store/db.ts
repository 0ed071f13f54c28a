import { readdir, readFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Client, escapeLiteral, Pool, types as pgTypes, type PoolClient } from 'pg';
import { from as copyFrom, to as copyTo } from 'pg-copy-streams';
import { DomainError } from '../domain/errors.js';
import type { ProjectName } from '../domain/ids.js';
import type { Principal } from '../domain/principal.js';

/** One statement at a time, with rows as plain objects. Both the pool and an open transaction are one. */
export interface Queries {
  /** A statement with a name is planned once a connection: for what is asked thousands of times a second. */
  query<Row extends object>(text: string, values?: readonly unknown[], name?: string): Promise<Row[]>;
}

/** An open transaction; COPY moves any number of rows through it without holding them. */
export interface Transaction extends Queries {
  /** `COPY … FROM STDIN`; resolves to the number of rows. */
  copyIn(statement: string, rows: Readable): Promise<number>;
  /** `COPY … TO STDOUT`, which takes no parameters: what the statement holds must be quoted. */
  copyOut(statement: string, rows: Writable): Promise<void>;
}

export interface Database extends Queries {
  /** Commits when `work` resolves, rolls back when it throws. */
  transaction<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result>;
  /** Calls back on each NOTIFY of the channel, reconnecting by itself; a lost message is found by polling. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

const timestamptzOid = 1184;
const int8Oid = 20;
const numericOid = 1700;

/** PostgreSQL prints `2001-03-05 00:00:00.123456+00` in UTC; we speak instants. */
function parseTimestamptz(text: string): string {
  const match = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2})(?:\.(\d{1,6}))?\+00$/.exec(text);
  if (!match) throw new DomainError('internal', `PostgreSQL sent the timestamp "${text}", which is not UTC.`);
  return `${match[1]}T${match[2]}.${(match[3] ?? '').padEnd(6, '0')}Z`;
}

function parseInt8(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new DomainError('internal', `${text} does not fit a safe integer.`);
  return value;
}

const typeParsers: { getTypeParser: typeof pgTypes.getTypeParser } = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === timestamptzOid) return parseTimestamptz;
    if (oid === int8Oid) return parseInt8;
    if (oid === numericOid) return Number;
    return pgTypes.getTypeParser(oid, format as 'text');
  }) as typeof pgTypes.getTypeParser,
};

const connectionCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  '57P01',
  '57P02',
  '57P03',
  '08006',
  '08001',
  '08003',
]);

function translate(error: unknown): unknown {
  const { code, message } = (error ?? {}) as { code?: string; message?: string };
  if (
    (code && connectionCodes.has(code)) ||
    /connection terminated|terminating connection|timeout exceeded when trying to connect/i.test(message ?? '')
  )
    return new DomainError('database_unreachable', message ?? 'The connection was lost.', {}, { cause: error });
  return error;
}

/** Connections that stay open when nobody asks. */
const keptMin = 4;

export interface DatabaseOptions {
  readonly url: string;
  readonly poolMax?: number;
  readonly application?: string;
  /** After so long a statement is ended, unless its transaction lifts that. */
  readonly statementMsMax?: number;
}

export function openDatabase({
  url,
  poolMax = 10,
  application = 'eider',
  statementMsMax = 60_000,
}: DatabaseOptions): Database {
  const connection = {
    connectionString: url,
    types: typeParsers,
    application_name: application,
    options: '-c TimeZone=UTC',
  };
  const pool = new Pool({
    ...connection,
    max: poolMax,
    // The others are closed after ten idle seconds. A new one costs whoever needs it first several milliseconds.
    min: keptMin,
    connectionTimeoutMillis: 10_000,
    statement_timeout: statementMsMax,
  });
  // An idle connection that dies is replaced at the next query; without a listener Node would end the process.
  pool.on('error', () => undefined);

  const queriesOf = (client: Pool | PoolClient): Queries => ({
    async query<Row extends object>(text: string, values: readonly unknown[] = [], name?: string) {
      try {
        return (await client.query<Row>({ text, values: values as unknown[], name })).rows;
      } catch (error) {
        throw translate(error);
      }
    },
  });

  return {
    ...queriesOf(pool),
    async transaction(work) {
      const client = await pool.connect().catch((error: unknown) => {
        throw translate(error);
      });
      // A connection that dies inside the transaction reports to its query; the event would end the process.
      const ignore = () => undefined;
      client.on('error', ignore);
      let broken: Error | undefined;
      try {
        await client.query('BEGIN');
        const result = await work({ ...queriesOf(client), ...copiesOf(client) });
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failure: Error) => (broken = failure));
        throw translate(error);
      } finally {
        client.off('error', ignore);
        client.release(broken);
      }
    },
    listen: (channel, onNotify) => listen(connection, channel, onNotify),
    close: () => pool.end(),
  };
}

const copiesOf = (client: PoolClient): Pick<Transaction, 'copyIn' | 'copyOut'> => ({
  async copyIn(statement, rows) {
    const into = client.query(copyFrom(statement));
    await pipeline(rows, into).catch((error: unknown) => {
      throw translate(error);
    });
    return into.rowCount ?? 0;
  },
  async copyOut(statement, rows) {
    await pipeline(client.query(copyTo(statement)), rows).catch((error: unknown) => {
      throw translate(error);
    });
  },
});

/** For a transaction whose statements take the longer, the more rows there are. */
export async function liftTimeout(tx: Queries): Promise<void> {
  await tx.query('SET LOCAL statement_timeout = 0');
}

/** A text as an SQL literal, for statements that take no parameters. */
export const literal = (text: string): string => escapeLiteral(text);

async function listen(
  connection: object,
  channel: string,
  onNotify: (payload: string) => void,
): Promise<() => Promise<void>> {
  let closed = false;
  let client: Client | undefined;
  let timer: NodeJS.Timeout | undefined;
  const retryMs = 1000;
  const connect = async (): Promise<void> => {
    const next = new Client(connection);
    next.on('notification', (message) => onNotify(message.payload ?? ''));
    let down = false;
    const again = () => {
      if (closed || down) return;
      down = true;
      timer = setTimeout(() => void connect(), retryMs);
    };
    next.on('error', again);
    next.on('end', again);
    try {
      await next.connect();
      await next.query(`LISTEN "${channel}"`);
      client = next;
      onNotify('');
    } catch {
      // Reconnecting is the answer to every failure here: the caller polls as well.
      await next.end().catch(() => undefined);
      again();
    }
  };
  await connect();
  return async () => {
    closed = true;
    clearTimeout(timer);
    await client?.end().catch(() => undefined);
  };
}

/** An arbitrary number that all our processes agree on: two that start together migrate one after the other. */
const migrationLock = 7_263_001;

/** Brings the schema up to date; returns the names of the migrations it ran. */
export async function migrate(db: Database, folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  return db.transaction(async (tx) => {
    await liftTimeout(tx);
    await tx.query('SELECT pg_advisory_xact_lock($1)', [migrationLock]);
    await tx.query(
      'CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const done = new Set((await tx.query<{ name: string }>('SELECT name FROM migrations')).map((row) => row.name));
    const todo = names.filter((name) => !done.has(name));
    for (const name of todo) {
      await tx.query(await readFile(`${folder}/${name}`, 'utf8'));
      await tx.query('INSERT INTO migrations (name) VALUES ($1)', [name]);
    }
    return todo;
  });
}

/** Rows that must exist: reading one that does not is a fault of ours, not of the caller. */
export function only<Row>(rows: readonly Row[]): Row {
  if (rows.length !== 1) throw new DomainError('internal', `Expected one row, got ${rows.length}.`);
  return rows[0] as Row;
}

export async function recordAudit(
  tx: Queries,
  project: ProjectName,
  principal: Principal,
  action: string,
  subject: string,
  details: object = {},
): Promise<void> {
  await tx.query('INSERT INTO audit (project, principal, action, subject, details) VALUES ($1,$2,$3,$4,$5)', [
    project,
    principal.name,
    action,
    subject,
    JSON.stringify(details),
  ]);
}

export interface Edge {
  readonly from: readonly [kind: string, id: string];
  readonly to: readonly [kind: string, id: string];
}

export async function recordLineage(tx: Queries, project: ProjectName, edges: readonly Edge[]): Promise<void> {
  const values = edges.map(({ from, to }) => ({ from_kind: from[0], from_id: from[1], to_kind: to[0], to_id: to[1] }));
  await tx.query(
    `INSERT INTO lineage (project, from_kind, from_id, to_kind, to_id)
     SELECT $1, from_kind, from_id, to_kind, to_id FROM jsonb_to_recordset($2) AS e(from_kind text, from_id text, to_kind text, to_id text)
     ON CONFLICT DO NOTHING`,
    [project, JSON.stringify(values)],
  );
}
