import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ApiClient } from '../../apps/cli/client.js';
import { demoApi } from '../../apps/cli/demo-api.js';
import { startDev } from '../../apps/cli/dev.js';
import { createOutput } from '../../apps/cli/dev-output.js';
import { loadConfig } from '../../apps/config.js';
import { defaultProject } from '../../domain/ids.js';
import { digestOf } from '../../domain/json.js';
import { openEngine } from '../../lake/duckdb.js';
import { openDatabase, type Database } from '../../store/db.js';
import { kill, planKills, type Kill } from './killer.js';
import { checkFiles, outcomeOf, type Outcome } from './outcome.js';
import { pushId, rounds, tell } from './story.js';
import { watchOffline, watchOnline, type Seen } from './watchers.js';

/** `npm run torture`: the same work undisturbed and with `kill -9` at random; fails unless both leave the same. */

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '21' },
    seed: { type: 'string', default: '20010305' },
    'port-base': { type: 'string', default: '29080' },
  },
});
const [kills, seed, portBase] = [values.kills, values.seed, values['port-base']].map(Number) as [
  number,
  number,
  number,
];
const lines: string[] = [];
const say = (text: string): void => {
  lines.push(text);
  process.stdout.write(`${text}\n`);
};

interface Left {
  readonly hash: string;
  readonly store: object;
}

/** How often a window was committed says nothing about pushes: they are flushed by the clock. */
const storeOf = ({ heads, commits, online, staged, pushes }: Outcome): object => ({
  heads,
  commits: (commits as { lane: string }[]).filter(({ lane }) => lane === 'sources'),
  online: (online as { view: string; rows: object[] }[]).map(({ view, rows }) => ({ view, rows })),
  pushes: (pushes as { id: string; digest: string }[]).map(({ id, digest }) => [id, digest]),
  staged,
});

async function run(name: string, plan: readonly Kill[]): Promise<Left> {
  const config = loadConfig();
  const home = join(config.projectRoot, '.eider', 'torture', name);
  await rm(home, { recursive: true, force: true });
  const output = createOutput({ home, show: null, tell: () => undefined, colour: false });
  const folder = join(home, 'data');
  const dev = await startDev({ config: { ...config, home, roots: [...config.roots, home] }, output, portBase });
  const engine = await openEngine({
    ...{ threads: availableParallelism(), memoryLimit: '1GB', tempDirectory: join(home, 'tmp-watch') },
    allowedDirectories: [home],
  });
  const db = openDatabase({ url: dev.addresses.database, application: 'torture' });
  const url = dev.addresses.api;
  const ledger = join(home, 'acknowledged.jsonl');
  try {
    const online = watchOnline(url);
    const offline = watchOffline(db, engine, home);
    await tell({
      ...{ api: demoApi(new ApiClient({ url, project: defaultProject })), url, engine, folder, ledger, say },
      async disturb(round) {
        for (const one of plan.filter((other) => other.round === round))
          say(`  kill -9 ${one.name}, process ${await kill(dev, one)}`);
      },
    });
    report('online', await online.stop(), 'no answer of two generations');
    report('offline', await offline.stop(), 'every answer is a committed snapshot');
    say(`  files: ${await checkFiles(db, defaultProject, (key) => join(home, 'lake', key))} are there with the bytes that were committed`); // prettier-ignore
    await requireAcknowledged(db, ledger);
    const store = storeOf(await outcomeOf(db, defaultProject));
    return { hash: digestOf(store), store };
  } finally {
    await db.close();
    engine.close();
    await dev.stop();
    output.close();
  }
}

function report(name: string, seen: Seen, verdict: string): void {
  if (seen.wrong.length > 0)
    throw new Error(`${seen.wrong.length} wrong answers ${name}: ${seen.wrong.slice(0, 3).join('; ')}`);
  say(
    `  ${name}: ${seen.answers} answers, ${seen.different.size} different states, ${seen.away} times nobody answered: ${verdict}`,
  );
}

/** Whatever was acknowledged is there, once; nothing else is. */
async function requireAcknowledged(db: Database, ledger: string): Promise<void> {
  const lines = (await readFile(ledger, 'utf8')).trim().split('\n').map((line) => JSON.parse(line) as { round: number; number: number }); // prettier-ignore
  const acknowledged = lines.map(({ round, number }) => pushId(round, number)).sort();
  const rows = await db.query<{ id: string; rows: number }>(
    'SELECT p.id, count(r.sequence) AS rows FROM pushes p LEFT JOIN pushed_rows r ON (r.project, r.view, r.push_id) = (p.project, p.view, p.id) GROUP BY p.id',
  );
  const found = rows.map(({ id }) => id).sort();
  if (digestOf(found) !== digestOf(acknowledged) || rows.some((row) => row.rows !== 5))
    throw new Error(`${acknowledged.length} pushes were acknowledged, ${found.length} are there.`);
  say(`  pushes: ${acknowledged.length} acknowledged, each there once`);
}

const began = performance.now();
say(`undisturbed: ${rounds} rounds`);
const undisturbed = await run('undisturbed', []);
say(`with ${kills} kills, seed ${seed}`);
const disturbed = await run('disturbed', planKills(seed, kills, rounds));
say(`store hash undisturbed ${undisturbed.hash}`);
say(`store hash disturbed   ${disturbed.hash}`);
const equal = undisturbed.hash === disturbed.hash;
say(equal ? `equal after ${kills} kills (${Math.round((performance.now() - began) / 1000)} s)` : 'DIFFERENT');
if (!equal)
  for (const part of Object.keys(undisturbed.store) as (keyof object)[])
    if (digestOf(undisturbed.store[part]) !== digestOf(disturbed.store[part])) say(`  ${part} differ`);
if (equal && process.argv.length === 2) {
  const page = join(loadConfig().projectRoot, 'docs', 'torture.md');
  const [head = ''] = (await readFile(page, 'utf8')).split('```text\n');
  await writeFile(page, `${head}\`\`\`text\n${lines.join('\n')}\n\`\`\`\n`);
}
process.exit(equal ? 0 : 1);
