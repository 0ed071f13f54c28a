import { Body, Controller, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { ControlBody, type Asked } from '../../domain/control.js';
import type { ProjectName } from '../../domain/ids.js';
import type { Principal } from '../../domain/principal.js';
import { PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Streams } from './streams.js';
import { Temporal } from './temporal.js';
import { cancel, steer } from './workflow-control.js';
import { listWorkflows, workflowState, workflowStatuses } from './workflow-state.js';

const WorkflowsQuery = PageQuery.extend({
  after: z
    .string()
    .regex(/^[\w-]+$/, 'is not the `next` of a page')
    .max(10_000)
    .optional(),
  status: z.enum(workflowStatuses).optional(),
  type: z
    .string()
    .regex(/^\w{1,100}$/, 'must be the name of a workflow')
    .optional(),
  resource: z
    .string()
    .regex(/^[A-Za-z]+\/[a-z0-9_]+$/, 'must be Kind/name')
    .optional(),
});
type WorkflowsQuery = z.infer<typeof WorkflowsQuery>;

const WorkflowId = z.string().min(1).max(255).describe('Url-encoded: workflow ids contain slashes.');

/** A request without a body gives no reason. */
const Reason = ControlBody.optional().transform((body) => body ?? {});
type Reason = z.infer<typeof Reason>;

@ApiTags('workflows')
@Controller(inProject('/workflows'))
export class WorkflowsController {
  constructor(
    private readonly temporal: Temporal,
    private readonly streams: Streams,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Workflows of the project: what runs first, then what ended last.' })
  list(@Param('project') project: ProjectName, @Query({ schema: WorkflowsQuery }) query: WorkflowsQuery) {
    const { status, type, resource, ...page } = query;
    return listWorkflows(this.temporal, project, { status, type, resource }, page);
  }

  @Get(':id')
  @ApiOperation({ summary: 'A workflow: status, progress, result or failure, and its page in the Temporal UI.' })
  get(@Param('project') project: ProjectName, @Param('id', { schema: WorkflowId }) id: string) {
    return workflowState(this.temporal, project, id);
  }

  @Get(':id/events')
  @ApiProduces('text/event-stream')
  @ApiOperation({ summary: 'Server-sent events until the workflow ends: progress, training, end.' })
  async events(
    @Param('project') project: ProjectName,
    @Param('id', { schema: WorkflowId }) id: string,
    @Res() reply: FastifyReply,
  ) {
    await this.streams.send(reply, project, id);
  }

  @Post(':id/pause')
  @HttpCode(200)
  @ApiOperation({ summary: 'Pauses work in batches: those under way end, no other begins until it is resumed.' })
  pause(
    @Param('project') project: ProjectName,
    @Param('id', { schema: WorkflowId }) id: string,
    @Body({ schema: Reason }) { reason }: Reason,
    @Caller() caller: Principal,
  ) {
    return steer(this.temporal, project, id, 'pause', asked(caller, reason));
  }

  @Post(':id/resume')
  @HttpCode(200)
  @ApiOperation({ summary: 'Resumes work that was paused.' })
  resume(
    @Param('project') project: ProjectName,
    @Param('id', { schema: WorkflowId }) id: string,
    @Body({ schema: Reason }) { reason }: Reason,
    @Caller() caller: Principal,
  ) {
    return steer(this.temporal, project, id, 'resume', asked(caller, reason));
  }

  @Post(':id/cancel')
  @HttpCode(202)
  @ApiOperation({ summary: 'Asks a workflow to end in order; one that has ended is left as it is.' })
  async cancel(
    @Param('project') project: ProjectName,
    @Param('id', { schema: WorkflowId }) id: string,
    @Body({ schema: Reason }) { reason }: Reason,
    @Caller() caller: Principal,
  ) {
    return cancel(this.temporal, project, id, asked(caller, reason));
  }
}

const asked = ({ name }: Principal, reason = 'no reason given'): Asked => ({ principal: name, reason });
