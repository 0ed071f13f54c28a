import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { logTable } from '../../domain/deployment.js';
import { DomainError } from '../../domain/errors.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { fromDate } from '../../domain/instants.js';
import { InstantSchema, ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { Revision } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { findTraffic, instanceStates, listRollouts } from '../../store/deployment.js';
import { readInferenceLog } from '../../store/inference.js';
import { getVersion } from '../../store/models.js';
import { getResource, listResources } from '../../store/resources.js';
import { ledger } from '../../store/snapshots.js';
import { newestRevision } from '../../store/tables.js';
import { dayOf, WindowBody, WindowsQuery } from './features.controller.js';
import { decodeCursor, encodeCursor, pageOf, pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const Deploy = z
  .strictObject({
    version: z.int().min(1),
    asOf: InstantSchema.optional().describe('From when on in data time the version answers. Default: now.'),
    reason: z.string().min(1).max(500).default('asked for').describe('Kept with the change of alias and traffic.'),
  })
  .meta({ id: 'Deploy' });
type Deploy = z.infer<typeof Deploy>;

const Score = WindowBody.safeExtend({
  asOf: InstantSchema.optional().describe('What the predictions are logged at. Default: the end of the window.'),
}).meta({ id: 'Score' });
type Score = z.infer<typeof Score>;

const LogQuery = PageQuery.extend({ start: InstantSchema, end: InstantSchema });
type LogQuery = z.infer<typeof LogQuery>;
const LogCursor = z.strictObject({ eventTime: InstantSchema, requestId: z.string(), rowIndex: z.int() });

@ApiTags('deployment')
@Controller(inProject('/endpoints'))
export class DeploymentController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Endpoints with the version that each serves.' })
  async list(@Param('project') project: ProjectName, @Query({ schema: PageQuery }) query: PageQuery) {
    const page = pageOfAll(await listResources(this.db, project, 'Endpoint'), query, ({ name }) => name);
    const items = page.items.map(async (one) => ({ ...one, traffic: await findTraffic(this.db, project, one.name) }));
    return { ...page, items: await Promise.all(items) };
  }

  @Get(':endpoint')
  @ApiOperation({ summary: 'An endpoint: traffic, rollouts, and what each live instance made of the newest of them.' })
  async get(
    @Param('project') project: ProjectName,
    @Param('endpoint', { schema: ResourceNameSchema }) endpoint: string,
  ) {
    const resource = await getResource(this.db, project, 'Endpoint', endpoint);
    const traffic = await findTraffic(this.db, project, endpoint);
    const rollouts = await listRollouts(this.db, project, endpoint);
    // No version has the number 0: then all instances that live are listed, with nothing said.
    const announced = rollouts.find(({ status }) => status === 'open') ??
      traffic ?? { endpoint, version: 0, generation: 0 };
    return { ...resource, traffic, rollouts, instances: await instanceStates(this.db, project, announced) };
  }

  @Post(':endpoint/deploy')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Rolls a version out: every live instance loads and checks it, then all traffic switches at once.',
  })
  async deploy(
    @Param('project') project: ProjectName,
    @Param('endpoint', { schema: ResourceNameSchema }) endpoint: string,
    @Body({ schema: Deploy }) { version, asOf = fromDate(new Date()), reason }: Deploy,
    @Caller() { name: principal }: Principal,
  ) {
    const { model } = (await this.endpoint(project, endpoint)).spec;
    await getVersion(this.db, project, model, version);
    const started = await this.temporal.start('deployVersion', {
      workflowId: workflowIds.deploy(project, endpoint, version, asOf),
      input: { project, endpoint, model, version, asOf, reason, principal },
      resource: `Endpoint/${endpoint}`,
      summary: `Roll out ${model} version ${version} to ${endpoint}`,
    });
    return { endpoint, model, version, asOf, ...started };
  }

  @Post(':endpoint/score')
  @HttpCode(202)
  @ApiOperation({ summary: 'Predicts a window of the spine in batch with the version that serves.' })
  async score(
    @Param('project') project: ProjectName,
    @Param('endpoint', { schema: ResourceNameSchema }) endpoint: string,
    @Body({ schema: Score }) { start, end, asOf = end }: Score,
    @Caller() { name: principal }: Principal,
  ) {
    await this.endpoint(project, endpoint);
    if (!(await findTraffic(this.db, project, endpoint)))
      throw new DomainError('endpoint_not_serving', `Endpoint "${endpoint}" serves no version yet.`, { endpoint });
    const started = await this.temporal.start('scoreWindow', {
      workflowId: workflowIds.score(project, endpoint, start, end),
      input: { project, endpoint, start, end, asOf, principal },
      resource: `Endpoint/${endpoint}`,
      summary: `Score ${dayOf(start)} to ${dayOf(end)} for ${endpoint}`,
    });
    return { endpoint, start, end, asOf, ...started };
  }

  @Get(':endpoint/windows')
  @ApiOperation({
    summary:
      'The ledger of batch predictions by the newest revision of the Model: one row a window; with `all`, one row a commit.',
  })
  async windows(
    @Param('project') project: ProjectName,
    @Param('endpoint', { schema: ResourceNameSchema }) endpoint: string,
    @Query({ schema: WindowsQuery }) { limit, after, all }: WindowsQuery,
  ) {
    await this.endpoint(project, endpoint);
    const table = { project, schema: 'inference' as const, name: endpoint };
    const rows = await ledger(
      this.db,
      { ...table, revision: await newestRevision(this.db, table) },
      { all, limit: limit + 1, after },
    );
    return pageOf(rows, limit, ({ commit }) => commit);
  }

  @Get(':endpoint/log')
  @ApiOperation({
    summary:
      'What was asked online and answered, by event time. POST commits it with the batch predictions as one table.',
  })
  async log(
    @Param('project') project: ProjectName,
    @Param('endpoint', { schema: ResourceNameSchema }) endpoint: string,
    @Query({ schema: LogQuery }) { start, end, limit, after }: LogQuery,
  ) {
    await this.endpoint(project, endpoint);
    const position = after === undefined ? undefined : decodeCursor(LogCursor, after);
    const rows = await readInferenceLog(this.db, project, endpoint, { start, end }, limit + 1, position);
    const page = pageOf(rows, limit, ({ eventTime, requestId, rowIndex }) =>
      encodeCursor({ eventTime, requestId, rowIndex }),
    );
    return {
      ...page,
      batch: { flight: [project, 'inference', endpoint] },
      both: { flight: [project, 'inference', logTable(endpoint)] },
    };
  }

  @Post(':endpoint/log')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Commits what was asked and answered in [start, end), online and in batch, as one table: a window a day.',
  })
  async commitLog(
    @Param('project') project: ProjectName,
    @Param('endpoint', { schema: ResourceNameSchema }) endpoint: string,
    @Body({ schema: WindowBody }) { start, end }: WindowBody,
    @Caller() { name: principal }: Principal,
  ) {
    await this.endpoint(project, endpoint);
    const started = await this.temporal.start('commitInferenceLog', {
      workflowId: workflowIds.log(project, endpoint, start, end),
      input: { project, endpoint, start, end, principal },
      resource: `Endpoint/${endpoint}`,
      summary: `Inference log of ${endpoint}, ${dayOf(start)} to ${dayOf(end)}`,
    });
    return { endpoint, flight: [project, 'inference', logTable(endpoint)], ...started };
  }

  private endpoint(project: ProjectName, name: string): Promise<Revision<'Endpoint'>> {
    return getResource(this.db, project, 'Endpoint', name);
  }
}
