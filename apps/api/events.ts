import type { FastifyReply } from 'fastify';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { isDomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import { canonicalJson } from '../../domain/json.js';
import type { Database } from '../../store/db.js';
import { findRunOfWorkflow } from '../../store/training.js';
import type { Temporal } from './temporal.js';
import { outcomeOf, workflowProgress, workflowRow, type WorkflowRow } from './workflow-state.js';

/** One message of a stream of server-sent events. */
export interface ServerEvent {
  readonly event: 'progress' | 'training' | 'end';
  readonly data: unknown;
}

const pollMs = 400;
const heartbeatMs = 10_000;

/**
 * What a workflow does, until it ends: `progress` (stage), `training` (steps of the trainer, when it has a run) whenever
 * they change, and at last `end` with status, result and error. While Temporal or the database is away it keeps trying.
 */
export async function* workflowEvents(
  { temporal, db, project }: { temporal: Temporal; db: Database; project: ProjectName },
  workflowId: string,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const told = new Map<ServerEvent['event'], string>();
  const isNews = ({ event, data }: ServerEvent) => {
    const text = canonicalJson(data);
    if (data === null || told.get(event) === text) return false;
    told.set(event, text);
    return true;
  };
  for (; !signal.aborted; await pause(pollMs, undefined, { signal }).catch(() => undefined)) {
    try {
      const row = await workflowRow(temporal, project, workflowId);
      const running = row.status === 'running' || row.status === 'paused';
      const now: ServerEvent[] = [
        { event: 'progress', data: await workflowProgress(temporal, row) },
        { event: 'training', data: (await findRunOfWorkflow(db, project, workflowId))?.progress ?? null },
      ];
      yield* now.filter(isNews);
      if (!running) return yield { event: 'end', data: await ended(temporal, row) };
    } catch (error) {
      if (!isDomainError(error) || !error.row.retry) throw error;
    }
  }
}

async function ended(temporal: Temporal, row: WorkflowRow) {
  const { id, status, ui } = row;
  return { workflowId: id, status, ui, ...(await outcomeOf(temporal, row)) };
}

/** Writes events as they come; comments in between keep proxies from closing the connection. Ends when the caller leaves. */
export async function sendEvents(
  reply: FastifyReply,
  source: (signal: AbortSignal) => AsyncGenerator<ServerEvent>,
  shutdown: AbortSignal,
): Promise<void> {
  reply.hijack();
  const raw = reply.raw;
  const left = new AbortController();
  raw.on('close', () => left.abort());
  const signal = AbortSignal.any([left.signal, shutdown]);
  raw.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
    'x-request-id': reply.request.id,
  });
  raw.write(': ok\n\n');
  const heartbeat = setInterval(() => raw.write(': still here\n\n'), heartbeatMs);
  try {
    for await (const { event, data } of source(signal)) {
      if (signal.aborted) break;
      const room = raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      if (!room) await once(raw, 'drain', { signal }).catch(() => undefined);
    }
  } finally {
    clearInterval(heartbeat);
    raw.end();
  }
}
