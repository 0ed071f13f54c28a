import { Body, Controller, HttpCode, Post, Query, Req, Res } from '@nestjs/common';
import { ApiDefaultResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Instant } from '../../domain/ids.js';
import { fromDate, instant } from '../../domain/instants.js';
import type { Principal } from '../../domain/principal.js';
import type { Revision } from '../../domain/resources.js';
import { feastErrors, mistake } from './feast-errors.js';
import { FeastMaterialize, type Materialization, type StartedView } from './feast-materialize.js';
import { FeastRegistry, unknown } from './feast-registry.js';
import { Caller } from './principal.js';
import { projectOf } from './project.js';

const common = {
  feature_views: z.array(z.string()).max(1_000).nullish().describe('Default: all.'),
  full_feature_names: z.boolean().default(false).describe('Has no effect: rows are kept by view and feature.'),
  version: z.string().nullish().describe('Refused: what is materialized is the active revision.'),
};
const MaterializeViews = z
  .object({
    start_ts: z.string().nullish().describe('ISO 8601; without a zone it is UTC.'),
    end_ts: z.string().nullish().describe('Not included: windows are half-open.'),
    disable_event_timestamp: z.boolean().default(false).describe('From the first row of the sources on, until now.'),
    ...common,
  })
  .meta({ id: 'FeastMaterialize' });
type MaterializeViews = z.infer<typeof MaterializeViews>;

const MaterializeIncremental = z
  .object({ end_ts: z.string().describe('Not included.'), ...common })
  .meta({ id: 'FeastMaterializeIncremental' });
type MaterializeIncremental = z.infer<typeof MaterializeIncremental>;

const Mode = z.object({
  async: z.stringbool().default(false).describe('Answer 202 at once, with the workflows that do it.'),
  force: z.stringbool().default(false).describe('With async: end what is under way for these views.'),
});
type Mode = z.infer<typeof Mode>;

/** Says which workflows did it, also where Feast's own answer has no place for that. */
const workflowsHeader = 'eider-workflows';

/** Feast's materialize: each call is a workflow a view, which goes on whatever becomes of the caller, or of us. */
@ApiTags('feast')
@ApiDefaultResponse(feastErrors)
@Controller(['', 'projects/:project'])
export class FeastJobsController {
  constructor(
    private readonly registry: FeastRegistry,
    private readonly jobs: FeastMaterialize,
  ) {}

  @Post('materialize')
  @HttpCode(200)
  @ApiOperation({
    summary: 'Feast: materializes a range of event time and publishes it; waits for the end unless async.',
  })
  async materialize(
    @Req() request: FastifyRequest,
    @Body({ schema: MaterializeViews }) body: MaterializeViews,
    @Query({ schema: Mode }) mode: Mode,
    @Caller() { name: principal }: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const views = await this.views(request, body);
    const work = { project: projectOf(request), views, ...rangeOf(body), principal };
    return this.answer(work, mode, reply);
  }

  @Post('materialize-incremental')
  @HttpCode(200)
  @ApiOperation({ summary: 'Feast: materializes whatever changed in the sources, late rows too, and publishes it.' })
  async materializeIncremental(
    @Req() request: FastifyRequest,
    @Body({ schema: MaterializeIncremental }) body: MaterializeIncremental,
    @Query({ schema: Mode }) mode: Mode,
    @Caller() { name: principal }: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ) {
    const views = await this.views(request, body);
    const work = { project: projectOf(request), views, start: null, end: timeOf(body.end_ts), principal };
    return this.answer(work, mode, reply);
  }

  private async views(
    request: FastifyRequest,
    { feature_views: names, version }: Pick<MaterializeViews, 'feature_views' | 'version'>,
  ): Promise<Revision<'FeatureView'>[]> {
    if ((version ?? null) !== null)
      throw mistake('Version-aware materialization is not supported: what is materialized is the active revision.');
    const { views, project } = await this.registry.now(projectOf(request));
    return [...new Set(names ?? views.keys())].map((name) => {
      const view = views.get(name);
      if (!view) throw unknown('FeatureView', name, project);
      return view;
    });
  }

  private async answer(work: Materialization, { async: later, force }: Mode, reply: FastifyReply) {
    void reply.type('application/json');
    if (!later) {
      const left = new AbortController();
      reply.raw.on('close', () => left.abort());
      named(reply, await this.jobs.run(work, left.signal));
      return 'null';
    }
    const started = await this.jobs.start(work, force);
    void named(reply, started).code(202);
    return { status: 'accepted', feature_views: work.views.map(({ name }) => name), workflows: started };
  }
}

const named = (reply: FastifyReply, started: readonly StartedView[]): FastifyReply =>
  reply.header(workflowsHeader, started.map(({ workflowId }) => workflowId).join(', '));

function rangeOf(body: MaterializeViews): { start: Instant | null; end: Instant } {
  if (body.disable_event_timestamp) return { start: null, end: fromDate(new Date()) };
  if (!body.start_ts || !body.end_ts)
    throw mistake('start_ts and end_ts are required when disable_event_timestamp is False');
  const [start, end] = [timeOf(body.start_ts), timeOf(body.end_ts)];
  if (start >= end) throw mistake(`start_ts (${start}) must be before end_ts (${end})`);
  return { start, end };
}

function timeOf(text: string): Instant {
  try {
    return instant(text);
  } catch (error) {
    throw mistake(`Invalid timestamp format: ${(error as Error).message}`);
  }
}
