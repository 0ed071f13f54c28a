import { DomainError } from '../../domain/errors.js';
import { defaultProject, type ProjectName } from '../../domain/ids.js';
import { ProjectNameSchema } from '../../domain/names.js';
import { tableSchemas, type TableSchema } from '../../domain/tables.js';
import type { FlightDescriptor } from './protocol.js';

export interface TableName {
  readonly project: ProjectName;
  readonly schema: TableSchema;
  readonly name: string;
}

/**
 * `[PROJECT, SCHEMA, NAME]`, or `[SCHEMA, NAME]` with the project of the call's metadata. Throws `descriptor_invalid` or
 * `project_unknown`.
 */
export function tableNameOf(descriptor: FlightDescriptor, projectOfCall: string | undefined): TableName {
  const { path } = descriptor;
  const [project, schema, name, ...rest] = path.length === 2 ? [projectOfCall, ...path] : path;
  if (name === undefined || name === '' || rest.length > 0)
    throw new DomainError('descriptor_invalid', `A path has three elements, not ${path.length}.`, { path });
  return { project: projectNamed(project), schema: schemaNamed(schema), name };
}

/** Absent means the default one. */
export function projectNamed(name: string | undefined): ProjectName {
  if (name === undefined) return defaultProject;
  const parsed = ProjectNameSchema.safeParse(name);
  if (!parsed.success) throw new DomainError('project_unknown', `"${name}" is not a project.`, { project: name });
  return parsed.data;
}

export function schemaNamed(name: string | undefined): TableSchema {
  const schema = tableSchemas.find((known) => known === name);
  if (schema === undefined)
    throw new DomainError('descriptor_invalid', `"${name}" is none of ${tableSchemas.join(', ')}.`, { schema: name });
  return schema;
}
