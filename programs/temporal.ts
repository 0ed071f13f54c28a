import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { DomainError } from '../domain/errors.js';
import { searchAttributes } from '../domain/ids.js';
import type { Program } from './program.js';
import { findTemporal } from './tools.js';
import type { TemporalSearch } from './tools.js';

export interface TemporalOptions extends TemporalSearch {
  readonly home: string;
  readonly port: number;
  readonly uiPort: number;
  readonly namespace: string;
}

const attributeType = (name: string) => (name === searchAttributes.asOf ? 'Datetime' : 'Keyword');

/** A development server that keeps everything in `<home>/temporal.db`; its UI listens beside it. */
export function temporalProgram(options: TemporalOptions): Program {
  return {
    name: 'temporal',
    guarded: true,
    stop: { signal: 'SIGTERM', graceMs: 10_000 },
    async prepare() {
      const tool = await findTemporal({ ...options, address: null });
      if (tool.kind !== 'program') throw new DomainError('tool_missing', 'There is no Temporal program to start.');
      await mkdir(options.home, { recursive: true });
      return { file: tool.file, args: serverArgs(options) };
    },
    ready: () => temporalReady(`127.0.0.1:${options.port}`, options.namespace),
  };
}

function serverArgs({ home, port, uiPort, namespace }: TemporalOptions): string[] {
  const attributes = Object.values(searchAttributes).map((name) => `${name}=${attributeType(name)}`);
  return [
    ...['server', 'start-dev', '--db-filename', join(home, 'temporal.db')],
    // A write-ahead log that is synced at every commit: as safe as the default journal, with half of its syncs.
    ...['--sqlite-pragma', 'journal_mode=WAL', '--sqlite-pragma', 'synchronous=FULL'],
    ...['--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(uiPort), '--ui-disable-news-fetch'],
    ...['--log-level', 'warn', '--log-format', 'json'],
    ...(namespace === 'default' ? [] : ['--namespace', namespace]),
    ...attributes.flatMap((attribute) => ['--search-attribute', attribute]),
    // Operators may pause a workflow in the UI; a backlog of one kind of work does not starve the others.
    ...['--dynamic-config-value', 'frontend.WorkflowPauseEnabled=true'],
    ...['--dynamic-config-value', 'matching.enableFairness=true'],
  ];
}

/** True when the server answers, and the namespace has our search attributes. */
async function temporalReady(address: string, namespace: string): Promise<boolean> {
  try {
    return (await missingAttributes(address, namespace)).length === 0;
  } catch {
    return false; // Not up yet: asked again until the deadline.
  }
}

async function missingAttributes(address: string, namespace: string): Promise<string[]> {
  return withConnection(address, async (connection) => {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    return Object.values(searchAttributes).filter((name) => !(name in (customAttributes ?? {})));
  });
}

const indexedValueType = { Keyword: 2, Datetime: 6 } as const; // temporal.api.enums.v1.IndexedValueType

/** For a server that we did not start: adds the search attributes it lacks. Throws `temporal_unreachable`. */
export async function ensureSearchAttributes(address: string, namespace: string): Promise<void> {
  try {
    const missing = await missingAttributes(address, namespace);
    if (missing.length === 0) return;
    const added = Object.fromEntries(missing.map((name) => [name, indexedValueType[attributeType(name)]]));
    await withConnection(address, (connection) =>
      connection.operatorService.addSearchAttributes({ namespace, searchAttributes: added }),
    );
  } catch (error) {
    throw new DomainError(
      'temporal_unreachable',
      `The Temporal server at ${address} does not answer for namespace ${namespace}: ${(error as Error).message}.`,
      { address, namespace },
      { cause: error },
    );
  }
}

async function withConnection<T>(address: string, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await Connection.connect({ address, connectTimeout: 2_000 });
  try {
    return await connection.withDeadline(Date.now() + 5_000, () => work(connection));
  } finally {
    await connection.close();
  }
}
