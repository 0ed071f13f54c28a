import { Body, Controller, Get, Inject, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { ProjectNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { createProject, listProjects } from '../../store/resources.js';
import { pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { apiPrefix } from './project.js';
import { DATABASE } from './tokens.js';

const NewProject = z
  .strictObject({ name: ProjectNameSchema.describe('Lower case letters, digits and _.') })
  .meta({ id: 'NewProject' });
type NewProject = z.infer<typeof NewProject>;

@ApiTags('projects')
@Controller(`${apiPrefix}/projects`)
export class ProjectsController {
  constructor(@Inject(DATABASE) private readonly db: Database) {}

  @Get()
  @ApiOperation({ summary: 'The projects, by name.' })
  async list(@Query({ schema: PageQuery }) query: PageQuery) {
    return pageOfAll(await listProjects(this.db), query, ({ name }) => name);
  }

  @Post()
  @ApiOperation({ summary: 'Creates a project; one that exists is left as it is.' })
  async create(@Body({ schema: NewProject }) { name }: NewProject, @Caller() caller: Principal) {
    await createProject(this.db, name, caller);
    return { name };
  }
}
