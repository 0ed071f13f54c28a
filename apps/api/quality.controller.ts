import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { digestOf } from '../../domain/json.js';
import { InstantSchema, ResourceNameSchema } from '../../domain/names.js';
import { mergeStatistics, summaryOf, type ColumnStatistics } from '../../domain/statistics.js';
import type { Database } from '../../store/db.js';
import { listExpectations } from '../../store/expectations.js';
import { getResource } from '../../store/resources.js';
import { countStatistics, statisticsPages } from '../../store/statistics.js';
import { tableOf } from './features.controller.js';
import { decodeCursor, encodeCursor, limit, PageQuery } from './paging.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const Range = z.strictObject({
  revision: z.coerce.number().int().min(1).optional().describe('Default: the active one.'),
  start: InstantSchema.optional(),
  end: InstantSchema.optional(),
});
const ExpectationsQuery = PageQuery.extend({
  ...Range.shape,
  failed: z.stringbool().default(false).describe('Only those that were not met.'),
});
type ExpectationsQuery = z.infer<typeof ExpectationsQuery>;
const StatisticsQuery = Range.extend({
  limit,
  buckets: z.stringbool().default(false).describe('Also every count, for whoever wants to add them up.'),
});
type StatisticsQuery = z.infer<typeof StatisticsQuery>;
const QuarantineQuery = Range.extend({ limit });
type QuarantineQuery = z.infer<typeof QuarantineQuery>;

const Cursor = z.tuple([InstantSchema, z.int().min(0)]);
const readMs = 30_000;
/** Their counts are added up while the caller waits. */
const windowsMax = 5_000;

/** What is known of the rows of a view: how they met its expectations, which did not, and what they look like. */
@ApiTags('features')
@Controller(inProject('/features'))
export class QualityController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Get(':view/expectations')
  @ApiOperation({ summary: 'What each expectation found when a window was last computed, committed or refused.' })
  async expectations(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: ExpectationsQuery }) { revision, limit: size, after, ...filter }: ExpectationsQuery,
  ) {
    const found = await getResource(this.db, project, 'FeatureView', view, revision);
    const from = after === undefined ? {} : { after: decodeCursor(Cursor, after) };
    const rows = await listExpectations(this.db, tableOf(project, found), { ...filter, ...from, limit: size + 1 });
    const items = rows.slice(0, size);
    const last = items.at(-1);
    const next = rows.length > size && last ? encodeCursor([last.start, last.position]) : null;
    return { revision: found.revision, items, next };
  }

  @Get(':view/quarantine')
  @ApiOperation({
    summary: 'Rows that were kept aside, with the expectations that they break. Flight reads all of them.',
  })
  async quarantine(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: QuarantineQuery }) query: QuarantineQuery,
  ) {
    const { revision } = await getResource(this.db, project, 'FeatureView', view, query.revision);
    const input = { ...query, project, view, revision };
    const { rows, total } = await this.temporal.execute(
      'readQuarantine',
      {
        workflowId: workflowIds.quarantine(project, view, revision, digestOf(query)),
        input,
        resource: `FeatureView/${view}`,
        summary: `Quarantined rows of ${view}@r${revision}`,
      },
      readMs,
    );
    return { revision, items: rows, total, next: null, flight: [project, 'quarantine', view] };
  }

  @Get(':view/statistics')
  @ApiOperation({ summary: 'What the features of the windows in [start, end) look like, added up.' })
  async statistics(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: StatisticsQuery }) { revision, buckets, limit: _, ...range }: StatisticsQuery,
  ) {
    const found = await getResource(this.db, project, 'FeatureView', view, revision);
    const table = tableOf(project, found);
    const counted = await countStatistics(this.db, table, range);
    if (counted.windows > windowsMax)
      throw new DomainError('request_invalid', `The range has ${counted.windows} windows; at most ${windowsMax} are added up at once.`); // prettier-ignore
    let sum: ColumnStatistics[] | null = null;
    for await (const page of statisticsPages(this.db, table, range)) sum = mergeStatistics(sum ? [sum, ...page] : page);
    const items = (sum ?? []).map((one) => ({ ...summaryOf(one), ...(buckets ? { counts: one } : {}) }));
    return { revision: found.revision, ...counted, items, next: null };
  }
}
