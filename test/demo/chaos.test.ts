import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '../../apps/config.js';
import type { Week } from '../../apps/cli/demo-summary.js';
import { freePorts } from '../programs/started.js';

/** The first weeks of the story, once undisturbed and once with every process killed; `npm run demo -- --chaos` is the whole of it. */
const args = ['--chaos', '--until', '2001-03-19', '--kills', '6', '--seed', '20010305', '--json'];
const timeoutMs = 15 * 60_000;

interface Summary {
  readonly digest: string;
  readonly weeks: readonly Week[];
  readonly outcome: {
    readonly ledgers: Readonly<Record<string, readonly { start: string; rowHash: string }[]>>;
    readonly predictions: readonly object[];
    readonly verdicts: readonly { verdict: string; reasons: string[] }[];
    readonly champions: readonly { version: number; dataInstant: string }[];
    readonly findings: readonly { test: string; value: number | null }[];
  };
}

test(
  'the loop comes to the same ledger, digests, verdicts and findings after kill -9 of every process',
  async () => {
    const demo = join(projectRoot, 'dist/apps/cli/demo.js');
    // It compares the two runs itself and fails with what differs; the summary is of the disturbed one.
    const options = { timeout: timeoutMs, maxBuffer: 2 ** 26 };
    const ports = ['--port-base', String(await freePorts(20))];
    const { stdout } = await promisify(execFile)(process.execPath, [demo, ...args, ...ports], options).catch(
      (error: unknown) => {
        const { message, stdout: problem } = error as { message: string; stdout: string };
        throw new Error(`${message}\n${problem.slice(0, 5000)}`);
      },
    );
    const { outcome, weeks, digest } = JSON.parse(stdout) as Summary;
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(Object.keys(outcome.ledgers)).toEqual(['origin_hour', 'route_day']);
    for (const windows of Object.values(outcome.ledgers))
      expect(new Set(windows.map(({ start }) => start)).size).toBe(77);
    expect(outcome.champions).toMatchObject([{ version: 1, dataInstant: '2001-03-05T00:00:00.000000Z' }]);
    expect(outcome.verdicts).toMatchObject([{ verdict: 'promote' }]);
    // Of two scored weeks the first one's labels are known: the second is judged by the tick after the last.
    expect(weeks.map((week) => [week.start.slice(0, 10), week.version, week.served.auc !== null])).toEqual([
      ['2001-03-05', 1, true],
      ['2001-03-12', 1, false],
    ]);
    expect(outcome.predictions).toHaveLength(2);
    expect(outcome.findings.filter(({ test }) => test === 'psi').length).toBeGreaterThan(0);
  },
  timeoutMs,
);
