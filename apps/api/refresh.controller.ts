import { Body, Controller, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { fromDate } from '../../domain/instants.js';
import { InstantSchema, ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { getResource } from '../../store/resources.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const RefreshBody = z
  .strictObject({
    start: InstantSchema.optional().describe('Default: the first row of the sources, or the first window.'),
    end: InstantSchema.optional().describe('Not included. Default: now.'),
  })
  .refine(({ start, end }) => start === undefined || end === undefined || start < end, {
    message: 'must be after start',
    path: ['end'],
  })
  .meta({ id: 'Refresh' });
type RefreshBody = z.infer<typeof RefreshBody>;

@ApiTags('features')
@Controller(inProject('/features'))
export class RefreshController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Post(':view/refresh')
  @HttpCode(202)
  @ApiOperation({ summary: 'Materializes whatever changed in the sources, late rows too, and publishes it.' })
  async refresh(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: RefreshBody }) { start, end = fromDate(new Date()) }: RefreshBody,
    @Caller() { name: principal }: Principal,
  ) {
    const { revision } = await getResource(this.db, project, 'FeatureView', view);
    const started = await this.temporal.start('refreshView', {
      workflowId: workflowIds.refresh(project, view),
      input: { project, view, revision, start: start ?? null, end, principal },
      resource: `FeatureView/${view}`,
      summary: `Refresh ${view}@r${revision} up to ${end.slice(0, 10)}`,
    });
    return { view, revision, start: start ?? null, end, ...started };
  }
}
