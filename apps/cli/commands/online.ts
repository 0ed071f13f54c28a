import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { DomainError } from '../../../domain/errors.js';
import type { Instant } from '../../../domain/ids.js';
import { pushTargets, type OnlineAnswer } from '../../../domain/online.js';
import type { Pushed } from '../../../domain/pushes.js';
import type { Flushed, OnlineReport, OnlineVerified, Published } from '../../../domain/publishing.js';
import { answerStarted, apiCommand, asCount, asInstant, waitOption, withSession, type Session, type Started } from '../api-command.js'; // prettier-ignore
import { figure, moment, table } from '../table.js';

interface Wait {
  readonly wait?: boolean;
}
interface PublishOptions extends Wait {
  readonly asOf?: Instant;
}
interface PushOptions {
  readonly file: string;
  readonly to: string;
  readonly id?: string;
}
interface VerifyOptions extends Wait {
  readonly sample?: number;
  readonly seed?: number;
  readonly repair?: boolean;
}
interface ReadOptions {
  readonly key: readonly string[];
  readonly service?: string;
  readonly asOf?: Instant;
}

/** Commands of the online store. */
export function registerOnline(program: Command): void {
  registerPublishing(program);
  registerPushing(program);
  registerReading(program);
}

function registerPublishing(program: Command): void {
  apiCommand(program, {
    usage: 'publish <view>',
    description: 'load what is materialized of a feature view online, and flip readers to it',
    example: 'eider publish origin_hour --wait',
  })
    .option('--as-of <instant>', 'rows that could be known by then; default: by now', asInstant)
    .option(...waitOption)
    .action(
      withSession<PublishOptions>(async (session, { asOf, wait }, view = '') => {
        const started = await session.api.post<Started>(`/features/${view}/publish`, { asOf });
        await answerStarted<Published>(
          session,
          started,
          { wait },
          (made) =>
            `Generation ${made.generation} of ${made.view}@r${made.revision} is live: ${figure(made.rows)} rows of snapshot ${made.snapshot} as of ${moment(made.watermark)}, ${figure(made.replayed)} pushed rows written again.\n${handedOver(made)}`,
        );
      }),
    );

  apiCommand(program, {
    usage: 'rollback <view>',
    description: 'show readers the generation before at once, with everything that was pushed since',
    example: 'eider rollback origin_hour --reason "the new values look wrong"',
  })
    .option('--reason <text>', 'kept with the change')
    .action(
      withSession<{ reason?: string }>(async (session, { reason }, view = '') => {
        const moved = await session.api.post<RolledBack>(`/features/${view}/rollback`, { reason });
        session.answer(
          moved,
          () => `Generation ${moved.live.generation} of ${view} is live again instead of ${moved.before}; ${figure(moved.replayed)} pushed rows written again.\n${handedOver(moved)}`, // prettier-ignore
        );
      }),
    );
}

/** What became of rows that had been pushed to other revisions. */
const handedOver = ({ handedOver: all }: Pick<Published, 'handedOver'>): string =>
  all
    .map(({ revision, rows, left, why }) => {
      const taken = rows > 0 ? `${figure(rows)} rows that were pushed to revision ${revision} were taken over.\n` : '';
      return left > 0
        ? `${taken}${figure(left)} rows that were pushed to revision ${revision} are left there: ${why}. Push again those that hold for this one.\n`
        : taken;
    })
    .join('');

interface RolledBack {
  readonly live: { readonly generation: number };
  readonly before: number;
  readonly replayed: number;
  readonly handedOver: Published['handedOver'];
  readonly left: number;
}

function registerPushing(program: Command): void {
  apiCommand(program, {
    usage: 'push <view>',
    description: 'write rows online and for joins offline, in one transaction',
    example: 'eider push origin_hour --file rows.json --id 2001-07-01T10',
  })
    .requiredOption('--file <path>', 'a JSON array of rows, columns by name; - reads standard input')
    .option('--to <target>', pushTargets.join(', '), 'online_and_offline')
    .option('--id <text>', 'makes the push once: a repeat gets the first answer')
    .action(
      withSession<PushOptions>(async (session, { file, to, id }, view = '') => {
        const pushed = await session.api.post<Pushed>(`/features/${view}/push`, { rows: await rowsOf(file), to, id });
        session.answer(pushed, () =>
          pushed.applied === null
            ? `${figure(pushed.rows)} rows pushed offline, up to ${pushed.sequence}.\n`
            : `${figure(pushed.rows)} rows pushed, up to ${pushed.sequence}; ${figure(pushed.applied)} are what readers of generation ${pushed.generation} see now.\n`,
        );
      }),
    );

  apiCommand(program, {
    usage: 'flush <view>',
    description: 'move pushed rows that wait into commits, instead of waiting for it',
    example: 'eider flush origin_hour --wait',
  })
    .option(...waitOption)
    .action(
      withSession<Wait>(async (session, { wait }, view = '') => {
        const started = await session.api.post<Started>(`/features/${view}/flush`);
        await answerStarted<Flushed>(
          session,
          started,
          { wait },
          ({ rows, windows, snapshot }) =>
          rows === 0 ? 'Nothing waited.\n' : `${figure(rows)} rows flushed into ${figure(windows)} windows; snapshot ${snapshot}.\n`, // prettier-ignore
        );
      }),
    );
}

