import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { workflowIds, type Instant, type ProjectName } from '../../domain/ids.js';
import { InstantSchema, ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { Revision } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { getResource, listResources } from '../../store/resources.js';
import { ledger, tableSummary, type TableRef } from '../../store/snapshots.js';
import { answeringRevision } from '../../store/tables.js';
import { pageOf, pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

/** A half-open slice of event time. */
export const WindowBody = z
  .strictObject({ start: InstantSchema, end: InstantSchema })
  .refine(({ start, end }) => start < end, { message: 'must be after start', path: ['end'] })
  .meta({ id: 'Window' });
export type WindowBody = z.infer<typeof WindowBody>;

const parallelMax = 8;
const MaterializeBody = z
  .strictObject({
    start: InstantSchema,
    end: InstantSchema,
    parallel: z.int().min(1).max(parallelMax).optional().describe('Batches of windows at once. Default: 2.'),
  })
  .refine(({ start, end }) => start < end, { message: 'must be after start', path: ['end'] })
  .meta({ id: 'Materialize' });
type MaterializeBody = z.infer<typeof MaterializeBody>;

export const WindowsQuery = PageQuery.extend({
  after: z.coerce.number().int().min(1).optional().describe('The commit that the page before ended with.'),
  all: z.stringbool().default(false).describe('Also the commits that newer ones replaced.'),
});
export type WindowsQuery = z.infer<typeof WindowsQuery>;
const LedgerQuery = WindowsQuery.extend({
  revision: z.coerce.number().int().min(1).optional().describe('Default: the active one.'),
});
type LedgerQuery = z.infer<typeof LedgerQuery>;

export const tableOf = (project: ProjectName, { name, revision }: Revision): TableRef => ({
  project,
  schema: 'features',
  name,
  revision,
});
/** `2001-01-01`: enough to tell windows apart in a line of text. */
export const dayOf = (at: Instant): string => at.slice(0, 10);

@ApiTags('features')
@Controller(inProject('/features'))
export class FeaturesController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Feature views with what is materialized of their active revision.' })
  async list(@Param('project') project: ProjectName, @Query({ schema: PageQuery }) query: PageQuery) {
    const page = pageOfAll(await listResources(this.db, project, 'FeatureView'), query, ({ name }) => name);
    return { ...page, items: await Promise.all(page.items.map((view) => this.describe(project, view))) };
  }

  @Get(':view')
  @ApiOperation({ summary: 'A feature view: active revision, declaration, windows, snapshot, Flight path.' })
  async get(@Param('project') project: ProjectName, @Param('view', { schema: ResourceNameSchema }) view: string) {
    return this.describe(project, await getResource(this.db, project, 'FeatureView', view));
  }

  @Get(':view/windows')
  @ApiOperation({ summary: 'The ledger: one row a window, in order of time; with `all`, one row a commit.' })
  async windows(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: LedgerQuery }) { revision, limit, after, all }: LedgerQuery,
  ) {
    const found = await getResource(this.db, project, 'FeatureView', view, revision);
    const rows = await ledger(this.db, tableOf(project, found), { all, limit: limit + 1, after });
    return { revision: found.revision, ...pageOf(rows, limit, ({ commit }) => commit) };
  }

  @Post(':view/materialize')
  @HttpCode(202)
  @ApiOperation({
    summary: 'Brings the windows in [start, end) up to date with their sources; what is current is left.',
  })
  async materialize(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: MaterializeBody }) { start, end, parallel }: MaterializeBody,
    @Caller() { name: principal }: Principal,
  ) {
    const { revision } = await getResource(this.db, project, 'FeatureView', view);
    const started = await this.temporal.start('materializeView', {
      workflowId: workflowIds.materialize(project, view, revision, start, end),
      input: { project, view, revision, start, end, principal, ...(parallel ? { parallel } : {}) },
      resource: `FeatureView/${view}`,
      summary: `Materialize ${view}@r${revision}, ${dayOf(start)} to ${dayOf(end)}`,
    });
    return { view, revision, start, end, ...started };
  }

  private async describe(project: ProjectName, view: Revision) {
    const { snapshot, windows, rows, bytes, start, end } = await tableSummary(this.db, tableOf(project, view));
    const materialized = { snapshot, windows, rows, bytes, start, end };
    const answers = await answeringRevision(this.db, project, view.name);
    return { ...view, materialized, answers, flight: [project, 'features', view.name] };
  }
}
