import { DomainError, type ErrorCode } from '../../domain/errors.js';
import type { FieldProblem } from './problem.js';

/** The routes that Feast's feature server has, in the default project or after `/projects/P`. */
const routes = /^(?:\/projects\/[^/?]+)?\/(?:get-online-features|push|write-to-online-store|materialize|materialize-incremental|search|retrieve-online-documents|health)(?:\?|$)/; // prettier-ignore

export const isFeastAddress = (url: string): boolean => routes.test(url);

export interface FeastAnswer {
  readonly status: number;
  readonly body: unknown;
}

interface Named {
  readonly class: string;
  readonly message: string;
}
type Naming = (error: DomainError) => Named;

/** Errors that Feast has a class for, with its sentence: the client throws them as its own. */
const named: Partial<Record<ErrorCode, Naming>> = {
  resource_unknown: ({ data, message }) => {
    const where = `${String(data['name'])} does not exist${data['project'] ? ` in project ${String(data['project'])}` : ''}`;
    if (data['kind'] === 'FeatureView')
      return { class: 'FeatureViewNotFoundException', message: `Feature view ${where}` };
    if (data['kind'] === 'FeatureService')
      return { class: 'FeatureServiceNotFoundException', message: `Feature service ${where}` };
    return { class: 'FeastObjectNotFoundException', message };
  },
  project_unknown: ({ message }) => ({ class: 'ProjectNotFoundException', message }),
  push_source_unknown: ({ message }) => ({ class: 'PushSourceNotFoundException', message }),
  feature_names_collide: ({ message }) => ({ class: 'FeatureNameCollisionError', message }),
};

/**
 * An error as Feast's server answers it: a JSON string that holds JSON, from which the client makes its exception. What is
 * the caller's mistake is 422 where Feast says 500: its client repeats a 500 three times and then hides the sentence.
 */
export function feastAnswer(error: DomainError): FeastAnswer {
  const { code, data, row } = error;
  if (code === 'materialization_running')
    return { status: row.http, body: { error: error.message, feature_views: data['featureViews'] } };
  const problems = data['problems'] as readonly FieldProblem[] | undefined;
  if (code === 'request_invalid' && problems) return { status: 422, body: { detail: problems.map(detailOf) } };
  const { class: name, message } = named[code]?.(error) ?? { class: 'FeastError', message: sentences(error) };
  return { status: row.http === conflict ? failed : row.http, body: encoded('feast.errors', name, message) };
}

/** To Feast's client a 409 is a materialization that is under way, whatever the body says. */
const conflict = 409;
const failed = 500;

/** FastAPI's form: what the body lacks, and where. */
const detailOf = ({ field, message }: FieldProblem) => ({
  type: 'value_error',
  loc: ['body', ...field.split('.').filter(Boolean)],
  msg: message,
});

const sentences = ({ code, message, row }: DomainError): string => `${message} ${row.help} [${code}]`;

/** Spaces as Python's json.dumps puts them. */
const encoded = (module: string, name: string, message: string): string =>
  `{"module": ${JSON.stringify(module)}, "class": ${JSON.stringify(name)}, "message": ${JSON.stringify(message)}}`;

/** What the caller got wrong, in Feast's own words. */
export const mistake = (message: string): DomainError => new DomainError('request_invalid', message);

/** The same for OpenAPI. */
export const feastErrors = {
  description:
    'An error: a JSON string that holds { module, class, message } as JSON, or { detail } of a malformed body.',
  content: { 'application/json': { schema: { oneOf: [{ type: 'string' }, { type: 'object' }] } } },
};
