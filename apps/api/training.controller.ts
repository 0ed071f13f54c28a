import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Res, StreamableFile } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { workflowIds, type ProjectName, type RunId } from '../../domain/ids.js';
import { InstantSchema, ResourceNameSchema, RunIdSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import { runIdOf, trainingSetName } from '../../domain/training.js';
import type { Database } from '../../store/db.js';
import { getResource } from '../../store/resources.js';
import { findEvaluation } from '../../store/evaluation.js';
import { getRun, listRuns, type Run } from '../../store/training.js';
import { pageOf, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Streams } from './streams.js';
import { Temporal } from './temporal.js';
import { DATABASE, SETTINGS, type ApiSettings } from './tokens.js';

const AsOf = z
  .strictObject({ asOf: InstantSchema.describe('Nothing known after this instant is used.') })
  .meta({ id: 'AsOf' });
type AsOf = z.infer<typeof AsOf>;

const RunsQuery = PageQuery.extend({ model: ResourceNameSchema.optional(), after: RunIdSchema.optional() });
type RunsQuery = z.infer<typeof RunsQuery>;

/** Golden rows are for instances that load the model, not for people. */
const withoutGolden = ({ golden: _golden, ...run }: Run) => run;

@ApiTags('training')
@Controller(inProject(''))
export class TrainingController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
    private readonly streams: Streams,
    @Inject(SETTINGS) private readonly settings: ApiSettings,
  ) {}

  @Post('models/:model/training-sets')
  @HttpCode(202)
  @ApiOperation({ summary: 'Builds the training set of a model as of an instant.' })
  async build(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Body({ schema: AsOf }) { asOf }: AsOf,
    @Caller() { name: principal }: Principal,
  ) {
    const { revision } = await getResource(this.db, project, 'Model', model);
    const started = await this.temporal.start('buildTrainingSet', {
      workflowId: workflowIds.trainingSet(project, model, revision, asOf),
      input: { project, model, revision, asOf, principal },
      resource: `Model/${model}`,
      summary: `Training set of ${model}@r${revision} as of ${asOf}`,
    });
    return { dataset: trainingSetName({ model, revision, asOf }), ...started };
  }

  @Post('models/:model/train')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Trains, evaluates, registers and, when the gates allow, rolls out. The same asOf is the same run.',
  })
  async train(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Body({ schema: AsOf }) { asOf }: AsOf,
    @Caller() { name: principal }: Principal,
  ) {
    const { revision } = await getResource(this.db, project, 'Model', model);
    const started = await this.temporal.start('trainModel', {
      workflowId: workflowIds.train(project, model, revision, asOf),
      input: { project, model, revision, asOf, trigger: { kind: 'manual' }, principal },
      resource: `Model/${model}`,
      summary: `Train ${model}@r${revision} as of ${asOf}`,
    });
    return { run: runIdOf({ project, model, revision, asOf }), ...started };
  }

  @Get('runs')
  @ApiOperation({ summary: 'Runs by their as-of instant, of one model or of all.' })
  async runs(@Param('project') project: ProjectName, @Query({ schema: RunsQuery }) query: RunsQuery) {
    const rows = await listRuns(this.db, project, { ...query, limit: query.limit + 1 });
    return pageOf(rows.map(withoutGolden), query.limit, ({ id }) => id);
  }

  @Get('runs/:id')
  @ApiOperation({ summary: 'A run with its evaluation: metrics, verdict, reasons.' })
  async run(@Param('project') project: ProjectName, @Param('id', { schema: RunIdSchema }) id: RunId) {
    const run = await getRun(this.db, project, id);
    return { ...withoutGolden(run), evaluation: await findEvaluation(this.db, project, id) };
  }

  @Get('runs/:id/log')
  @ApiProduces('text/plain')
  @ApiOperation({ summary: 'What the trainer printed.' })
  async log(@Param('project') project: ProjectName, @Param('id', { schema: RunIdSchema }) id: RunId) {
    const { logKey } = await getRun(this.db, project, id);
    if (logKey === null) throw new DomainError('log_unknown', `Run ${id} has no log yet.`, { run: id });
    const file = join(this.settings.artifacts, logKey);
    if (relative(this.settings.artifacts, file).startsWith('..'))
      throw new DomainError('internal', `The log key of run ${id} leads out of the artifacts.`);
    const handle = await open(file).catch(() => {
      throw new DomainError('object_missing', `The log of run ${id} is gone.`, { key: logKey });
    });
    const { size } = await handle.stat();
    await handle.close();
    return new StreamableFile(createReadStream(file), { type: 'text/plain; charset=utf-8', length: size });
  }

  @Get('runs/:id/events')
  @ApiProduces('text/event-stream')
  @ApiOperation({ summary: 'Server-sent events of the run’s workflow until it ends: progress, training, end.' })
  async events(
    @Param('project') project: ProjectName,
    @Param('id', { schema: RunIdSchema }) id: RunId,
    @Res() reply: FastifyReply,
  ) {
    const { workflowId } = await getRun(this.db, project, id);
    await this.streams.send(reply, project, workflowId);
  }
}
