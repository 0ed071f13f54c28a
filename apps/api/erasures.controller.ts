import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { ApiOperation, ApiTags } from '@nestjs/swagger';
import { z } from 'zod';
import { DomainError } from '../../domain/errors.js';
import type { Column } from '../../domain/features.js';
import type { ProjectName } from '../../domain/ids.js';
import { ColumnName, ResourceNameSchema } from '../../domain/names.js';
import type { OnlineValue } from '../../domain/online.js';
import { valueOf } from '../../domain/online-values.js';
import type { Principal } from '../../domain/principal.js';
import type { Database } from '../../store/db.js';
import { abandonErasure, getErasure, listErasures, openErasure } from '../../store/erasures.js';
import { getResource } from '../../store/resources.js';
import { pageOfAll, PageQuery } from './paging.js';
import { Caller } from './principal.js';
import { inProject } from './project.js';
import { Temporal } from './temporal.js';
import { DATABASE } from './tokens.js';

const keyValueMax = 65_536;
const ErasureBody = z
  .strictObject({
    key: z
      .record(ColumnName, z.union([z.string().max(keyValueMax), z.number(), z.boolean()]))
      .describe('The value of every key column of the entity.'),
    reason: z.string().min(1).max(500).describe('Kept for ever, in the certificate: name no person in it.'),
  })
  .meta({ id: 'Erasure' });
type ErasureBody = z.infer<typeof ErasureBody>;
const Abandon = z
  .strictObject({ reason: z.string().trim().min(1).max(500).describe('Kept in the audit; name no person in it.') })
  .meta({ id: 'Abandon' });
type Abandon = z.infer<typeof Abandon>;
const ErasureId = z.string().min(1).max(64);

@ApiTags('erasure')
@Controller(inProject(''))
export class ErasuresController {
  constructor(
    @Inject(DATABASE) private readonly db: Database,
    private readonly temporal: Temporal,
  ) {}

  @Post('entities/:entity/erasures')
  @HttpCode(202)
  @ApiOperation({ summary: 'Erases a key of an entity everywhere, keeps it out from then on, and certifies it.' })
  async erase(
    @Param('project') project: ProjectName,
    @Param('entity', { schema: ResourceNameSchema }) entity: string,
    @Body({ schema: ErasureBody }) { key, reason }: ErasureBody,
    @Caller() principal: Principal,
  ) {
    const { spec } = await getResource(this.db, project, 'Entity', entity);
    const values = keyValues(spec.keys, key);
    const { id, workflowId, keyDigest } = await openErasure(
      this.db,
      { project, entity, keys: spec.keys, values, reason },
      principal,
    );
    const started = await this.temporal.start('eraseEntity', {
      workflowId,
      // The key stays in the database, where it is forgotten in the end; Temporal keeps what it is told.
      input: { project, erasure: id, principal: principal.name },
      resource: `Entity/${entity}`,
      summary: `Erase a key of ${entity}`,
    });
    return { erasure: id, keyDigest, ...started };
  }

  @Get('erasures')
  @ApiOperation({ summary: 'Erasures, newest first.' })
  async list(@Param('project') project: ProjectName, @Query({ schema: PageQuery }) query: PageQuery) {
    return pageOfAll(await listErasures(this.db, project), query, ({ id }) => id);
  }

  @Get('erasures/:id')
  @ApiOperation({ summary: 'An erasure with its certificate, its SHA-256 and its signature.' })
  async get(@Param('project') project: ProjectName, @Param('id', { schema: ErasureId }) id: string) {
    return getErasure(this.db, project, id);
  }

  @Post('erasures/:id/abandon')
  @HttpCode(200)
  @ApiOperation({ summary: 'Ends an open erasure that took no row of anything; the key may come in again.' })
  async abandon(
    @Param('project') project: ProjectName,
    @Param('id', { schema: ErasureId }) id: string,
    @Body({ schema: Abandon }) { reason }: Abandon,
    @Caller() principal: Principal,
  ) {
    return abandonErasure(this.db, project, { id, reason }, principal);
  }
}

/** In the order of the entity's keys, as its types have them; texts of a command line are read as their type is written. */
function keyValues(keys: readonly Column[], given: ErasureBody['key']): OnlineValue[] {
  const names = keys.map(({ name }) => name);
  const unknown = Object.keys(given).filter((name) => !names.includes(name));
  const missing = names.filter((name) => given[name] === undefined);
  if (unknown.length + missing.length > 0)
    throw new DomainError('request_invalid', `The key has the columns ${names.join(', ')}.`, { unknown, missing });
  return keys.map(({ name, type }) => {
    try {
      return valueOf(type, plainText(type, given[name]));
    } catch (error) {
      throw new DomainError('request_invalid', `${name} ${(error as Error).message}`, { column: name });
    }
  });
}

function plainText(type: string, given: unknown): unknown {
  if (typeof given !== 'string') return given;
  if (type === 'BOOLEAN') return given === 'true' ? true : given === 'false' ? false : given;
  if ((type === 'DOUBLE' || type === 'FLOAT') && /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(given)) return Number(given);
  return given;
}
