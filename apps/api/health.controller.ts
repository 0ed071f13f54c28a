import { Controller, Get, Header, Inject, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { asDomainError } from '../../domain/errors.js';
import { defaultProject } from '../../domain/ids.js';
import type { Database } from '../../store/db.js';
import { requireProject } from '../../store/resources.js';
import { Metrics } from './metrics.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const okOr = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => asDomainError(error).code,
  );

@ApiTags('health')
@Controller()
export class HealthController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
    private readonly metrics: Metrics,
  ) {}

  @Get('healthz')
  @ApiOperation({ summary: 'Whether this process answers.' })
  health() {
    return { status: 'ok' };
  }

  @Get('readyz')
  @ApiOperation({ summary: 'Whether what it stands on answers: 200, or 503 with the part that does not.' })
  async ready(@Res({ passthrough: true }) reply: FastifyReply) {
    const [database, temporal] = await Promise.all([
      okOr(requireProject(this.db, defaultProject)),
      okOr(this.temporal.ping()),
    ]);
    const ready = database === 'ok' && temporal === 'ok';
    void reply.code(ready ? 200 : 503);
    return { ready, database, temporal };
  }

  @Get('metrics')
  @Header('content-type', 'text/plain; version=0.0.4; charset=utf-8')
  @ApiProduces('text/plain')
  @ApiOperation({ summary: 'Counters for Prometheus.' })
  prometheus() {
    return this.metrics.text();
  }
}
