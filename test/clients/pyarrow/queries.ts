import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Metadata, Server, ServerCredentials, status, type ServerWritableStream } from '@grpc/grpc-js';
import { writeFrames } from '../../../apps/flight/framing.js';
import { flightService, type Ticket } from '../../../apps/flight/protocol.js';
import { isDomainError } from '../../../domain/errors.js';
import type { ReadPlan } from '../../../lake/read/plan.js';
import { createReader, type ReadOptions, type Reader } from '../../../lake/read/reader.js';
import { startPyarrow, type Pyarrow } from './pyarrow.js';
import type { Read } from './served.js';

/** Any query of DuckDB's, through our reader and framing, to pyarrow: its text is the ticket. */
export interface Queries {
  readonly reader: Reader;
  readonly pyarrow: Pyarrow;
  read(sql: string, options?: { validateFully?: boolean; compression?: ReadOptions['compression'] }): Promise<Read>;
  /** What differs between what was read last and DuckDB's own Arrow of the same query, made in the client's process. */
  differences(sql: string): Promise<string[]>;
  /** How many bytes the messages of a query have. */
  sent(sql: string, options?: { compression?: ReadOptions['compression'] }): Promise<number>;
  stop(): Promise<void>;
}

const idleMs = 60_000;
const planOf = (sql: string): ReadPlan => ({ setup: [], sql, files: [], rows: null });

export async function startQueries(): Promise<Queries> {
  const lakeRoot = mkdtempSync(join(tmpdir(), 'eider-queries-'));
  const reader = await createReader({ lakeRoot, threads: 2, memoryLimit: '1GB', workers: 1 });
  let compression: ReadOptions['compression'];
  const server = new Server({ 'grpc.max_send_message_length': -1 });

  async function send(stream: ServerWritableStream<Ticket, Buffer>): Promise<void> {
    const abort = new AbortController();
    stream.on('cancelled', () => abort.abort());
    const plan = planOf(stream.request.ticket.toString());
    const options = { signal: abort.signal, ...(compression && { compression }) };
    await writeFrames(stream, reader.read(plan, options), { signal: abort.signal, headers: new Metadata() }, idleMs);
    stream.end();
  }

  server.addService(flightService(fileURLToPath(new URL('../../../proto', import.meta.url))), {
    DoGet: (stream: ServerWritableStream<Ticket, Buffer>) =>
      void send(stream).catch((error: unknown) => {
        const details = isDomainError(error) ? `${error.code}: ${error.message}` : String(error);
        stream.emit('error', { code: status.INTERNAL, details });
      }),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const pyarrow = await startPyarrow(`grpc://127.0.0.1:${port}`);
  return {
    ...{ reader, pyarrow },
    read(sql, { compression: wanted, ...options } = {}) {
      compression = wanted;
      return pyarrow.ask<Read>('read', { ticket: Buffer.from(sql).toString('base64'), ...options });
    },
    differences: (sql) => pyarrow.ask<string[]>('duckdb_differences', { sql }),
    async sent(sql, options = {}) {
      let bytes = 0;
      for await (const { frame, release } of reader.read(planOf(sql), {
        signal: new AbortController().signal,
        ...options,
      })) {
        bytes += frame.length;
        release();
      }
      return bytes;
    },
    async stop() {
      await pyarrow.stop();
      server.forceShutdown();
      await reader.close();
      rmSync(lakeRoot, { recursive: true, force: true });
    },
  };
}
