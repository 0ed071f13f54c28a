import type { Instant } from '../../domain/ids.js';
import { names } from './demo-loop.js';
import type { DemoApi } from './demo-api.js';
import type { Story } from './story.js';

/** One judged week: who served, how well, and how well the first version would have done. */
export interface Week {
  readonly start: Instant;
  readonly version: number;
  readonly rows: number;
  readonly served: Figures;
  readonly first: Figures;
  readonly psiMax: number | null;
  readonly event: string;
}

interface Figures {
  readonly auc: number | null;
  readonly log_loss: number | null;
  readonly calibration_gap: number | null;
}

interface Found {
  readonly window: { readonly start: Instant; readonly end: Instant };
  readonly asOf: Instant;
  readonly version: number;
  readonly test: string;
  readonly subject: string;
  readonly value: number | null;
  readonly details: { readonly rows?: number };
}

interface TickAnswer {
  readonly asOf: Instant;
  readonly window: { readonly start: Instant };
  readonly version: number;
  readonly summary: {
    readonly rows: number;
    readonly breached: boolean;
    readonly alert: string | null;
    readonly retraining: string | null;
  };
}

export async function weeksOf(api: DemoApi): Promise<Week[]> {
  const ticks = await api.all<TickAnswer>(`/monitors/${names.monitor}/ticks`);
  const findings = await api.all<Found>(`/monitors/${names.monitor}/findings`);
  const history = await api.get<{ items: { version: number; dataInstant: Instant }[] }>(
    `/models/${names.model}/aliases/champion/history`,
  );
  return ticks.map((tick) => {
    const of = (version: number): Figures => {
      const value = (metric: string) =>
        findings.find((one) => one.test === metric && one.version === version && one.window.start === tick.window.start)
          ?.value ?? null;
      return { auc: value('auc'), log_loss: value('log_loss'), calibration_gap: value('calibration_gap') };
    };
    const drift = findings
      .filter((one) => one.test === 'psi' && one.version === tick.version && one.window.start === tick.window.start)
      .map((one) => one.value ?? 0);
    return {
      start: tick.window.start,
      version: tick.version,
      rows: tick.summary.rows,
      served: of(tick.version),
      first: of(1),
      psiMax: drift.length > 0 ? Math.max(...drift) : null,
      event: eventOf(tick, history.items),
    };
  });
}

function eventOf({ asOf, summary }: TickAnswer, history: readonly { version: number; dataInstant: Instant }[]): string {
  if (!summary.breached) return '';
  if (summary.retraining === null) return 'alert';
  const promoted = history.find((one) => one.dataInstant === asOf);
  return promoted ? `alert, version ${promoted.version} from here` : 'alert, retrained, not better';
}

const figure = (value: number | null) => (value === null ? null : value.toFixed(4));

export function tellWeeks(story: Story, weeks: readonly Week[]): void {
  story.heading('What happened, week by week');
  story.table(
    ['week of', 'version', 'flights', 'AUC', 'log-loss', 'gap', 'PSI', 'version 1: AUC', 'log-loss', 'gap', ''],
    weeks.map(({ start, version, rows, served, first, psiMax, event }) => [
      ...[
        start.slice(0, 10),
        version,
        rows.toLocaleString('en-US'),
        figure(served.auc),
        figure(served.log_loss),
        figure(served.calibration_gap),
        figure(psiMax),
      ],
      ...[figure(first.auc), figure(first.log_loss), figure(first.calibration_gap), event],
    ]),
  );
  story.say(
    'A week is judged a day after its last flight has landed, so the newest one has no metrics yet. Gap: mean prediction minus late share.',
  );
  const better = weeks.filter(
    (week) => week.version > 1 && week.served.log_loss !== null && week.first.log_loss !== null,
  );
  if (better.length === 0) return;
  const won = better.filter((week) => (week.served.log_loss ?? 0) < (week.first.log_loss ?? 0)).length;
  story.say(`Of ${better.length} judged weeks with a retrained version it beat version 1 by log-loss in ${won}.`);
}
