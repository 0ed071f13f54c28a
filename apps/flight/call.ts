import { Metadata } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { ProjectName } from '../../domain/ids.js';
import type { TableSchema } from '../../domain/tables.js';
import { compressions, type Compression } from '../../lake/read/plan.js';
import { authorizationKey, projectOf, requireProject, type Access, type Caller } from './access.js';
import { projectNamed, schemaNamed } from './descriptor.js';
import { sessionIdOf, sessionText, withoutSession, type Session, type Sessions } from './sessions.js';

/** Who calls, about which project, and until when an answer is wanted. */
export interface Call {
  readonly principal: string;
  /** Those that the caller may read. */
  readonly projects: Caller['projects'];
  readonly project: ProjectName;
  /** Of names without a schema; null unless the session says. */
  readonly schema: TableSchema | null;
  readonly session: Session | null;
  readonly metadata: Metadata;
  /** What the client wants the bodies of record batches to be. */
  readonly compression: Compression;
  /** Fires when the client left, its deadline passed, or the service stops; its reason may be what the client hears. */
  readonly signal: AbortSignal;
  /** The answer's initial metadata, until its first message is sent. */
  readonly headers: Metadata;
}

/** The metadata key of the project; absent means the default one. */
export const projectKey = 'eider-project';
/** The metadata key of what record batches shall be compressed with. */
export const compressionKey = 'eider-compression';

/** What grpc-js gives every handler, as far as it is needed here. */
export interface AnyCall {
  readonly metadata: Metadata;
  on(event: 'cancelled', listener: () => void): unknown;
  getDeadline(): Date | number;
  sendMetadata(metadata: Metadata): void;
}

export interface CallDeps {
  readonly access: Access;
  readonly sessions: Sessions;
  /** Fires when calls that are still open must end. */
  readonly stopping: AbortSignal;
}

/**
 * Knows the caller, the session and what both say of the call. Throws `unauthenticated`, `project_unknown`,
 * `project_forbidden`, `session_unknown` or `compression_unknown`.
 */
export async function openCall(deps: CallDeps, call: AnyCall, signal: AbortSignal): Promise<Call> {
  const { metadata } = call;
  const headers = new Metadata();
  const caller = await deps.access.callerOf(metadata);
  if (caller.token !== null) headers.set(authorizationKey, `Bearer ${caller.token}`);
  const session = sessionOf(deps.sessions, call, caller);
  const named = textOf(metadata, projectKey) ?? sessionText(session, 'catalog');
  const project = named === undefined ? projectOf(caller) : projectNamed(named);
  requireProject(caller, project);
  const schema = sessionText(session, 'schema');
  return {
    ...{ principal: caller.principal, projects: caller.projects, project, session, metadata, headers },
    schema: schema === undefined ? null : schemaNamed(schema),
    compression: compressionNamed(textOf(metadata, compressionKey) ?? sessionText(session, 'compression')),
    signal,
  };
}

/** A client whose session is gone is told so, and to forget its cookie. */
function sessionOf(sessions: Sessions, call: AnyCall, { principal }: Caller): Session | null {
  const id = sessionIdOf(call.metadata);
  if (id === null) return null;
  const session = sessions.find(id, principal);
  if (session) return session;
  call.sendMetadata(withoutSession(new Metadata()));
  throw new DomainError('session_unknown', 'There is no such session here.');
}

export function compressionNamed(name: string | undefined): Compression {
  if (name === undefined) return 'none';
  const compression = compressions.find((known) => known === name);
  if (compression) return compression;
  throw new DomainError('compression_unknown', `"${name}" is none of ${compressions.join(', ')}.`, { name });
}

const textOf = (metadata: Metadata, key: string): string | undefined => metadata.get(key)[0]?.toString();

const timerMsMax = 2 ** 31 - 1;

/**
 * Fires when the client left, when its deadline passed, and when the service stops. grpc-js tells of a deadline only once
 * everything was sent that waits for the client, which may be never.
 */
export function signalOf(call: AnyCall, stopping: AbortSignal): AbortSignal {
  const over = new AbortController();
  const deadline = Number(call.getDeadline());
  const timer =
    deadline - Date.now() > timerMsMax
      ? undefined
      : setTimeout(
          () => over.abort(new DomainError('deadline_exceeded', 'The deadline of the call has passed.')),
          Math.max(0, deadline - Date.now()),
        );
  // Comes at the end of every call, however it ends.
  call.on('cancelled', () => {
    clearTimeout(timer);
    over.abort(new DomainError('cancelled', 'The client left.'));
  });
  return AbortSignal.any([over.signal, stopping]);
}
