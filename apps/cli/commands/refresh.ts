import type { Command } from 'commander';
import type { Instant } from '../../../domain/ids.js';
import type { Refreshed } from '../../../domain/refresh.js';
import { answerStarted, apiCommand, asInstant, waitOption, withSession, type Started } from '../api-command.js';
import { figure } from '../table.js';

interface Refresh {
  readonly start?: Instant;
  readonly end?: Instant;
  readonly wait?: boolean;
}

/** The command that does both at once: what Feast calls to materialize. */
export function registerRefresh(program: Command): void {
  apiCommand(program, {
    usage: 'refresh <view>',
    description: 'materialize whatever changed in the sources of a feature view, and publish it',
    example: 'eider refresh origin_hour --wait',
  })
    .option('--start <instant>', 'default: the first row of the sources', asInstant)
    .option('--end <instant>', 'the instant after the last; default: now', asInstant)
    .option(...waitOption)
    .action(
      withSession<Refresh>(async (session, { start, end, wait }, view = '') => {
        const started = await session.api.post<Started>(`/features/${view}/refresh`, { start, end });
        await answerStarted<Refreshed>(session, started, { wait }, told);
      }),
    );
}

function told({ view, materialized, published }: Refreshed): string {
  if (materialized === null) return `The sources of ${view} have no row before the end.\n`;
  const windows = `${figure(materialized.committed)} of ${figure(materialized.windows)} windows committed`;
  if (published === null)
    return `${windows}: ${materialized.reason}.\nNot published: the revision of ${view} that is live reaches further. Refresh without --start and --end.\n`;
  return `${windows}: ${materialized.reason}.\nGeneration ${published.generation} is live with ${figure(published.rows)} rows.\n`;
}