async function rowsOf(file: string): Promise<unknown> {
  const text = await readFile(file === '-' ? '/dev/stdin' : file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new DomainError('request_invalid', `${file} cannot be read: ${error.message}.`, { file });
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DomainError('request_invalid', `${file} is no JSON: ${(error as Error).message}.`, { file });
  }
}

function registerReading(program: Command): void {
  apiCommand(program, {
    usage: 'verify <view>',
    description: 'hold what is online against the offline answer at its watermark',
    example: 'eider verify origin_hour --sample 10000 --repair --wait',
  })
    .option('--sample <keys>', 'how many keys; default: all', asCount)
    .option('--seed <number>', 'which keys a sample has', asCount)
    .option('--repair', 'write exactly the keys that differ as they should be')
    .option(...waitOption)
    .action(
      withSession<VerifyOptions>(async (session, { sample, seed, repair, wait }, view = '') => {
        const started = await session.api.post<Started>(`/features/${view}/verify`, { sample, seed, repair });
        if (!wait) return answerStarted(session, started, { wait }, () => '');
        const { id } = await session.wait<OnlineVerified>(started.workflowId);
        const report = await session.api.get<OnlineReport>(`/features/${view}/verifications/${encodeURIComponent(id)}`);
        session.answer({ ...started, result: report }, () => told(report));
      }),
    );

  apiCommand(program, {
    usage: 'online [features...]',
    description: 'read online values of entities',
    example: 'eider online origin_hour:late_rate origin_hour:departures --key origin=JFK,LGA',
  })
    .requiredOption(
      '--key <column=values>',
      'a column of the entities, values separated by commas; repeatable',
      collect,
      [],
    ) // prettier-ignore
    .option('--service <name>', 'the features of a FeatureService')
    .option('--as-of <instant>', 'ages are measured to it, and nothing later is known; default: now', asInstant)
    .action(withSession<ReadOptions>(readOnline) as (...given: unknown[]) => Promise<void>);
}

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

/** Whole numbers are numbers; everything else, and what is in quotes, is text. */
function valueOf(text: string): string | number {
  if (/^-?(0|[1-9]\d{0,14})$/.test(text)) return Number(text);
  return /^".*"$/.test(text) ? text.slice(1, -1) : text;
}

async function readOnline(session: Session, { key, service, asOf }: ReadOptions, ...names: unknown[]): Promise<void> {
  const features = names.flat().filter((name): name is string => typeof name === 'string');
  const entities = Object.fromEntries(
    key.map((one) => {
      const [column = '', values = ''] = one.split(/=(.*)/s);
      return [column, values.split(',').map(valueOf)];
    }),
  );
  const answer = await session.api.post<OnlineAnswer>('/features/online', { features, service, entities, asOf });
  session.answer(answer, () => {
    const rows = answer.columns.flatMap((column) =>
      column.values.map((value, at) => ({ ...column, value, at, entity: entityAt(entities, at) })),
    );
    return table(rows, [
      ['ENTITY', ({ entity }) => entity],
      ['FEATURE', ({ ref }) => ref],
      ['VALUE', ({ value }) => (value === null ? null : String(value))],
      ['STATUS', ({ statuses, at }) => statuses[at]],
      ['EVENT TIME', ({ eventTimes, at }) => moment(eventTimes[at])],
    ]);
  });
}

const entityAt = (entities: Readonly<Record<string, readonly (string | number)[]>>, at: number): string =>
  Object.values(entities)
    .map((values) => values[at])
    .join(', ');

function told({ compared, differing, differences, repaired, generation, sample }: OnlineReport): string {
  const what = `${figure(compared)} ${sample === null ? 'keys' : 'sampled keys'} of generation ${generation}`;
  if (differing === 0) return `${what}: online equals offline.\n`;
  const rows = table(differences, [
    ['KEY', ({ key }) => JSON.stringify(key)],
    ['WHY', ({ why }) => why],
    ['FEATURES', ({ features }) => features.join(', ')],
    ['ONLINE', ({ online }) => (online ? JSON.stringify(online.values) : null)],
    ['OFFLINE', ({ offline }) => (offline ? JSON.stringify(offline.values) : null)],
  ]);
  return `${what}: ${figure(differing)} differ, ${figure(repaired)} were repaired.\n${rows}`;
}
