import { Body, Controller, HttpCode, Inject, Param, Post } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { ExplainValue, type Explanation } from '../../domain/explanation.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { digestOf } from '../../domain/json.js';
import { ResourceNameSchema } from '../../domain/names.js';
import type { Database } from '../../store/db.js';
import { getResource } from '../../store/resources.js';
import { ReadsOnly } from './idempotency.interceptor.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const explainMs = 60_000;

@ApiTags('features')
@Controller(inProject('/features'))
export class ExplainController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Post(':view/explain')
  @ReadsOnly()
  @HttpCode(200)
  @ApiOperation({ summary: 'Why a feature has the value that it has: the row that won, where it came from, who lost.' })
  async explain(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: ExplainValue }) asked: ExplainValue,
  ): Promise<Explanation> {
    const { revision } = await getResource(this.db, project, 'FeatureView', view, asked.revision);
    const input = { ...asked, project, view, revision };
    return this.temporal.execute(
      'explainValue',
      {
        workflowId: workflowIds.explain(project, view, revision, digestOf(asked)),
        input,
        resource: `FeatureView/${view}`,
        summary: `Explain ${view}:${asked.feature}`,
      },
      explainMs,
    );
  }
}
