import type { Command } from 'commander';
import { DomainError } from '../../../domain/errors.js';
import type { Erased, ErasureRow } from '../../../domain/snapshots.js';
import { answerStarted, apiCommand, waitOption, withSession, type Started } from '../api-command.js';
import { figure } from '../table.js';

interface Erase {
  readonly reason: string;
  readonly wait?: boolean;
}

/** The commands that erase an entity's key, and that give an erasure up. */
export function registerErasure(program: Command): void {
  registerErase(program);
  registerAbandon(program);
}

function registerErase(program: Command): void {
  apiCommand(program, {
    usage: 'erase <entity> <key...>',
    description: 'erase a key of an entity everywhere, keep it out from then on, and certify it',
    example:
      'eider erase origin origin=ATL --reason "case 4711" --wait\n  eider erase route origin=ATL destination=JFK --reason "case 4711"',
  })
    .requiredOption('--reason <text>', 'kept in the certificate; name no person in it')
    .option(...waitOption)
    .action(
      withSession<Erase>(async (session, { reason, wait }, entity = '', pairs) => {
        const path = `/entities/${encodeURIComponent(entity)}/erasures`;
        const started = await session.api.post<Started>(path, { key: keyOf(pairs as unknown as string[]), reason });
        await answerStarted<Erased>(
          session,
          started,
          { wait },
          ({ erasure, sha256, files, tables }) =>
            `Nothing is left in ${figure(files)} files of ${figure(tables)} tables. Certificate ${sha256}: eider describe erasure ${erasure}\n`,
        );
      }),
    );
}

/** What an erasure that nobody can do leaves open. */
function registerAbandon(program: Command): void {
  apiCommand(program, {
    usage: 'abandon <erasure>',
    description: 'end an open erasure that took no row of anything, and let its key in again',
    example: 'eider abandon 6f1c2a34-0f0e-4c5b-9d3a-2b1f6a7c8d90 --reason "the entity has another key now"',
  })
    .requiredOption('--reason <text>', 'kept in the audit; name no person in it')
    .action(
      withSession<Pick<Erase, 'reason'>>(async ({ api, answer }, { reason }, id = '') => {
        const ended = await api.post<ErasureRow>(`/erasures/${encodeURIComponent(id)}/abandon`, { reason });
        answer(
          ended,
          () =>
            `Erasure ${ended.id} is abandoned. Nothing was erased. Windows that were computed without the key meanwhile are computed anew when they are materialized next; what was pushed, published or built meanwhile stays without it until that is done again.\n`,
        );
      }),
    );
}

/** `column=value`, once a key column; everything after the first = belongs to the value. */
function keyOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new DomainError('request_invalid', `"${pair}" is not COLUMN=VALUE.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
