import { resolve } from 'node:path';
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { isDomainError } from '../../../domain/errors.js';
import { loadConfig } from '../../config.js';
import { sameSignalMs, supervisedFlag } from '../../lifecycle.js';
import { startDev } from '../dev.js';
import type { Dev } from '../dev.js';
import { createOutput } from '../dev-output.js';
import type { Addresses } from '../dev-plan.js';

interface DevFlags {
  readonly home?: string;
  readonly portBase?: number;
  readonly instances: number;
  readonly json?: boolean;
  readonly supervised?: boolean;
}

export function registerDev(program: Command): void {
  program
    .command('dev')
    .description('start everything on this machine, and keep it running until Ctrl-C')
    .option('--home <folder>', 'where all state lives (EIDER_HOME, .eider)')
    .option(
      '--port-base <port>',
      'move every port: N API, N+1 Flight, N+2 inference, N+3 its gRPC, N+4 Temporal, …',
      wholeNumber(1, 65_000),
    )
    .option('--instances <count>', 'how many inference processes', wholeNumber(1, 16), 1)
    .option('--json', 'print one line of addresses when ready, and no logs')
    .addOption(new Option(supervisedFlag, 'end when stdin closes').hideHelp())
    .action(runDev);
}

/** Ends the process: 0 after a drain, 1 when a second signal forces it. */
async function runDev(flags: DevFlags): Promise<void> {
  const loaded = loadConfig();
  const config = flags.home === undefined ? loaded : { ...loaded, home: resolve(flags.home) };
  const write = (text: string) => void process.stdout.write(text);
  const output = createOutput({
    home: config.home,
    show: flags.json ? null : write,
    tell: flags.json ? (text) => void process.stderr.write(text) : write,
    colour: !flags.json && process.stdout.isTTY,
  });
  const asked = new AbortController();
  let dev: Dev | null = null;
  onEndRequests(flags.supervised === true, asked, () => dev?.force());
  try {
    dev = await startDev({ config, output, ...flags, signal: asked.signal });
    write(flags.json ? `${JSON.stringify(dev.addresses)}\n` : addressTable(dev.addresses));
    await new Promise<void>((done) => {
      if (asked.signal.aborted) done();
      else asked.signal.addEventListener('abort', () => done(), { once: true });
    });
    await dev.stop();
  } catch (error) {
    if (!(asked.signal.aborted && isDomainError(error) && error.code === 'cancelled')) throw error;
  } finally {
    output.close();
  }
  process.exit(0);
}

function onEndRequests(supervised: boolean, asked: AbortController, force: () => void): void {
  let firstAt: number | null = null;
  const onSignal = () => {
    if (firstAt !== null && performance.now() - firstAt > sameSignalMs) {
      force();
      process.exit(1);
    }
    firstAt ??= performance.now();
    asked.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  process.on('SIGHUP', onSignal);
  if (!supervised) return;
  process.stdin.on('end', () => asked.abort()).resume();
  process.stdout.on('error', () => {}); // Who started us is gone; the drain goes on.
  process.stderr.on('error', () => {});
}

function addressTable(addresses: Addresses): string {
  const rows: [string, string][] = [
    ['API', `${addresses.api}  (documentation: ${addresses.api}/docs)`],
    ['Flight', addresses.flight],
    ['Inference', `${addresses.inference}, gRPC ${addresses.inferenceGrpc}`],
    ['Temporal', addresses.temporal],
    ['Temporal UI', addresses.temporalUi],
    ['PostgreSQL', withoutPassword(addresses.database)],
    ['Home', `${addresses.home}  (logs in logs/)`],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(12)} ${value}`);
  return `\nEider is ready.\n\n${lines.join('\n')}\n\nCtrl-C stops everything.\n\n`;
}

function withoutPassword(url: string): string {
  const parsed = new URL(url);
  if (parsed.password !== '') parsed.password = '…';
  return decodeURI(parsed.href);
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}
