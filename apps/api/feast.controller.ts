import { Body, Controller, Get, Header, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { ApiDefaultResponse, ApiOperation, ApiTags } from '@nestjs/swagger';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import { fromDate } from '../../domain/instants.js';
import { pushTargets, type PushTarget } from '../../domain/online.js';
import type { Principal } from '../../domain/principal.js';
import type { Revision } from '../../domain/resources.js';
import type { Database } from '../../store/db.js';
import { pushRows } from '../../store/pushes.js';
import { requireProject } from '../../store/resources.js';
import { answerBytes, keyColumns } from './feast-answers.js';
import { feastErrors, mistake } from './feast-errors.js';
import { FeastRegistry, selectionOf, type Declared } from './feast-registry.js';
import { rowsOf, type DataFrame } from './feast-rows.js';
import { ReadsOnly } from './idempotency.interceptor.js';
import { OnlineReader } from './online-reader.js';
import { Caller } from './principal.js';
import { projectOf } from './project.js';
import { DATABASE } from './tokens.js';

const columnsMax = 1_000;
const Columns = z
  .record(z.string(), z.array(z.unknown()))
  .refine((columns) => Object.keys(columns).length <= columnsMax, `must have at most ${columnsMax} columns`);
const Flag = z.boolean().default(false);
/** Feast's client sends it; there is no registry of Feast's here that could be cached, nor a transformation of its. */
const ignored = { allow_registry_cache: z.boolean().default(true), transform_on_write: z.boolean().default(true) };

const GetOnlineFeatures = z
  .object({
    entities: Columns.describe('The join keys, a column each, all equally long; what is no join key is ignored.'),
    features: z.array(z.string()).max(columnsMax).default([]).describe('view:feature, in the order of the answer.'),
    feature_service: z.string().nullish().describe('A FeatureService, instead of features.'),
    full_feature_names: Flag.describe('view__feature instead of feature.'),
    include_feature_view_version_metadata: Flag.describe('Also say which revision of each view was read.'),
  })
  .meta({ id: 'FeastGetOnlineFeatures' });
type GetOnlineFeatures = z.infer<typeof GetOnlineFeatures>;

const PushFeatures = z
  .object({
    push_source_name: z.string().describe('The name of a FeatureView: each is its own push source.'),
    df: Columns.describe('The rows, a column each.'),
    to: z.string().default('online').describe('online, offline or online_and_offline.'),
    ...ignored,
  })
  .meta({ id: 'FeastPush' });
type PushFeatures = z.infer<typeof PushFeatures>;

const WriteToOnlineStore = z
  .object({ feature_view_name: z.string(), df: Columns.describe('The rows, a column each.'), ...ignored })
  .meta({ id: 'FeastWrite' });
type WriteToOnlineStore = z.infer<typeof WriteToOnlineStore>;

/** The routes of Feast's own feature server: its unmodified client reads and writes here (docs/feast.md). */
@ApiTags('feast')
@ApiDefaultResponse(feastErrors)
@Controller(['', 'projects/:project'])
export class FeastController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly registry: FeastRegistry,
    private readonly reader: OnlineReader,
  ) {}

  @Post('get-online-features')
  @ReadsOnly()
  @HttpCode(200)
  @Header('content-type', 'application/json')
  @ApiOperation({ summary: 'Feast: online values, a column each; the join keys come first.' })
  async read(@Req() request: FastifyRequest, @Body({ schema: GetOnlineFeatures }) asked: GetOnlineFeatures) {
    const project = projectOf(request);
    const declared = await this.registry.of(project);
    const selection = selectionOf(declared, asked);
    const keys = keyColumns(declared, selection, asked.entities);
    const answer = await this.reader.read(project, {
      features: selection.refs,
      joins: selection.joins,
      entities: Object.fromEntries(keys.length > 0 ? keys.map(({ name, values }) => [name, values]) : strange(asked)),
      // To Feast a view that nothing was written to holds no entity.
      unpublished: 'empty',
    });
    return answerBytes(keys, answer, asked);
  }

  @Post('push')
  @HttpCode(200)
  @ApiOperation({ summary: 'Feast: pushes rows to a view, online, offline or both, in one transaction.' })
  async push(
    @Req() request: FastifyRequest,
    @Body({ schema: PushFeatures }) { push_source_name: name, df, to }: PushFeatures,
    @Caller() principal: Principal,
  ): Promise<void> {
    const target = pushTargets.find((one) => one === to);
    const list = `[${pushTargets.map((one) => `'${one}'`).join(', ')}]`;
    if (!target) throw mistake(`${to} is not a supported push format. Please specify one of these ${list}.`);
    const declared = await this.registry.now(projectOf(request));
    const view = declared.views.get(name);
    if (!view) throw new DomainError('push_source_unknown', `Unable to find push source '${name}'.`, { name });
    await this.write(declared, view, df, target, principal);
  }

  @Post('write-to-online-store')
  @HttpCode(200)
  @ApiOperation({ summary: 'Feast: pushes rows to a view, online only.' })
  async writeOnline(
    @Req() request: FastifyRequest,
    @Body({ schema: WriteToOnlineStore }) { feature_view_name: name, df }: WriteToOnlineStore,
    @Caller() principal: Principal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string> {
    const declared = await this.registry.now(projectOf(request));
    const view = declared.views.get(name);
    if (!view) throw new DomainError('resource_unknown', `Can't recognize feast object with a name ${name}`, { name });
    await this.write(declared, view, df, 'online', principal);
    void reply.type('application/json');
    return 'null';
  }

  @Get('health')
  @ApiOperation({ summary: 'Feast: whether the store behind the routes answers.' })
  async health(@Req() request: FastifyRequest): Promise<void> {
    await requireProject(this.db, projectOf(request));
  }

  @Post(['search', 'retrieve-online-documents'])
  @ApiOperation({ summary: 'Feast: refused, there is no search by vectors here.' })
  search(): never {
    throw new DomainError('not_implemented', 'Eider does not search by vectors.');
  }

  private async write(
    declared: Declared,
    view: Revision<'FeatureView'>,
    df: DataFrame,
    to: PushTarget,
    principal: Principal,
  ): Promise<void> {
    const { project } = declared;
    const rows = rowsOf(declared, view, df, fromDate(new Date()));
    // Never in parts: what is refused is refused as a whole, too many rows too.
    if (rows.length > 0) await pushRows(this.db, { project, view: view.name, rows, to, id: randomUUID() }, principal);
  }
}

/** Columns that no view has say at least how many entities are asked for. */
const strange = ({ entities }: GetOnlineFeatures) =>
  Object.entries(entities)
    .slice(0, 1)
    .map(([name, values]) => [name, values.map(() => null)] as const);
