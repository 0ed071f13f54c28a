import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { isDomainError } from '../../domain/errors.js';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { durationMicros, later, plusMicros, toMicros } from '../../domain/instants.js';
import { InstantSchema, ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { MonitorSpec } from '../../domain/resources.js';
import { findOpenAlert, listAlerts } from '../../store/alerts.js';
import type { Database } from '../../store/db.js';
import { listFindings, listTicks, type FindingPosition } from '../../store/monitoring.js';
import { getResource, listResources } from '../../store/resources.js';
import { WindowBody } from './features.controller.js';
import { decodeCursor, encodeCursor, pageOf, pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { invalidRequest } from './problem.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const tickCountMax = 1000;
/** A schedule follows its Monitor's apply within moments, made by a worker. */
const scheduleWaitMs = 10_000;
const scheduleStepMs = 250;

const Tick = z
  .strictObject({ asOf: InstantSchema.describe('The end of the window that is scored.') })
  .meta({ id: 'Tick' });
type Tick = z.infer<typeof Tick>;

const FindingsQuery = PageQuery.extend({
  version: z.coerce.number().int().min(1).optional(),
  until: InstantSchema.optional().describe('Only what was found by this instant.'),
});
type FindingsQuery = z.infer<typeof FindingsQuery>;
const FindingCursor = z.strictObject({ start: InstantSchema, version: z.int(), test: z.string(), subject: z.string() });

/** The instants in `[start, end)` at which the monitor ticks. */
export function slotsIn(spec: MonitorSpec, { start, end }: WindowBody): Instant[] {
  const step = durationMicros(spec.window);
  const first = later(start, spec.start);
  const offset = Math.ceil((toMicros(first) - toMicros(spec.start)) / step) * step;
  const slots: Instant[] = [];
  for (let at = plusMicros(spec.start, offset); at < end && slots.length <= tickCountMax; at = plusMicros(at, step))
    if (spec.end === undefined || at <= spec.end) slots.push(at);
    else break;
  return slots;
}

@ApiTags('monitoring')
@Controller(inProject('/monitors'))
export class MonitoringController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Monitors with the alert that is open, if any.' })
  async list(@Param('project') project: ProjectName, @Query({ schema: PageQuery }) query: PageQuery) {
    const page = pageOfAll(await listResources(this.db, project, 'Monitor'), query, ({ name }) => name);
    const items = page.items.map(async (one) => ({ ...one, alert: await findOpenAlert(this.db, project, one.name) }));
    return { ...page, items: await Promise.all(items) };
  }

  @Post(':monitor/tick')
  @HttpCode(202)
  @ApiOperation({ summary: 'Runs one tick by hand, as its schedule would at this instant.' })
  async tick(
    @Param('project') project: ProjectName,
    @Param('monitor', { schema: ResourceNameSchema }) monitor: string,
    @Body({ schema: Tick }) { asOf }: Tick,
    @Caller() { name: principal }: Principal,
  ) {
    await getResource(this.db, project, 'Monitor', monitor);
    const started = await this.temporal.start('monitorTick', {
      workflowId: workflowIds.monitor(project, monitor, asOf),
      input: { project, monitor, asOf, principal },
      resource: `Monitor/${monitor}`,
      summary: `Monitor ${monitor} at ${asOf}`,
    });
    return { monitor, asOf, ...started };
  }

  @Post(':monitor/backfill')
  @HttpCode(202)
  @ApiOperation({ summary: 'Has the schedule run its ticks in [start, end) of the past, one after the other.' })
  async backfill(
    @Param('project') project: ProjectName,
    @Param('monitor', { schema: ResourceNameSchema }) monitor: string,
    @Body({ schema: WindowBody }) range: WindowBody,
  ) {
    const { spec } = await getResource(this.db, project, 'Monitor', monitor);
    const slots = slotsIn(spec, range);
    if (slots.length === 0) throw invalidRequest([{ field: 'start', message: 'no tick lies in this range' }]);
    if (slots.length > tickCountMax)
      throw invalidRequest([{ field: 'end', message: `more than ${tickCountMax} ticks; ask for a shorter range` }]);
    const schedule = workflowIds.schedule(project, monitor);
    await this.backfillWhenReady(schedule, range);
    const workflows = slots.map((asOf) => ({ asOf, workflowId: workflowIds.monitor(project, monitor, asOf) }));
    return { monitor, schedule, ticks: workflows };
  }

  @Get(':monitor/ticks')
  @ApiOperation({ summary: 'What each tick scored and judged, oldest first.' })
  async ticks(
    @Param('project') project: ProjectName,
    @Param('monitor', { schema: ResourceNameSchema }) monitor: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    await getResource(this.db, project, 'Monitor', monitor);
    return pageOfAll(await listTicks(this.db, project, monitor), query, ({ asOf }) => asOf);
  }

  @Get(':monitor/findings')
  @ApiOperation({ summary: 'Every test of every window, newest window first.' })
  async findings(
    @Param('project') project: ProjectName,
    @Param('monitor', { schema: ResourceNameSchema }) monitor: string,
    @Query({ schema: FindingsQuery }) { version, until, limit, after }: FindingsQuery,
  ) {
    await getResource(this.db, project, 'Monitor', monitor);
    const position = after === undefined ? undefined : decodeCursor(FindingCursor, after);
    const findings = await listFindings(this.db, project, monitor, {
      ...{ version, until, limit: limit + 1, after: position as FindingPosition | undefined },
    });
    return pageOf(findings, limit, ({ window: { start }, version, test, subject }) =>
      encodeCursor({ start, version, test, subject }),
    );
  }

  @Get(':monitor/alerts')
  @ApiOperation({ summary: 'Alerts with what was done about them, oldest first.' })
  async alerts(
    @Param('project') project: ProjectName,
    @Param('monitor', { schema: ResourceNameSchema }) monitor: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    await getResource(this.db, project, 'Monitor', monitor);
    return pageOfAll(await listAlerts(this.db, project, monitor), query, ({ id }) => id);
  }

  private async backfillWhenReady(schedule: string, { start, end }: WindowBody): Promise<void> {
    for (const deadline = performance.now() + scheduleWaitMs; ; await pause(scheduleStepMs)) {
      try {
        return await this.temporal.backfill(schedule, start, end);
      } catch (error) {
        const missing = isDomainError(error) && error.code === 'schedule_not_ready';
        if (!missing || performance.now() > deadline) throw error;
      }
    }
  }
}
