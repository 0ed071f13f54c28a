import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { DomainError } from '../../domain/errors.js';
import { defaultProject, type Instant } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { loadConfig, type Config } from '../config.js';
import { ApiClient } from './client.js';
import { demoApi } from './demo-api.js';
import { orphansOf, startKiller, type Killer, type Killing } from './demo-chaos.js';
import { firstTick, lastDay, runLoop } from './demo-loop.js';
import { differences, outcomeDigest, outcomeOf, repeatedCommits, type Outcome } from './demo-outcome.js';
import { tellWeeks, weeksOf, type Week } from './demo-summary.js';
import { startDev, type Dev } from './dev.js';
import { createOutput } from './dev-output.js';
import { prepare } from './prepare.js';
import { tellProblem } from './problem.js';
import { createStory, type Story } from './story.js';
import { readResources } from './yaml.js';

const usage = `npm run demo [-- OPTIONS]: a model's whole life on three million real flights.

  --keep             leave everything running at the end
  --chaos            run it twice, the second time with kill -9 at random, and compare what came out
  --seed <number>    of the chaos; printed when it is chosen at random
  --kills <count>    how many processes the chaos kills (10, at least 5)
  --until <date>     the last tick, for a shorter story (2001-06-25)
  --port-base <port> where the ports begin (18080)
  --json             the summary as JSON on stdout, the story on stderr
`;

interface Flags {
  readonly keep: boolean;
  readonly chaos: boolean;
  readonly json: boolean;
  readonly seed: number;
  readonly kills: number;
  readonly until: Instant;
  readonly portBase: number;
}

interface Told {
  readonly outcome: Outcome;
  readonly weeks: readonly Week[];
  readonly seconds: number;
}

function readFlags(): Flags | null {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const options = {
    keep: flag,
    chaos: flag,
    json: flag,
    help: flag,
    seed: text,
    kills: text,
    until: text,
    'port-base': text,
  };
  const { values } = parseArgs({ options });
  if (values.help) return null;
  const whole = (name: string, value: string | undefined, fallback: number, min: number): number => {
    const number = value === undefined ? fallback : Number(value);
    if (Number.isInteger(number) && number >= min) return number;
    throw new DomainError('request_invalid', `--${name} must be a whole number of at least ${min}.`);
  };
  const until = instant(values.until ?? '2001-06-25');
  if (until < firstTick || until > lastDay)
    throw new DomainError(
      'request_invalid',
      `--until must lie between ${firstTick.slice(0, 10)} and ${lastDay.slice(0, 10)}.`,
    );
  return {
    ...{ keep: values.keep, chaos: values.chaos, json: values.json, until },
    seed: whole('seed', values.seed, Math.floor(Math.random() * 2 ** 31), 0),
    kills: whole('kills', values.kills, 10, 5),
    portBase: whole('port-base', values['port-base'], 18_080, 1024),
  };
}

async function main(flags: Flags): Promise<void> {
  const story = createStory(flags.json ? process.stderr : process.stdout);
  const config = loadConfig();
  story.heading('Eider: a model’s whole life on three million real flights');
  await prepare({
    config,
    tests: false,
    onProgress: (text) => (text.includes(': ready ') ? undefined : story.say(text)),
  });
  const told = flags.chaos ? await tellChaos(config, flags, story) : await tell(config, flags, story, 'demo', null);
  if (flags.json) process.stdout.write(`${JSON.stringify({ digest: outcomeDigest(told.outcome), ...told })}\n`);
}

