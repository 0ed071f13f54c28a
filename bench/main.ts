import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { tableLines } from '../apps/cli/story.js';
import { loadConfig } from '../apps/config.js';
import { featuresBench } from './features.js';
import { isMet, type Figure } from './figure.js';
import { flightBench } from './flight.js';
import { flightFeastBench } from './flight-feast.js';
import { flightQuackBench } from './flight-quack.js';
import { flightRepeatedBench } from './flight-repeated.js';
import { flightMemoryBench, flightParallelBench, flightSmallBench } from './flight-small.js';
import { materializeBench } from './materialize.js';
import { onlineBench } from './online.js';
import { pointInTimeBench } from './point-in-time.js';
import { serveBench } from './serve.js';

/** `npm run bench [NAME …]`: every figure beside a peer's in the same run; fails when a target is missed. */
const benches: Readonly<Record<string, () => Promise<Figure[]>>> = {
  features: featuresBench,
  'point-in-time': pointInTimeBench,
  materialize: materializeBench,
  online: onlineBench,
  flight: () => flightBench(),
  'flight-repeated': () => flightRepeatedBench(),
  'flight-quack': flightQuackBench,
  'flight-feast': flightFeastBench,
  'flight-small': flightSmallBench,
  'flight-memory': flightMemoryBench,
  'flight-parallel': flightParallelBench,
  serve: serveBench,
};

const shown = (value: number | null) =>
  value === null ? null : value >= 100 ? value.toFixed(0) : value.toPrecision(3);
const targetText = ({ target }: Figure): string | null =>
  target === null ? null : 'atMost' in target ? `≤ ${target.atMost}` : `≥ ${target.atLeast}`;

function tableOf(figures: readonly Figure[]): string {
  const columns = ['figure', 'unit', 'ours', 'peer', 'judged', 'target', 'met', 'beside'];
  return tableLines(
    columns,
    figures.map((one) => [
      one.name,
      one.unit,
      shown(one.ours),
      shown(one.peer),
      shown(one.judged),
      targetText(one),
      isMet(one) ? 'yes' : 'NO',
      one.beside,
    ]),
  ).join('\n');
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in benches));
if (unknown.length > 0) {
  process.stderr.write(`There is no bench ${unknown.join(', ')}; there are ${Object.keys(benches).join(', ')}.\n`);
  process.exit(1);
}
const figures: Figure[] = [];
const broken: string[] = [];
for (const [name, run] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const began = performance.now();
  process.stderr.write(`bench ${name}\n`);
  try {
    figures.push(...(await run()));
  } catch (error) {
    // The other parts are worth their time all the same.
    broken.push(name);
    process.stderr.write(`  ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  }
  process.stderr.write(`  ${((performance.now() - began) / 1000).toFixed(0)} s\n`);
}
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, ${new Date().toISOString().slice(0, 10)}`;
const table = tableOf(figures);
process.stdout.write(`${machine}\n${table}\n`);
if (broken.length > 0) process.stdout.write(`Broken off: ${broken.join(', ')}\n`);
if (wanted.length === 0 && broken.length === 0)
  await writeFile(
    join(loadConfig().projectRoot, 'docs/bench.md'),
    `# Bench\n\nWritten by \`npm run bench\`. Both cores are shared by servers and clients.\n\n${machine}\n\n\`\`\`\n${table}\n\`\`\`\n`,
  );
process.exit(figures.every(isMet) && broken.length === 0 ? 0 : 1);
