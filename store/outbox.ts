import type { ProjectName } from '../domain/ids.js';
import type { Database } from './db.js';

/** What must happen because of a commit, written in the commit's own transaction. */
export interface OutboxMessage {
  readonly id: number;
  readonly project: ProjectName;
  readonly topic: string;
  readonly payload: Readonly<Record<string, string>>;
}

/** Hands over the oldest open message, if any, and marks it done when `handle` resolves: at least once, one worker at a time. */
export async function drainOne(db: Database, handle: (message: OutboxMessage) => Promise<void>): Promise<boolean> {
  return db.transaction(async (tx) => {
    const [message] = await tx.query<OutboxMessage>(
      'SELECT id, project, topic, payload FROM outbox WHERE done_at IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED',
    );
    if (!message) return false;
    await handle(message);
    await tx.query('UPDATE outbox SET done_at = now() WHERE id = $1', [message.id]);
    return true;
  });
}
