import { Body, Controller, Delete, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import type { Problem } from '../../domain/check.js';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import { digestOf } from '../../domain/json.js';
import { ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import { KindSchema, Resource, type Kind } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import {
  applyResources,
  deleteResource,
  getResource,
  listResources,
  listRevisions,
  planResources,
  type Change,
} from '../../store/resources.js';
import { pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { pathProblems } from './source-paths.js';
import { Temporal } from './temporal.js';
import { DATABASE, SETTINGS, type ApiSettings } from './tokens.js';

const resourceCountMax = 500;
/** Temporal refuses payloads of 2 MB, and the resources travel to the check as one. */
const resourceBytesMax = 1_500_000;
const checkMs = 60_000;

const Resources = z
  .strictObject({ resources: z.array(Resource).min(1).max(resourceCountMax) })
  .meta({ id: 'Resources' });
type Resources = z.infer<typeof Resources>;

const ResourcesQuery = PageQuery.extend({ kind: KindSchema.optional() });
type ResourcesQuery = z.infer<typeof ResourcesQuery>;
const RevisionQuery = z.strictObject({ revision: z.coerce.number().int().min(1).optional() });
type RevisionQuery = z.infer<typeof RevisionQuery>;

interface Plan {
  readonly changes: readonly Change[];
  readonly problems: readonly Problem[];
}

@ApiTags('resources')
@Controller(inProject(''))
export class ResourcesController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
    @Inject(SETTINGS) private readonly settings: ApiSettings,
  ) {}

  @Get('resources')
  @ApiOperation({ summary: 'Active resources, of one kind or of all.' })
  async list(@Param('project') project: ProjectName, @Query({ schema: ResourcesQuery }) query: ResourcesQuery) {
    const { kind, ...page } = query;
    return pageOfAll(await listResources(this.db, project, kind), page, (one) => `${one.kind}/${one.name}`);
  }

  @Get('resources/:kind/:name')
  @ApiOperation({ summary: 'The active revision of a resource, or an older one by number.' })
  get(
    @Param('project') project: ProjectName,
    @Param('kind', { schema: KindSchema }) kind: Kind,
    @Param('name', { schema: ResourceNameSchema }) name: string,
    @Query({ schema: RevisionQuery }) { revision }: RevisionQuery,
  ) {
    return getResource(this.db, project, kind, name, revision);
  }

  @Get('resources/:kind/:name/revisions')
  @ApiOperation({ summary: 'Every revision of a resource, oldest first; also of a deleted one.' })
  async revisions(
    @Param('project') project: ProjectName,
    @Param('kind', { schema: KindSchema }) kind: Kind,
    @Param('name', { schema: ResourceNameSchema }) name: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    const revisions = await listRevisions(this.db, project, kind, name);
    if (revisions.length === 0) await getResource(this.db, project, kind, name);
    return pageOfAll(revisions, query, ({ revision }) => revision);
  }

  @Delete('resources/:kind/:name')
  @HttpCode(204)
  @ApiOperation({ summary: 'Deletes a resource that nothing depends on; what was made with it stays.' })
  async delete(
    @Param('project') project: ProjectName,
    @Param('kind', { schema: KindSchema }) kind: Kind,
    @Param('name', { schema: ResourceNameSchema }) name: string,
    @Caller() caller: Principal,
  ) {
    await deleteResource(this.db, project, kind, name, caller);
  }

  @Post('plan')
  @HttpCode(200)
  @ApiOperation({ summary: 'What applying these resources would change, and every reason why it cannot be done.' })
  plan(@Param('project') project: ProjectName, @Body({ schema: Resources }) { resources }: Resources): Promise<Plan> {
    return this.check(project, resources);
  }

  @Post('apply')
  @HttpCode(200)
  @ApiOperation({ summary: 'Applies all of these resources or none; repeating it changes nothing.' })
  async apply(
    @Param('project') project: ProjectName,
    @Body({ schema: Resources }) { resources }: Resources,
    @Caller() caller: Principal,
  ): Promise<{ changes: readonly Change[] }> {
    const { problems } = await this.check(project, resources);
    const [first] = problems;
    if (first) throw new DomainError(first.code, first.detail, { problems });
    return { changes: await applyResources(this.db, project, resources, caller) };
  }

  /** Names and paths are judged here, sources and SQL by a worker, where they will run. What is unchanged is not run again. */
  private async check(project: ProjectName, resources: readonly Resource[]): Promise<Plan> {
    const bytes = Buffer.byteLength(JSON.stringify(resources));
    if (bytes > resourceBytesMax)
      throw new DomainError('request_too_large', `The resources have ${bytes} bytes; ${resourceBytesMax} are allowed.`);
    const changes = await planResources(this.db, project, resources);
    const paths = await pathProblems(resources, this.settings.roots);
    if (paths.length > 0 || changes.every(({ change }) => change === 'unchanged')) return { changes, problems: paths };
    const problems = await this.temporal.execute(
      'checkResources',
      {
        workflowId: `check/${project}/${digestOf(resources).slice(0, 32)}`,
        input: { project, resources },
        resource: `${resources.length} resources`,
        summary: `Check ${resources.length} resources`,
      },
      checkMs,
    );
    return { changes, problems };
  }
}
