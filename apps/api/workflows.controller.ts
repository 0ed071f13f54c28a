import { Controller, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { ProjectName } from '../../domain/ids.js';
import { PageQuery } from './paging.js';
import { inProject } from './project.js';
import { Streams } from './streams.js';
import { Temporal } from './temporal.js';
import { cancelWorkflow, listWorkflows, workflowState, workflowStatuses } from './workflow-state.js';

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

  @Post(':id/cancel')
  @HttpCode(202)
  @ApiOperation({ summary: 'Asks a workflow to end in order; one that has ended is left as it is.' })
  cancel(@Param('project') project: ProjectName, @Param('id', { schema: WorkflowId }) id: string) {
    return cancelWorkflow(this.temporal, project, id);
  }
}
