import { Controller, Get, Inject, Param, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import type { Database } from '../../store/db.js';
import { walkLineage } from '../../store/lineage.js';
import { inProject } from './project.js';
import { DATABASE } from './tokens.js';

const edgesMax = 5_000;

const LineageQuery = z.strictObject({
  direction: z
    .enum(['backward', 'forward'])
    .default('backward')
    .describe('What it was made from, or what was made from it.'),
  limit: z.coerce.number().int().min(1).max(edgesMax).default(1000).describe('Edges at most.'),
});
type LineageQuery = z.infer<typeof LineageQuery>;

const NodeKind = z.string().regex(/^[a-z_]{1,40}$/, 'must be a kind such as run, version or training_set');
const NodeId = z.string().min(1).max(300).describe('Url-encoded: some ids contain slashes.');

@ApiTags('lineage')
@Controller(inProject('/lineage'))
export class LineageController {
  constructor(@Inject(DATABASE) private readonly db: Database) {}

  @Get(':kind/:id')
  @ApiOperation({ summary: 'Everything that a thing came from, or that came from it, step by step.' })
  async walk(
    @Param('project') project: ProjectName,
    @Param('kind', { schema: NodeKind }) kind: string,
    @Param('id', { schema: NodeId }) id: string,
    @Query({ schema: LineageQuery }) { direction, limit }: LineageQuery,
  ) {
    const lineage = await walkLineage(this.db, project, { kind, id }, direction, limit);
    if (lineage.edges.length > 0) return { node: { kind, id }, direction, ...lineage };
    // The end of a chain is known by the edges on its other side.
    const other = await walkLineage(
      this.db,
      project,
      { kind, id },
      direction === 'forward' ? 'backward' : 'forward',
      1,
    );
    if (other.edges.length === 0)
      throw new DomainError('lineage_unknown', `Nothing is recorded about ${kind} "${id}".`, { kind, id });
    return { node: { kind, id }, direction, ...lineage };
  }
}
