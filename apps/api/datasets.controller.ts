import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, StreamableFile } from '@nestjs/common';
import { ApiBody, ApiConsumes, ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DatasetName, DatasetSpec, relabelled, type TakenSpine } from '../../domain/datasets.js';
import { DomainError } from '../../domain/errors.js';
import { workflowIds, type ProjectName } from '../../domain/ids.js';
import { ColumnName, InstantSchema } from '../../domain/names.js';
import type { Principal } from '../../domain/principal.js';
import { arrowTypes } from '../../domain/spines.js';
import { filesOfTrainingSet, getTrainingSet, listChecks, listTrainingSets, relabelsOf } from '../../store/datasets.js';
import type { Database } from '../../store/db.js';
import { erasuresOf } from '../../store/erasures.js';
import { putLabels } from '../../store/labels.js';
import { pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE, SETTINGS, type ApiSettings } from './tokens.js';
import { Upload } from './uploads.js';

const Name = z.string().min(1).max(200);

const Relabel = z
  .strictObject({
    name: DatasetName.describe('Of the new training set.'),
    asOf: InstantSchema.optional().describe('By when labels must be known. Default: as for the first.'),
  })
  .meta({ id: 'Relabel' });
type Relabel = z.infer<typeof Relabel>;

const labelCountMax = 10_000;
const DatasetLabels = z
  .array(
    z
      .strictObject({
        key: z.record(ColumnName, z.union([z.string().max(500), z.number()])),
        label: z.union([z.boolean(), z.number(), z.string().max(10_000)]),
        knownAt: InstantSchema.describe('When the truth could be known.'),
      })
      .meta({ id: 'DatasetRowLabel' }),
  )
  .min(1)
  .describe(`At most ${labelCountMax} labels.`);
type DatasetLabels = z.infer<typeof DatasetLabels>;

/** A spine is looked at while its sender waits. */
const takeMs = 80_000;

