import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import { ColumnName, InstantSchema, ResourceNameSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { putLabels } from '../../store/labels.js';
import { aliasHistory, getVersion, listAliases, listVersions, type ModelVersion } from '../../store/models.js';
import { getResource } from '../../store/resources.js';
import { pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { DATABASE } from './tokens.js';

const labelCountMax = 10_000;

const Label = z
  .strictObject({
    key: z
      .record(ColumnName, z.union([z.string().max(500), z.number()]))
      .describe('The key columns of the model’s spine, e.g. { "flight_id": 17 }.'),
    label: z.boolean(),
    knownAt: InstantSchema.describe('When the truth could be known.'),
  })
  .meta({ id: 'Label' });
const Labels = z.array(Label).min(1).describe(`At most ${labelCountMax} labels.`);
type Labels = z.infer<typeof Labels>;

const VersionNumber = z.coerce.number().int().min(1);

/** Golden rows are for instances that load the model, not for people. */
const withoutGolden = ({ golden: _golden, ...version }: ModelVersion) => version;

@ApiTags('models')
@Controller(inProject('/models/:model'))
export class ModelsController {
  constructor(@Inject(DATABASE) private readonly db: Database) {}

  @Get('versions')
  @ApiOperation({ summary: 'The versions of a model, oldest first: digest, signature, lineage.' })
  async versions(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    const versions = await listVersions(this.db, project, model);
    if (versions.length === 0) await getResource(this.db, project, 'Model', model);
    return pageOfAll(versions.map(withoutGolden), query, ({ version }) => version);
  }

  @Get('versions/:version')
  @ApiOperation({ summary: 'One version of a model.' })
  async version(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Param('version', { schema: VersionNumber }) version: number,
  ) {
    return withoutGolden(await getVersion(this.db, project, model, version));
  }

  @Get('aliases')
  @ApiOperation({ summary: 'Where the aliases of a model point, such as champion.' })
  async aliases(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    const aliases = await listAliases(this.db, project, model);
    if (aliases.length === 0) await getResource(this.db, project, 'Model', model);
    return pageOfAll(aliases, query, ({ alias }) => alias);
  }

  @Get('aliases/:alias/history')
  @ApiOperation({ summary: 'Every move of an alias with its reason, oldest first.' })
  async history(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Param('alias', { schema: ResourceNameSchema }) alias: string,
    @Query({ schema: PageQuery }) query: PageQuery,
  ) {
    const history = await aliasHistory(this.db, project, model, alias);
    if (history.length === 0) await getResource(this.db, project, 'Model', model);
    return pageOfAll(history, query, ({ generation }) => generation);
  }

  @Post('labels')
  @HttpCode(200)
  @ApiOperation({ summary: 'Uploads the truth about rows, by their key; a later upload corrects an earlier one.' })
  async labels(
    @Param('project') project: ProjectName,
    @Param('model', { schema: ResourceNameSchema }) model: string,
    @Body({ schema: Labels }) labels: Labels,
    @Caller() caller: Principal,
  ) {
    if (labels.length > labelCountMax)
      throw new DomainError('request_too_large', `${labels.length} labels; ${labelCountMax} are allowed at once.`);
    const { spec } = await getResource(this.db, project, 'Model', model);
    const expected = [...spec.spine.key].sort().join(', ');
    const wrong = labels.findIndex(({ key }) => Object.keys(key).sort().join(', ') !== expected);
    if (wrong >= 0)
      throw new DomainError('request_invalid', `${wrong}.key: must have exactly ${expected}, the key of the spine.`, {
        problems: [{ field: `${wrong}.key`, message: `must have exactly ${expected}` }],
      });
    await putLabels(this.db, project, { model }, labels, caller);
    return { model, labels: labels.length };
  }
}
