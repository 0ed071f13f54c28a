import { join } from 'node:path';
import { defaultProject } from '../../domain/ids.js';
import { isDomainError } from '../../domain/errors.js';
import { quoteText, type Engine } from '../../lake/duckdb.js';
import { until } from '../../programs/waiting.js';
import type { Database } from '../../store/db.js';
import { tables } from '../../store/tables.js';
import { marks, users } from './story.js';

export interface Seen {
  answers: number;
  /** Nobody answered: a process was just killed. */
  away: number;
  /** Wrong answers, in words; there must be none. */
  readonly wrong: string[];
  readonly different: Set<string>;
}

const everyMs = 50;

/** Asks again and again until it is stopped; `ask` says what it saw, or throws when nobody answered. */
function watch(ask: (seen: Seen) => Promise<void>): { seen: Seen; stop: () => Promise<Seen> } {
  const seen: Seen = { answers: 0, away: 0, wrong: [], different: new Set() };
  let watching = true;
  const once = async () => {
    await ask(seen).catch(() => seen.away++);
    return !watching;
  };
  const loop = until(once, Infinity, { everyMs });
  const stop = async () => {
    watching = false;
    await loop;
    return seen;
  };
  return { seen, stop };
}

interface Answer {
  readonly columns: readonly { readonly values: readonly (number | null)[] }[];
}

/** Every value of a generation of `pulse` is the number of its round: an answer with two numbers is of two generations. */
export function watchOnline(url: string) {
  let turn = 0;
  return watch(async (seen) => {
    turn++;
    const entities = { user_id: Array.from({ length: 20 }, (_, at) => (turn * 7 + at * 11) % users) };
    const answer = await fetch(`${url}/api/v1/features/online`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ entities, features: marks.map((name) => `pulse:${name}`) }),
      signal: AbortSignal.timeout(5_000),
    });
    if (answer.status >= 500) throw new Error(`The API answered ${answer.status}.`);
    const text = await answer.text();
    const values = answer.ok ? (JSON.parse(text) as Answer).columns.flatMap((column) => column.values) : [];
    // Before the first publish there is nothing to read.
    if (!answer.ok && seen.answers === 0) return;
    seen.answers++;
    const distinct = new Set(values);
    if (!answer.ok || values.length !== 20 * marks.length) seen.wrong.push(text.slice(0, 200));
    else if (distinct.size > 1 || distinct.has(null))
      seen.wrong.push(`values ${[...distinct].join(', ')} in one answer`);
    else seen.different.add(String(values[0]));
  });
}

/**
 * Reads the files of the newest snapshot: they hold the rows that the ledger says, and the same snapshot always the same ones.
 */
export function watchOffline(db: Database, engine: Engine, home: string) {
  const known = new Map<number, string>();
  return watch(async (seen) => {
    const table = await tables(db)
      .resolve(defaultProject, 'features', 'pulse')
      .catch((error: unknown) => {
        if (isDomainError(error) && ['table_unknown', 'resource_unknown', 'project_unknown'].includes(error.code))
          return null;
        throw error;
      });
    if (!table || table.files.length === 0) return;
    const files = table.files.map(({ key }) => quoteText(join(home, 'lake', key)));
    const [row] = await engine.session((session) =>
      session.rows<{ rows: number; print: string }>(
        `SELECT count(*)::DOUBLE AS rows, sum(hash(r))::VARCHAR AS print FROM read_parquet([${files.join(', ')}]) AS r`,
      ),
    );
    seen.answers++;
    const before = known.get(table.snapshot) ?? row?.print ?? '';
    if (row?.rows !== table.rows)
      seen.wrong.push(`snapshot ${table.snapshot} has ${row?.rows} rows, not ${table.rows}`);
    if (before !== row?.print) seen.wrong.push(`snapshot ${table.snapshot} has changed`);
    known.set(table.snapshot, before);
    seen.different.add(String(table.snapshot));
  });
}
