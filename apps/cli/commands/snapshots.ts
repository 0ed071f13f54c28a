import type { Command } from 'commander';
import type { Collected, Compacted } from '../../../domain/snapshots.js';
import { answerStarted, apiCommand, asCount, waitOption, withSession, type Started } from '../api-command.js';
import { bytes, figure, table } from '../table.js';

interface Compact {
  readonly revision?: number;
  readonly wait?: boolean;
}
interface Collect {
  readonly keep?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
}

/** Commands about the files behind snapshots: compact, gc. */
export function registerSnapshots(program: Command): void {
  apiCommand(program, {
    usage: 'compact <view>',
    description: 'make few larger files of a view’s many small ones; no snapshot changes by it',
    example: 'eider compact origin_hour --wait',
  })
    .option('--revision <number>', 'of the view; default: the active one', asCount)
    .option(...waitOption)
    .action(
      withSession<Compact>(async (session, { revision, wait }, view = '') => {
        const started = await session.api.post<Started>(`/features/${view}/compact`, { revision });
        await answerStarted<Compacted>(
          session,
          started,
          { wait },
          (made) =>
            `${figure(made.filesBefore)} files became ${figure(made.filesAfter)}: ${made.reason}, ${figure(made.rows)} rows, ${bytes(made.bytes)}.\n`,
        );
      }),
    );

  apiCommand(program, {
    usage: 'gc',
    description: 'remove files that no snapshot, training set, stream or retention needs any more',
    example: 'eider gc --dry-run --wait\n  eider gc --keep 7d --wait',
  })
    .option('--keep <duration>', 'how long a replaced snapshot stays readable; default: EIDER_RETENTION of the server')
    .option('--dry-run', 'only say what would be removed')
    .option(...waitOption)
    .action(
      withSession<Collect>(async (session, { keep, dryRun = false, wait }) => {
        const started = await session.api.post<Started>('/gc', { keep, dryRun });
        await answerStarted<Collected>(session, started, { wait }, collected);
      }),
    );
}

function collected(made: Collected): string {
  const { dryRun, before, snapshots, compactions, orphans, scratch, pushedRows, kept } = made;
  const verb = dryRun ? 'would be removed' : 'removed';
  const line = (what: string, { files, bytes: size }: { files: number; bytes: number }) =>
    `${what}: ${figure(files)} files, ${bytes(size)} ${verb}\n`;
  const rows = table(kept, [
    ['KEPT FOR', ({ reason }) => reason],
    ['HOLDER', ({ holder }) => holder],
    ['SNAPSHOT', ({ snapshot }) => snapshot],
    ['FILES', ({ files }) => files],
    ['SIZE', (one) => bytes(one.bytes)],
  ]);
  return [
    line(`Snapshots that were replaced before ${before}`, snapshots),
    line('Compacted files that were replaced', compactions),
    line('Staged and never committed', orphans),
    line('Scratch', scratch),
    pushedRows > 0 ? `Pushed rows that snapshots hold: ${figure(pushedRows)} ${verb}\n` : '',
    kept.length > 0 ? `\n${rows}` : '',
  ].join('');
}