@ApiTags('datasets')
@Controller(inProject('/datasets'))
export class DatasetsController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
    @Inject(SETTINGS) private readonly settings: ApiSettings,
  ) {}

  @Get()
  @ApiOperation({ summary: 'Training sets with their manifests.' })
  async list(@Param('project') project: ProjectName, @Query({ schema: PageQuery }) query: PageQuery) {
    return pageOfAll(await listTrainingSets(this.db, project), query, ({ name }) => name);
  }

  @Post()
  @HttpCode(202)
  @ApiOperation({ summary: 'Builds a training set: a spine joined with features as they were known.' })
  async build(
    @Param('project') project: ProjectName,
    @Body({ schema: DatasetSpec }) spec: DatasetSpec,
    @Caller() { name: principal }: Principal,
  ) {
    return this.start(project, spec, principal);
  }

  @Post('spines')
  @HttpCode(201)
  @ApiConsumes(...Object.values(arrowTypes))
  @ApiBody({ schema: { type: 'string', format: 'binary' } })
  @ApiOperation({ summary: 'Uploads an Arrow table (IPC stream or file) whose rows training sets may be built on.' })
  async spine(
    @Param('project') project: ProjectName,
    @Body() upload: unknown,
    @Caller() { name: principal }: Principal,
  ): Promise<TakenSpine> {
    if (!(upload instanceof Upload))
      throw new DomainError('request_invalid', `Send an Arrow table as ${Object.values(arrowTypes).join(' or ')}.`);
    const { sha256: spine, form } = upload;
    const work = {
      workflowId: workflowIds.spine(project, spine),
      input: { project, spine, form, principal },
      ...{ resource: `Spine/${spine}`, summary: `Uploaded spine, ${upload.bytes} bytes` },
    };
    return this.temporal.execute('takeSpine', work, takeMs);
  }

  @Get(':name')
  @ApiOperation({ summary: 'One training set: manifest, checks, erasures, Flight path.' })
  async get(@Param('project') project: ProjectName, @Param('name', { schema: Name }) name: string) {
    const manifest = await getTrainingSet(this.db, project, name);
    const [erasures, checks, relabelledBy] = await Promise.all([
      erasuresOf(this.db, project, name),
      listChecks(this.db, project, name),
      relabelsOf(this.db, project, name),
    ]);
    return { ...manifest, erasures, checks, relabelledBy, flight: [project, 'datasets', name] };
  }

  @Get(':name/rows')
  @ApiProduces('application/vnd.apache.parquet')
  @ApiOperation({ summary: 'The rows, as the Parquet file that they are kept in.' })
  async rows(@Param('project') project: ProjectName, @Param('name', { schema: Name }) name: string) {
    await getTrainingSet(this.db, project, name);
    const [file] = await filesOfTrainingSet(this.db, project, name);
    const path = join(this.settings.lake, file?.key ?? '');
    const handle = await open(path).catch(() => {
      throw new DomainError('object_missing', `The file of "${name}" is gone.`, { key: file?.key });
    });
    const { size } = await handle.stat();
    await handle.close();
    return new StreamableFile(createReadStream(path), { type: 'application/vnd.apache.parquet', length: size });
  }

  @Post(':name/verify')
  @HttpCode(202)
  @ApiOperation({ summary: 'Hashes the file and the rows anew, and names what is not as it was written.' })
  async verify(
    @Param('project') project: ProjectName,
    @Param('name', { schema: Name }) name: string,
    @Caller() { name: principal }: Principal,
  ) {
    await getTrainingSet(this.db, project, name);
    const work = { input: { project, name, principal }, resource: `Dataset/${name}`, summary: `Verify ${name}` };
    return this.temporal.start('verifyDataset', { ...work, workflowId: workflowIds.verify(project, name) });
  }

  @Post(':name/recreate')
  @HttpCode(202)
  @ApiOperation({ summary: 'Makes the set again from the states that it pins, and compares the row hashes.' })
  async recreate(
    @Param('project') project: ProjectName,
    @Param('name', { schema: Name }) name: string,
    @Caller() { name: principal }: Principal,
  ) {
    await getTrainingSet(this.db, project, name);
    const work = { input: { project, name, principal }, resource: `Dataset/${name}`, summary: `Recreate ${name}` };
    return this.temporal.start('recreateDataset', { ...work, workflowId: workflowIds.recreate(project, name) });
  }

  @Post(':name/labels')
  @HttpCode(200)
  @ApiOperation({ summary: 'Uploads labels of its rows, by their key; the set itself stays: relabel makes another.' })
  async labels(
    @Param('project') project: ProjectName,
    @Param('name', { schema: Name }) name: string,
    @Body({ schema: DatasetLabels }) labels: DatasetLabels,
    @Caller() caller: Principal,
  ) {
    if (labels.length > labelCountMax)
      throw new DomainError('request_too_large', `${labels.length} labels; ${labelCountMax} are allowed at once.`);
    const { key, label } = await getTrainingSet(this.db, project, name);
    if (label === null || key.length === 0)
      throw new DomainError('request_invalid', `"${name}" was declared without a label, or without a key to find rows by.`); // prettier-ignore
    const expected = [...key].sort().join(', ');
    const wrong = labels.findIndex((one) => Object.keys(one.key).sort().join(', ') !== expected);
    if (wrong >= 0)
      throw new DomainError('request_invalid', `${wrong}.key: must have exactly ${expected}, the key of the set.`, {
        problems: [{ field: `${wrong}.key`, message: `must have exactly ${expected}` }],
      });
    await putLabels(this.db, project, { dataset: name }, labels, caller);
    return { dataset: name, labels: labels.length };
  }

  @Post(':name/relabel')
  @HttpCode(202)
  @ApiOperation({ summary: 'Builds another training set of the same rows, with the labels that were uploaded since.' })
  async relabel(
    @Param('project') project: ProjectName,
    @Param('name', { schema: Name }) name: string,
    @Body({ schema: Relabel }) asked: Relabel,
    @Caller() { name: principal }: Principal,
  ) {
    const manifest = await getTrainingSet(this.db, project, name);
    if (manifest.label === null)
      throw new DomainError('request_invalid', `"${name}" was declared without a label.`, { name });
    return this.start(project, relabelled(manifest, asked), principal);
  }

  private async start(project: ProjectName, spec: DatasetSpec, principal: string) {
    const started = await this.temporal.start('buildDataset', {
      workflowId: workflowIds.dataset(project, spec.name),
      input: { project, spec, principal },
      ...{ resource: `Dataset/${spec.name}`, summary: `Training set ${spec.name}` },
    });
    return { dataset: spec.name, ...started };
  }
}
