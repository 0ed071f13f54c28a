import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { Duration, ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { listSnapshots } from '../../store/history.js';
import { getResource } from '../../store/resources.js';
import { tables } from '../../store/tables.js';
import { pageOf } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE, SETTINGS, type ApiSettings } from './tokens.js';

const revision = z.coerce.number().int().min(1).optional().describe('Default: the active one.');
const snapshotsMax = 100;
const SnapshotsQuery = z.strictObject({
  revision,
  limit: z.coerce.number().int().min(1).max(snapshotsMax).default(snapshotsMax).describe(`At most ${snapshotsMax}.`),
  after: z.coerce.number().int().min(1).optional().describe('The snapshot that the page before ended with.'),
});
type SnapshotsQuery = z.infer<typeof SnapshotsQuery>;
const RevisionQuery = z.strictObject({ revision });
type RevisionQuery = z.infer<typeof RevisionQuery>;
const RevisionBody = RevisionQuery.meta({ id: 'Compaction' });

/** `41` and `s41` are numbers, everything else is an instant. */
const AtSchema = z
  .string()
  .min(1)
  .max(40)
  .transform((at) => (/^s?\d{1,9}$/.test(at) ? `s${at.replace('s', '')}` : `t${at}`))
  .describe('A number, or an instant of commit time.');

const GarbageBody = z
  .strictObject({
    keep: Duration.optional().describe('How long a replaced snapshot stays readable. Default: EIDER_RETENTION.'),
    dryRun: z.boolean().default(false).describe('Only say what would be removed.'),
  })
  .meta({ id: 'GarbageCollection' });
type GarbageBody = z.infer<typeof GarbageBody>;

@ApiTags('features')
@Controller(inProject(''))
export class SnapshotsController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
    @Inject(SETTINGS) private readonly settings: ApiSettings,
  ) {}

  @Get('features/:view/snapshots')
  @ApiOperation({ summary: 'Snapshots of a view, newest first: commit time, window changed, rows, row hash.' })
  async list(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Query({ schema: SnapshotsQuery }) { revision: asked, limit, after }: SnapshotsQuery,
  ) {
    const found = await getResource(this.db, project, 'FeatureView', view, asked);
    const table = { project, schema: 'features', name: view, revision: found.revision } as const;
    const rows = await listSnapshots(this.db, table, { limit: limit + 1, before: after });
    return { revision: found.revision, ...pageOf(rows, limit, ({ snapshot }) => snapshot) };
  }

  @Get('features/:view/snapshots/:at')
  @ApiOperation({ summary: 'The snapshot of a number, or the one that was the newest at an instant.' })
  async at(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Param('at', { schema: AtSchema }) at: string,
    @Query({ schema: RevisionQuery }) { revision: asked }: RevisionQuery,
  ) {
    const found = await getResource(this.db, project, 'FeatureView', view, asked);
    const pinned = await tables(this.db).resolve(project, 'features', `${view}@r${found.revision}@${at}`);
    const { snapshot, rowHash, rows, bytes, files } = pinned;
    const table = { project, schema: 'features', name: view, revision: found.revision } as const;
    const [row] = await listSnapshots(this.db, table, { limit: 1, before: snapshot + 1 });
    const { committedAt, changed, windows } = row ?? {};
    return {
      ...{ view, revision: found.revision, snapshot, committedAt, changed, windows, rows, bytes, rowHash },
      ...{ files: files.length, flight: [project, 'features', `${view}@r${found.revision}@s${snapshot}`] },
    };
  }

  @Post('features/:view/compact')
  @HttpCode(202)
  @ApiOperation({ summary: 'Makes few larger files of many small ones; no snapshot changes by it.' })
  async compact(
    @Param('project') project: ProjectName,
    @Param('view', { schema: ResourceNameSchema }) view: string,
    @Body({ schema: RevisionBody }) { revision: asked }: RevisionQuery,
    @Caller() { name: principal }: Principal,
  ) {
    const found = await getResource(this.db, project, 'FeatureView', view, asked);
    const started = await this.temporal.start('compactTable', {
      workflowId: workflowIds.compact(project, view, found.revision),
      input: { project, schema: 'features', name: view, revision: found.revision, principal },
      resource: `FeatureView/${view}`,
      summary: `Compact ${view}@r${found.revision}`,
    });
    return { view, revision: found.revision, ...started };
  }

  @Post('gc')
  @HttpCode(202)
  @ApiOperation({ summary: 'Removes what no snapshot, training set, stream or retention needs any more.' })
  async collect(
    @Param('project') project: ProjectName,
    @Body({ schema: GarbageBody }) { keep = this.settings.retention, dryRun }: GarbageBody,
    @Caller() { name: principal }: Principal,
  ) {
    const started = await this.temporal.start('collectGarbage', {
      workflowId: workflowIds.collect(project),
      input: { project, keep, dryRun, principal },
      resource: `Project/${project}`,
      summary: `Collect garbage, keep ${keep}${dryRun ? ', dry run' : ''}`,
    });
    return { keep, dryRun, ...started };
  }
}
