import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { defaultProject, type ProjectName } from '../../domain/ids.js';
import { ProjectNameSchema } from '../../domain/names.js';
import type { Database } from '../../store/db.js';
import { requireProject } from '../../store/resources.js';
import { invalidRequest } from './problem.js';
import { DATABASE } from './tokens.js';

export const apiPrefix = '/api/v1';

/** Path of a controller whose resources belong to a project. */
export const inProject = (path: string): string => `${apiPrefix}/projects/:project${path}`;

/** `/api/v1/resources` means `/api/v1/projects/eider/resources`: the only place where a default project is put in. */
export function rewriteUrl(url: string): string {
  const rest = url.startsWith(`${apiPrefix}/`) ? url.slice(apiPrefix.length) : null;
  if (rest === null || /^\/projects(?:[/?]|$)/.test(rest)) return url;
  return `${apiPrefix}/projects/${defaultProject}${rest}`;
}

/** The project of a request, `eider` where the address names none. */
export const projectOf = (request: FastifyRequest): ProjectName =>
  (request.params as { project?: ProjectName }).project ?? defaultProject;

/** Refuses names that cannot be projects, and projects that do not exist, before anything else looks at the request. */
@Injectable()
export class ProjectGuard implements CanActivate {
  /** Projects that were found; nobody can delete one. */
  private readonly found = new Set<string>();

  constructor(@Inject(DATABASE) private readonly db: Database) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    const { project } = request.params as { project?: string };
    if (project === undefined) return true;
    const parsed = ProjectNameSchema.safeParse(project);
    if (!parsed.success)
      throw invalidRequest(parsed.error.issues.map(({ message }) => ({ field: 'path.project', message })));
    if (this.found.has(parsed.data)) return true;
    await requireProject(this.db, parsed.data);
    this.found.add(parsed.data);
    return true;
  }
}
