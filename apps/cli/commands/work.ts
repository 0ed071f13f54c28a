import type { Command } from 'commander';
import type { CommittedLog, Deployed, Scored } from '../../../domain/deployment.js';
import type { Materialized } from '../../../domain/features.js';
import type { Instant } from '../../../domain/ids.js';
import type { MonitorTicked } from '../../../domain/monitoring.js';
import type { TrainedModelSummary } from '../../../domain/training.js';
import {
  answerStarted,
  apiCommand,
  asCount,
  asInstant,
  waitOption,
  withSession,
  type Started,
} from '../api-command.js';
import { bytes, figure } from '../table.js';

interface Wait {
  readonly wait?: boolean;
}
interface Slice extends Wait {
  readonly start: Instant;
  readonly end: Instant;
  readonly asOf?: Instant;
}
interface AsOf extends Wait {
  readonly asOf: Instant;
}
interface Deploy extends Wait {
  readonly version: number;
  readonly asOf?: Instant;
  readonly reason?: string;
}

const startOption = ['--start <instant>', 'the first instant, which belongs to it', asInstant] as const;
const endOption = ['--end <instant>', 'the instant after the last', asInstant] as const;
const asOfOption = ['--as-of <instant>', 'nothing known later is used', asInstant] as const;

/** Commands that start work: each returns as soon as it is started, or with --wait when it has ended. */
export function registerWork(program: Command): void {
  registerMaking(program);
  registerServing(program);
  registerMonitoring(program);
}

function registerMaking(program: Command): void {
  apiCommand(program, {
    usage: 'materialize <view>',
    description: 'bring the windows of a feature view up to date with its sources',
    example: 'eider materialize origin_hour --start 2001-01-01 --end 2001-07-01 --wait',
  })
    .requiredOption(...startOption)
    .requiredOption(...endOption)
    .option('--parallel <batches>', 'how many batches of windows at once, at most 8; default: 2', asCount)
    .option(...waitOption)
    .action(
      withSession<Slice & { parallel?: number }>(async (session, { start, end, parallel, wait }, view = '') => {
        const started = await session.api.post<Started>(`/features/${view}/materialize`, { start, end, parallel });
        await answerStarted<Materialized>(session, started, { wait }, (made) =>
          made.committed === 0
            ? `All ${figure(made.windows)} windows are current: ${made.reason}.\n`
            : `${figure(made.committed)} of ${figure(made.windows)} windows committed, ${figure(made.rows)} rows, ${bytes(made.bytes)}${made.quarantined > 0 ? `, ${figure(made.quarantined)} rows quarantined` : ''}; snapshot ${made.snapshot}.\n`,
        );
      }),
    );

  apiCommand(program, {
    usage: 'train <model>',
    description: 'train, evaluate, register and, when the gates allow it, roll out',
    example: 'eider train lateness --as-of 2001-03-05 --wait',
  })
    .requiredOption(...asOfOption)
    .option(...waitOption)
    .action(
      withSession<AsOf>(async (session, { asOf, wait }, model = '') => {
        const started = await session.api.post<Started>(`/models/${model}/train`, { asOf });
        await answerStarted<TrainedModelSummary>(session, started, { wait }, (made) =>
          [
            `Run ${made.run} on ${made.trainingSet}: version ${made.version}, ${made.verdict}`,
            ...made.reasons.map((reason) => `  ${reason}`),
            ...(made.rollout ? [`Rolled out by ${made.rollout}`] : []),
            '',
          ].join('\n'),
        );
      }),
    );
}

