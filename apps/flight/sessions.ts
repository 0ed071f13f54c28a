import { randomBytes } from 'node:crypto';
import type { Metadata } from '@grpc/grpc-js';
import { DomainError } from '../../domain/errors.js';
import type { SessionOptionValue } from './protocol.js';

/** What a client set once for all its calls. */
export interface Session {
  readonly id: string;
  readonly principal: string;
  readonly options: Map<string, SessionOptionValue>;
}

export interface Sessions {
  /** Null when there is none of this principal. */
  find(id: string, principal: string): Session | null;
  /** Throws `sessions_exhausted`. */
  open(principal: string): Session;
  close(id: string): void;
  count(): number;
}

export interface SessionLimits {
  readonly sessionsMax: number;
  /** So that one caller cannot take them all. */
  readonly sessionsOfOneMax: number;
  /** A session that no call named for so long ends. */
  readonly idleMs: number;
}
const limitsDefault: SessionLimits = { sessionsMax: 1_000, sessionsOfOneMax: 500, idleMs: 3_600_000 };

/** Of this process: a client that comes back to another one is told that its session is unknown. */
export function createSessions(limits: SessionLimits = limitsDefault, now: () => number = Date.now): Sessions {
  /** The one that was used last comes last. */
  const sessions = new Map<string, { readonly session: Session; usedAt: number }>();
  const sweep = () => {
    for (const [id, { usedAt }] of sessions) {
      if (now() - usedAt < limits.idleMs) return;
      sessions.delete(id);
    }
  };
  const keep = (session: Session): Session => {
    sessions.delete(session.id);
    sessions.set(session.id, { session, usedAt: now() });
    return session;
  };
  return {
    find(id, principal) {
      sweep();
      const found = sessions.get(id)?.session;
      return found?.principal === principal ? keep(found) : null;
    },
    open(principal) {
      sweep();
      if (sessions.size >= limits.sessionsMax)
        throw new DomainError('sessions_exhausted', `${sessions.size} sessions are open, which is the limit.`);
      const own = [...sessions.values()].filter(({ session }) => session.principal === principal).length;
      if (own >= limits.sessionsOfOneMax)
        throw new DomainError('sessions_exhausted', `${own} sessions of yours are open, which is the limit.`);
      return keep({ id: randomBytes(16).toString('hex'), principal, options: new Map() });
    },
    close: (id) => void sessions.delete(id),
    count() {
      sweep();
      return sessions.size;
    },
  };
}

/** The cookie that Arrow's own clients know; for those without cookies, metadata of the same name. */
const sessionKey = 'arrow_flight_session_id';

export function sessionIdOf(metadata: Metadata): string | null {
  const [plain] = metadata.get(sessionKey);
  if (plain !== undefined) return plain.toString();
  const cookies = metadata.get('cookie').flatMap((header) => header.toString().split(';'));
  const pair = cookies.map((cookie) => cookie.trim()).find((cookie) => cookie.startsWith(`${sessionKey}=`));
  return pair?.slice(sessionKey.length + 1).replaceAll('"', '') || null;
}

export function withSession(headers: Metadata, { id }: Session): Metadata {
  headers.set('set-cookie', `${sessionKey}=${id}; Path=/; HttpOnly`);
  headers.set(sessionKey, id);
  return headers;
}

/** So that a client forgets its cookie. */
export function withoutSession(headers: Metadata): Metadata {
  headers.set('set-cookie', `${sessionKey}=; Path=/; Max-Age=0`);
  return headers;
}

export const sessionText = (session: Session | null, name: string): string | undefined =>
  session?.options.get(name)?.string_value;
