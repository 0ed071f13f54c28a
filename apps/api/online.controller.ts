import { Body, Controller, Get, Header, Headers, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { FeatureRef, InstantSchema, Joins, ResourceNameSchema } from '../../domain/names.js';
import { pushTargets } from '../../domain/online.js';
import { pushRowsMax, type Pushed } from '../../domain/pushes.js';
import type { Principal } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { liveGeneration, listGenerations, onlineHistory, onlineView, type Generation } from '../../store/online.js';
import { rollBack } from '../../store/online-publish.js';
import { getReport, listReports } from '../../store/online-reports.js';
import { pushRows } from '../../store/pushes.js';
import { getResource } from '../../store/resources.js';
import { waitingPushes } from '../../store/staged-rows.js';
import { ReadsOnly } from './idempotency.interceptor.js';
import { answerBytes, columnsOfRows } from './online-text.js';
import { featuresMax, OnlineReader } from './online-reader.js';
import { limit, pageOf } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const Value = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const ReadBody = z
  .strictObject({
    features: z.array(FeatureRef).max(featuresMax).default([]).describe('As view:feature, or join:feature.'),
    service: ResourceNameSchema.optional().describe('A FeatureService, whose features come first.'),
    joins: Joins,
    entities: z.record(z.string(), z.array(Value)).optional().describe('Columns of equal length, by name.'),
    rows: z.array(z.record(z.string(), Value)).optional().describe('The same, row by row.'),
    asOf: InstantSchema.optional().describe('Ages are measured to it, and nothing later is known. Default: now.'),
    expired: z.enum(['null', 'value']).default('null').describe('What a value beyond its TTL is answered as.'),
  })
  .refine(({ features, service }) => features.length > 0 || service !== undefined, { message: 'must name features or a service' })
  .refine(({ entities, rows }) => (entities === undefined) !== (rows === undefined), { message: 'must have either entities or rows' })
  .meta({ id: 'ReadOnline' }); // prettier-ignore
type ReadBody = z.infer<typeof ReadBody>;

const PublishBody = z
  .strictObject({
    asOf: InstantSchema.optional().describe('Rows that could be known by then. Default: by now.'),
    revision: z.int().min(1).optional().describe('Default: the active one.'),
  })
  .meta({ id: 'Publish' });
type PublishBody = z.infer<typeof PublishBody>;

const RollbackBody = z.strictObject({ reason: z.string().min(1).max(1000).optional() }).meta({ id: 'Rollback' });
type RollbackBody = z.infer<typeof RollbackBody>;

const PushBody = z
  .strictObject({
    rows: z.array(z.record(z.string(), Value)).min(1).max(pushRowsMax),
    to: z.enum(pushTargets).default('online_and_offline'),
    id: z.string().min(1).max(255).optional().describe('Makes the push once. Default: the Idempotency-Key, else a new one.'), // prettier-ignore
  })
  .meta({ id: 'Push' });
type PushBody = z.infer<typeof PushBody>;

const VerifyBody = z
  .strictObject({
    sample: z.int().min(1).max(10_000_000).optional().describe('How many online keys are compared. Default: all.'),
    seed: z.int().min(0).max(2 ** 31 - 1).default(1).describe('Which keys a sample has.'), // prettier-ignore
    repair: z.boolean().default(false).describe('Write exactly the keys that differ as they should be.'),
  })
  .meta({ id: 'VerifyOnline' });
type VerifyBody = z.infer<typeof VerifyBody>;

const ListQuery = z.strictObject({
  limit,
  after: z.coerce.number().int().min(1).optional().describe('The generation that the page before ended with.'),
});
type ListQuery = z.infer<typeof ListQuery>;
const ReportsQuery = z.strictObject({ limit });
type ReportsQuery = z.infer<typeof ReportsQuery>;
const ReportId = z.string().min(1).max(100);

@ApiTags('online')
@Controller(inProject('/features'))
export class OnlineController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
    private readonly reader: OnlineReader,
  ) {}

  @Post('online')
  @ReadsOnly()
  @HttpCode(200)
  @Header('content-type', 'application/json; charset=utf-8')
  @ApiOperation({ summary: 'The online values of features, column by column, each view from one generation.' })
  async read(
    @Param('project') project: ProjectName,
    @Body({ schema: ReadBody }) { entities, rows, ...body }: ReadBody,
  ) {
    const asked = { ...body, entities: entities ?? columnsOfRows(rows ?? []) };
    return answerBytes(await this.reader.read(project, asked));
  }

  @Get(':view/online')
  @ApiOperation({
    summary: 'What is online of a view: live generation, what waits to be flushed, how the pointer moved.',
  })
  async state(@Param('project') project: ProjectName, @Param('view', { schema: ResourceNameSchema }) view: string) {
    await getResource(this.db, project, 'FeatureView', view);
    const [{ number, sequence }, live, waiting, history] = await Promise.all([
      onlineView(this.db, project, view),
      liveGeneration(this.db, project, view),
      waitingPushes(this.db, { project, view }),
      onlineHistory(this.db, project, view),
    ]);
    const rows = waiting.reduce((sum, one) => sum + one.rows, 0);
    return { view, live: live && shown(live), number, sequence, waiting: rows, history };
  }

  @Get(':view/generations')
  @ApiOperation({ summary: 'The generations of a view, newest first.' })
  async generations(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: ListQuery }) { limit: size, after: before }: ListQuery,
  ) {
    await getResource(this.db, project, 'FeatureView', view);
    const rows = await listGenerations(this.db, project, view, { limit: size + 1, before });
    return pageOf(rows.map(shown), size, ({ generation }) => generation);
  }

  @Post(':view/publish')
  @HttpCode(202)
  @ApiOperation({ summary: 'Writes a new generation from what is materialized and pushed, and flips to it.' })
  async publish(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: PublishBody }) { asOf, revision: asked }: PublishBody,
    @Caller() { name: principal }: Principal,
  ) {
    const { revision } = await getResource(this.db, project, 'FeatureView', view, asked);
    const started = await this.temporal.start('publishView', {
      workflowId: workflowIds.publish(project, view),
      input: { project, view, revision, asOf, principal },
      resource: `FeatureView/${view}`,
      summary: `Publish ${view}@r${revision}${asOf ? ` as of ${asOf}` : ''}`,
    });
    return { view, revision, ...started };
  }

  @Post(':view/rollback')
  @HttpCode(200)
  @ApiOperation({ summary: 'Readers see the generation before at once, with everything that was pushed since.' })
  async rollback(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: RollbackBody }) { reason }: RollbackBody,
    @Caller() principal: Principal,
  ) {
    const { generation, ...moved } = await rollBack(this.db, project, view, reason ?? null, principal);
    return { view, live: shown(generation), ...moved };
  }

  @Post(':view/push')
  @HttpCode(200)
  @ApiOperation({ summary: 'Writes rows online, and for joins offline, in one transaction, once by their id.' })
  async push(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: PushBody }) { rows, to, id }: PushBody,
    @Headers('idempotency-key') key: string | undefined,
    @Caller() principal: Principal,
  ): Promise<Pushed> {
    return pushRows(this.db, { project, view, rows, to, id: id ?? key ?? randomUUID() }, principal);
  }

  @Post(':view/flush')
  @HttpCode(202)
  @ApiOperation({ summary: 'Moves pushed rows that wait into commits; it happens by itself within a minute or two.' })
  async flush(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Caller() { name: principal }: Principal,
  ) {
    await getResource(this.db, project, 'FeatureView', view);
    return this.temporal.start('flushPushes', {
      workflowId: workflowIds.flush(project, view),
      input: { project, view, principal },
      resource: `FeatureView/${view}`,
      summary: `Flush what was pushed to ${view}`,
    });
  }

  @Post(':view/verify')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Compares what is online with the offline answer at its watermark; names and repairs what differs.',
  })
  async verify(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: VerifyBody }) body: VerifyBody,
    @Caller() { name: principal }: Principal,
  ) {
    await getResource(this.db, project, 'FeatureView', view);
    return this.temporal.start('verifyOnline', {
      workflowId: workflowIds.verifyOnline(project, view),
      input: { project, view, ...body, principal },
      resource: `FeatureView/${view}`,
      summary: `Verify ${view} online${body.repair ? ' and repair it' : ''}`,
    });
  }

  @Get(':view/verifications')
  @ApiOperation({ summary: 'What comparisons of a view found, newest first.' })
  async reports(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: ReportsQuery }) { limit: size }: ReportsQuery,
  ) {
    await getResource(this.db, project, 'FeatureView', view);
    return { items: await listReports(this.db, project, view, size), next: null };
  }

  @Get(':view/verifications/:report')
  @ApiOperation({ summary: 'One comparison with the first keys that differed, why, and both rows.' })
  async report(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Param('report', { schema: ReportId }) id: string,
  ) {
    const found = await getReport(this.db, project, view, id);
    if (!found) throw new DomainError('workflow_unknown', `There is no verification "${id}" of the view "${view}".`);
    return found;
  }
}

/** A generation as people see it: its number, not its row. */
function shown({ id: _, shape: __, ...generation }: Generation) {
  return generation;
}
