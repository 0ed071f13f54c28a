import type { Command } from 'commander';
import { apiCommand, asCount, withSession, type Session } from '../api-command.js';
import { table } from '../table.js';

interface Node {
  readonly kind: string;
  readonly id: string;
}
interface Lineage {
  readonly edges: readonly { readonly from: Node; readonly to: Node }[];
  readonly truncated: boolean;
}
interface LineageOptions {
  readonly forward?: boolean;
  readonly limit?: number;
}

/** Commands about what was made: logs, lineage. */
export function registerInspect(program: Command): void {
  apiCommand(program, {
    usage: 'logs <run>',
    description: 'print what the trainer of a run printed',
    example: 'eider logs 0123456789abcdef0123456789abcdef',
  }).action(
    withSession(async (session, _options, run = '') => {
      const log = await session.api.text(`/runs/${encodeURIComponent(run)}/log`);
      session.answer({ run, log }, () => log);
    }),
  );

  apiCommand(program, {
    usage: 'lineage <kind> <id>',
    description: 'show everything that a thing was made from, or with --forward what was made from it',
    example: 'eider lineage version lateness/1',
  })
    .option('--forward', 'what was made from it')
    .option('--limit <edges>', 'how many steps at most', asCount)
    .action(withSession<LineageOptions>(lineage));
}

async function lineage(session: Session, { forward, limit }: LineageOptions, kind = '', id = ''): Promise<void> {
  const path = `/lineage/${encodeURIComponent(kind)}/${encodeURIComponent(id)}`;
  const found = await session.api.get<Lineage>(path, { direction: forward ? 'forward' : 'backward', limit });
  session.answer(found, () => {
    const rows = table(found.edges, [
      ['FROM', ({ from }) => `${from.kind} ${from.id}`],
      ['MADE', ({ to }) => `${to.kind} ${to.id}`],
    ]);
    return found.truncated ? `${rows}There is more; raise --limit.\n` : rows;
  });
}