/** Starts everything on a fresh home, runs the loop, and stops everything. */
async function tell(
  config: Config,
  flags: Flags,
  story: Story,
  name: string,
  chaos: ((dev: Dev) => Killer) | null,
): Promise<Told> {
  const home = join(config.projectRoot, '.eider', name);
  const output = createOutput({ home, show: null, tell: () => undefined, colour: false });
  const bar = story.progress('start PostgreSQL, Temporal, API, Flight, inference and worker');
  const stopping = new AbortController();
  process.once('SIGINT', () => stopping.abort());
  process.once('SIGTERM', () => stopping.abort());
  const dev = await startDev({
    config: { ...config, home },
    output,
    portBase: flags.portBase,
    signal: stopping.signal,
    fresh: true,
  });
  bar.end(`${Object.keys(dev.children()).length} processes`);
  let kept = false;
  // In the middle of the story a signal breaks it off; after it, it is how the demo is asked to end.
  stopping.signal.addEventListener('abort', () => {
    if (!kept) void dev.stop().then(() => process.exit(130));
  });
  const killer = chaos?.(dev);
  try {
    const began = performance.now();
    const { addresses } = dev;
    story.say(
      `API ${addresses.api}/docs, Temporal UI ${addresses.temporalUi}, logs ${relative(process.cwd(), join(home, 'logs'))}`,
    );
    const api = demoApi(new ApiClient({ url: addresses.api, project: defaultProject }));
    const resources = await readResources([join(config.projectRoot, 'examples/flights')]);
    await runLoop({
      api,
      story,
      resources,
      until: flags.until,
      inferenceUrl: addresses.inference,
      uiUrl: addresses.temporalUi,
    });
    await killer?.done;
    const weeks = await weeksOf(api);
    tellWeeks(story, weeks);
    const told = { outcome: await outcomeOf(api), weeks, seconds: (performance.now() - began) / 1000 };
    story.say(`All of it took ${told.seconds.toFixed(0)} s.`);
    kept = flags.keep && name !== 'reference';
    if (kept) await keep(dev, story, stopping.signal);
    return told;
  } finally {
    killer?.stop();
    await dev.stop();
    output.close();
  }
}

async function keep({ addresses }: Dev, story: Story, signal: AbortSignal): Promise<void> {
  story.heading('Still running');
  story.say(
    `API ${addresses.api}/docs, Temporal UI ${addresses.temporalUi}, Flight ${addresses.flight}, inference ${addresses.inference}`,
  );
  story.say(`EIDER_URL=${addresses.api} npx eider get runs`);
  story.say(`Ctrl-C, or kill ${process.pid}, stops everything.`);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

/** The loop undisturbed, then again under kill -9: both must come to the same. */
async function tellChaos(config: Config, flags: Flags, story: Story): Promise<Told> {
  story.heading(`Chaos: first undisturbed, for comparison; then ${flags.kills} × kill -9 with seed ${flags.seed}`);
  const reference = await tell(config, flags, story, 'reference', null);
  story.heading(`Now with the killer, seed ${flags.seed}`);
  const killings: Killing[] = [];
  // Within the time that the undisturbed loop took, so that every kill hits work.
  const overMs = reference.seconds * 800;
  const told = await tell(config, flags, story, 'chaos', (dev) =>
    startKiller(dev, { seed: flags.seed, kills: flags.kills, overMs }, (killing) => {
      killings.push(killing);
      story.say(`kill -9 ${killing.name} (process ${killing.pid})`);
    }),
  );
  const orphans = await orphansOf(join(config.projectRoot, '.eider', 'chaos'));
  const findings = [
    ...differences(reference.outcome, told.outcome),
    ...repeatedCommits(told.outcome).map((window) => `committed more than once: ${window}`),
    ...orphans.map((pid) => `process ${pid} was left behind`),
  ];
  story.heading('What the chaos changed');
  story.table(
    ['process', 'killed'],
    [...new Set(killings.map(({ name }) => name))]
      .sort()
      .map((name) => [name, killings.filter((one) => one.name === name).length]),
  );
  for (const finding of findings) story.say(finding);
  if (findings.length > 0)
    throw new DomainError(
      'chaos_changed_outcome',
      `${findings.length} differences after ${killings.length} kills with seed ${flags.seed}.`,
      { findings, seed: flags.seed },
    );
  story.say(
    `Nothing: ${killings.length} kills, outcome ${outcomeDigest(told.outcome).slice(0, 12)}… both times, one commit a window, no process left behind.`,
  );
  return told;
}

try {
  const flags = readFlags();
  if (flags === null) process.stdout.write(usage);
  else await main(flags);
  process.exit(0);
} catch (error) {
  const invalid = (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS');
  tellProblem(
    invalid ? new DomainError('request_invalid', (error as Error).message) : error,
    process.argv.includes('--json'),
  );
  process.exit(1);
}
