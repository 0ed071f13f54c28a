import { Inject, Injectable, type BeforeApplicationShutdown } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { ProjectName } from '../../domain/ids.js';
import type { Database } from '../../store/db.js';
import { sendEvents, workflowEvents } from './events.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';
import { workflowRow } from './workflow-state.js';

/** The open streams of this process; a shutdown ends them, and callers connect again. */
@Injectable()
export class Streams implements BeforeApplicationShutdown {
  private readonly shutdown = new AbortController();

  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  /** Throws, while it still can be answered as a problem, when there is no such workflow. */
  async send(reply: FastifyReply, project: ProjectName, workflowId: string): Promise<void> {
    await workflowRow(this.temporal, project, workflowId);
    const from = { temporal: this.temporal, db: this.db, project };
    await sendEvents(reply, (signal) => workflowEvents(from, workflowId, signal), this.shutdown.signal);
  }

  beforeApplicationShutdown(): void {
    this.shutdown.abort();
  }
}
