import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadConfig } from '../../../apps/config.js';

const run = promisify(execFile);

const version = '18.3.0';
const artifact = `org.apache.arrow:flight-sql-jdbc-driver:${version}`;
const sha256 = '3f418b46c880e263558c5de669bdbede2c5d4375527ced116fb29f795b03704c';
const copyGoal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
const fetchMs = 240_000;

/** A machine that has no Java hears that it lacks it, and how to get it. */
async function runJava(command: 'java' | 'mvn', args: string[], options: { timeout: number; maxBuffer?: number }) {
  try {
    return await run(command, args, options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error(`The test of JDBC needs ${command} on PATH: apt-get install default-jdk maven`, { cause: error });
  }
}

/** The JDBC driver of Arrow, fetched once by Maven into the cache: whole, the one that we know, or an error. */
export async function jdbcDriver(): Promise<string> {
  const folder = join(loadConfig().cache, 'tools');
  const jar = join(folder, `flight-sql-jdbc-driver-${version}.jar`);
  if (existsSync(jar)) return jar;
  await mkdir(folder, { recursive: true });
  const temporary = await mkdtemp(`${jar}.part-`);
  try {
    const options = [`-Dartifact=${artifact}`, `-DoutputDirectory=${temporary}`, '-Dmdep.useBaseVersion=true'];
    await runJava('mvn', ['-q', '-B', copyGoal, ...options], { timeout: fetchMs });
    const fetched = join(temporary, `flight-sql-jdbc-driver-${version}.jar`);
    const found = createHash('sha256').update(await readFile(fetched)).digest('hex'); // prettier-ignore
    if (found !== sha256) throw new Error(`${artifact} has the SHA-256 ${found}, not ${sha256}.`);
    await rename(fetched, jar);
    return jar;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

export type Outcome = { readonly step: string } & ({ readonly ok: unknown } | { readonly error: string });

/** Runs the Java program beside this file over a URL of the driver; what each of its steps came to. */
export async function runJdbc(jar: string, url: string): Promise<Map<string, Outcome>> {
  const program = new URL('./Client.java', import.meta.url).pathname;
  // The driver reaches into java.nio for its memory, and into its own log for nothing that a test wants to see.
  const options = ['--add-opens=java.base/java.nio=ALL-UNNAMED', '-Dorg.slf4j.simpleLogger.defaultLogLevel=off'];
  const { stdout } = await runJava('java', [...options, '-cp', jar, program, url], {
    timeout: 60_000,
    maxBuffer: 2 ** 24,
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return new Map(lines.map((line) => JSON.parse(line) as Outcome).map((outcome) => [outcome.step, outcome]));
}