function registerServing(program: Command): void {
  apiCommand(program, {
    usage: 'deploy <endpoint>',
    description: 'roll a version out: every live instance loads and checks it, then all traffic switches',
    example: 'eider deploy lateness --version 2 --reason "back to the old one" --wait',
  })
    .requiredOption('--version <number>', 'the version of the endpoint’s model', asCount)
    .option('--as-of <instant>', 'from when on in data time it answers; default: now', asInstant)
    .option('--reason <text>', 'kept with the change')
    .option(...waitOption)
    .action(
      withSession<Deploy>(async (session, { wait, version, asOf, reason }, endpoint = '') => {
        const started = await session.api.post<Started>(`/endpoints/${endpoint}/deploy`, { version, asOf, reason });
        await answerStarted<Deployed>(
          session,
          started,
          { wait },
          (made) =>
            `${endpoint} serves version ${made.version} on ${made.instances} instances (generation ${made.generation}).\n`,
        );
      }),
    );

  apiCommand(program, {
    usage: 'score <endpoint>',
    description: 'predict a window of the spine in batch with the version that serves',
    example: 'eider score lateness --start 2001-03-05 --end 2001-03-12 --wait',
  })
    .requiredOption(...startOption)
    .requiredOption(...endOption)
    .option('--as-of <instant>', 'what the predictions are logged at; default: the end', asInstant)
    .option(...waitOption)
    .action(
      withSession<Slice>(async (session, { wait, start, end, asOf }, endpoint = '') => {
        const started = await session.api.post<Started>(`/endpoints/${endpoint}/score`, { start, end, asOf });
        await answerStarted<Scored>(
          session,
          started,
          { wait },
          (made) => `${figure(made.rows)} rows scored by version ${made.version}; snapshot ${made.snapshot}.\n`,
        );
      }),
    );

  apiCommand(program, {
    usage: 'inference-log <endpoint>',
    description: 'commit what was asked and answered, online and in batch, as one table that Flight serves',
    example: 'eider inference-log lateness --start 2001-03-05 --end 2001-03-12 --wait',
  })
    .requiredOption(...startOption)
    .requiredOption(...endOption)
    .option(...waitOption)
    .action(
      withSession<Slice>(async (session, { wait, start, end }, endpoint = '') => {
        const started = await session.api.post<Started>(`/endpoints/${endpoint}/log`, { start, end });
        await answerStarted<CommittedLog>(
          session,
          started,
          { wait },
          (made) =>
            `${made.committed} of ${made.windows} windows committed to ${made.table}, ${figure(made.rows)} rows.\n`,
        );
      }),
    );
}

interface Backfilled {
  readonly schedule: string;
  readonly ticks: readonly { readonly asOf: Instant; readonly workflowId: string }[];
}

function registerMonitoring(program: Command): void {
  apiCommand(program, {
    usage: 'tick <monitor>',
    description: 'run one tick of a monitor, as its schedule would',
    example: 'eider tick lateness_weekly --as-of 2001-03-12 --wait',
  })
    .requiredOption('--as-of <instant>', 'the end of the window that is scored', asInstant)
    .option(...waitOption)
    .action(
      withSession<AsOf>(async (session, { asOf, wait }, monitor = '') => {
        const started = await session.api.post<Started>(`/monitors/${monitor}/tick`, { asOf });
        await answerStarted<MonitorTicked>(session, started, { wait }, ticked);
      }),
    );

  apiCommand(program, {
    usage: 'backfill <monitor>',
    description: 'have the schedule of a monitor run its ticks of the past, one after the other',
    example: 'eider backfill lateness_weekly --start 2001-03-12 --end 2001-07-01 --wait',
  })
    .requiredOption(...startOption)
    .requiredOption(...endOption)
    .option(...waitOption)
    .action(
      withSession<Slice>(async (session, { start, end, wait }, monitor = '') => {
        const started = await session.api.post<Backfilled>(`/monitors/${monitor}/backfill`, { start, end });
        if (!wait) {
          session.answer(started, () => `Started ${started.ticks.length} ticks of ${started.schedule}\n`);
          return;
        }
        const results: MonitorTicked[] = [];
        for (const { workflowId } of started.ticks) {
          const result = await session.wait<MonitorTicked>(workflowId, { appears: true });
          results.push(result);
          if (!session.json) process.stdout.write(ticked(result));
        }
        session.answer({ ...started, results }, () => '');
      }),
    );
}

const ticked = ({ asOf, version, rows, breached, reasons, alert, retraining }: MonitorTicked): string =>
  [
    `${asOf.slice(0, 10)}  version ${version}  ${figure(rows)} rows  ${breached ? 'breached' : 'clear'}`,
    ...reasons.map((reason) => `  ${reason}`),
    ...(alert ? [`  alert ${alert}`] : []),
    ...(retraining ? [`  retrained by ${retraining}`] : []),
    '',
  ].join('\n');
