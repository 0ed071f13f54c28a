import { Inject, Injectable } from '@nestjs/common';
import { DomainError } from '../../domain/errors.js';
import type { Instant, ProjectName } from '../../domain/ids.js';
import { fromMicros } from '../../domain/instants.js';
import type { Join } from '../../domain/names.js';
import type { OnlineGeneration, OnlineValue } from '../../domain/online.js';
import { joinedViews, type JoinedView } from '../../domain/references.js';
import type { Database } from '../../store/db.js';
import { liveGeneration, type Generation, type OnlineRow } from '../../store/online.js';
import { shapeOf } from '../../store/online-shapes.js';
import { getResource } from '../../store/resources.js';
import { keysOf, lengthOf, readColumns, storedRows, type OnlineRead, type ReadColumn } from './online-answer.js';
import { OnlineBatches } from './online-batches.js';
import { DATABASE } from './tokens.js';

/** What is read: features, a FeatureService or both, for entities given as columns of equal length. */
export interface OnlineQuestion {
  /** `name:feature`. */
  readonly features?: readonly string[];
  readonly service?: string;
  readonly joins?: readonly Join[];
  /** Columns that no view asks for are not looked at. */
  readonly entities: Readonly<Record<string, readonly OnlineValue[]>>;
  /** Nothing later is known, and ages are measured to it. Default: now. */
  readonly asOf?: Instant;
  /** What a value beyond its view's TTL is answered as, beside its status. Default: null. */
  readonly expired?: 'null' | 'value';
  /** What a view without a live generation is: refused (the default), or one without rows. */
  readonly unpublished?: 'refuse' | 'empty';
}

/** How long a FeatureService is believed to be what it was; pointers are looked at in every read. */
const serviceMs = 1_000;
const cachedMax = 1_000;
export const featuresMax = 1_000;
const valuesMax = 500_000;
const attemptsMax = 20;

type Live = Pick<Generation, 'generation' | 'revision' | 'shape' | 'view'> & { readonly stored: Generation | null };

/** Reads the online store. All rows of one view in an answer come from one generation, under whatever names it is joined. */
@Injectable()
export class OnlineReader {
  private readonly generations = new Map<string, Generation>();
  private readonly services = new Map<string, { until: number; features: readonly string[]; joins: readonly Join[] }>();

  private readonly batches: OnlineBatches;

  constructor(@Inject(DATABASE) private readonly db: Database) {
    this.batches = new OnlineBatches(db);
  }

  async read(project: ProjectName, question: OnlineQuestion): Promise<OnlineRead> {
    const { features, joins } = await this.selection(project, question);
    const count = lengthOf(question.entities);
    requireWithin('features', features.length, featuresMax);
    requireWithin('entities times features', count * features.length, valuesMax);
    const joined = joinedViews(features, joins);
    const names = [...new Set(joined.map(({ view }) => view))];
    const answers = await Promise.all(names.map((name) => this.readView(project, name, joined, question, count)));
    const columns = new Map(answers.flatMap((answer) => answer.columns.map((column) => [column.ref, column])));
    const generations = new Map(answers.map(({ generation }) => [generation.view, generation]));
    return {
      columns: features.map((ref) => columns.get(ref) as ReadColumn),
      generations: [...generations.values()],
    };
  }

  /** Under however many names a view is joined, all of its rows are read by one statement. */
  private async readView(
    project: ProjectName,
    name: string,
    all: readonly JoinedView[],
    question: OnlineQuestion,
    count: number,
  ): Promise<{ columns: ReadColumn[]; generation: OnlineGeneration }> {
    const joined = all.filter(({ view }) => view === name);
    for (let attempt = 1; ; attempt++) {
      const live = await this.live(project, name, question.unpublished ?? 'refuse');
      const keyed = joined.map((one) => ({ one, keys: keysOf(one, live.shape, question.entities, count) }));
      const wanted = [...new Set(keyed.flatMap(({ keys }) => keys))].filter((key) => key !== null);
      const rows: readonly OnlineRow[] | null = live.stored
        ? await this.batches.read(project, live.stored, wanted)
        : [];
      if (rows !== null) {
        const asked = { at: question.asOf ?? now(), asOf: question.asOf, expired: question.expired ?? 'null' } as const;
        const { view, revision, generation } = live;
        const stored = storedRows(rows, live.shape);
        return {
          columns: keyed.flatMap(({ one, keys }) => readColumns(one, live.shape, keys, stored, asked)),
          generation: { view, revision, generation },
        };
      }
      // The pointer moved between two looks at it.
      this.generations.delete(`${project}/${name}`);
      if (attempt === attemptsMax)
        throw new DomainError('generation_moved', `The live generation of "${name}" changes all the time.`);
    }
  }

  private async live(project: ProjectName, view: string, unpublished: 'refuse' | 'empty'): Promise<Live> {
    const cached = this.generations.get(`${project}/${view}`);
    if (cached) return { ...cached, stored: cached };
    const found = await liveGeneration(this.db, project, view);
    if (found) {
      if (this.generations.size >= cachedMax) this.generations.clear();
      this.generations.set(`${project}/${view}`, found);
      return { ...found, stored: found };
    }
    const declared = await getResource(this.db, project, 'FeatureView', view);
    if (unpublished === 'refuse')
      throw new DomainError('view_not_online', `Nothing of the view "${view}" is online.`, { view });
    const shape = await shapeOf(this.db, project, declared);
    return { view, revision: declared.revision, generation: 0, shape, stored: null };
  }

  private async selection(
    project: ProjectName,
    { features = [], service, joins = [] }: OnlineQuestion,
  ): Promise<{ features: readonly string[]; joins: readonly Join[] }> {
    const of = service === undefined ? { features: [], joins: [] } : await this.service(project, service);
    const all = [...of.joins, ...joins];
    const twice = all.find(({ name }, at) => all.findIndex((one) => one.name === name) < at);
    if (twice) throw new DomainError('join_invalid', `Two joins are called "${twice.name}".`, { join: twice.name });
    return { features: [...new Set([...of.features, ...features])], joins: all };
  }

  private async service(project: ProjectName, name: string) {
    const cached = this.services.get(`${project}/${name}`);
    if (cached && cached.until > performance.now()) return cached;
    const { spec } = await getResource(this.db, project, 'FeatureService', name);
    const found = { until: performance.now() + serviceMs, features: spec.features, joins: spec.joins };
    if (this.services.size >= cachedMax) this.services.clear();
    this.services.set(`${project}/${name}`, found);
    return found;
  }
}

const now = (): Instant => fromMicros(Date.now() * 1000);

function requireWithin(what: string, count: number, max: number): void {
  if (count > max)
    throw new DomainError('request_too_large', `${count} ${what} are asked; at most ${max} are answered.`);
}
