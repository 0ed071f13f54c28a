import { StandardSchemaValidationPipe, type ArgumentMetadata } from '@nestjs/common';
import { DomainError } from '../../domain/errors.js';
import { invalidRequest, type FieldProblem } from './problem.js';

class Issues extends Error {
  constructor(readonly problems: readonly FieldProblem[]) {
    super('invalid');
  }
}

/** Nest's schema validation, saying where each wrong value stood: in the body, the query or the path. */
export class SchemaPipe extends StandardSchemaValidationPipe {
  constructor() {
    super({
      exceptionFactory: (issues) =>
        new Issues(
          issues.map(({ path = [], message }) => ({
            field: path.map((segment) => String(typeof segment === 'object' ? segment.key : segment)).join('.'),
            message,
          })),
        ),
    });
  }

  override async transform<T>(value: T, metadata: ArgumentMetadata): Promise<T> {
    try {
      return await super.transform(value, metadata);
    } catch (error) {
      if (!(error instanceof Issues)) throw error;
      const place = metadata.type === 'body' ? [] : [metadata.type === 'param' ? 'path' : metadata.type];
      const at = [...place, ...(metadata.data ? [metadata.data] : [])];
      const problems = error.problems.map((problem) => ({
        ...problem,
        field: [...at, ...(problem.field ? [problem.field] : [])].join('.'),
      }));
      throw withoutBody(value, metadata) ?? invalidRequest(problems);
    }
  }
}

function withoutBody(value: unknown, metadata: ArgumentMetadata): DomainError | null {
  if (metadata.type !== 'body' || value !== undefined) return null;
  return new DomainError('request_invalid', 'The request has no body; send JSON with Content-Type: application/json.');
}
