import { InvalidArgumentError, type Command } from 'commander';
import { defaultProject, type Instant } from '../../domain/ids.js';
import { instant } from '../../domain/instants.js';
import { loadConfig } from '../config.js';
import { ApiClient } from './client.js';
import { progressLine, waitForWorkflow } from './waiting.js';

/** What a command that talks to the API works with. */
export interface Session {
  readonly api: ApiClient;
  readonly project: string;
  readonly json: boolean;
  /** Writes the answer: as JSON for machines, as text for people. */
  answer(value: unknown, text: () => string): void;
  /** Follows a workflow to its end, showing on stderr what it does; throws its failure. */
  wait<Result>(workflowId: string, options?: { appears?: boolean }): Promise<Result>;
}

interface SharedOptions {
  readonly json?: boolean;
  readonly project: string;
}

interface CommandAbout {
  readonly usage: string;
  readonly description: string;
  readonly example: string;
  /** Of the commands of a group: the one that is meant when none is named. */
  readonly isDefault?: boolean;
}

/** Adds a command of the API: what every one of them takes, and an example for its help. */
export function apiCommand(program: Command, { usage, description, example, isDefault }: CommandAbout): Command {
  return program
    .command(usage, { isDefault: isDefault ?? false })
    .description(description)
    .option('--json', 'print the answer as JSON')
    .option('--project <name>', 'the project', defaultProject)
    .addHelpText('after', `\nExample:\n  ${example}`);
}

/** The action of a command: the work gets a session, the arguments, and the options. */
export function withSession<Options>(
  work: (session: Session, options: Options, ...names: string[]) => Promise<void>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    // commander gives the arguments, then the options, then the command.
    const options = given.at(-2) as Options & SharedOptions;
    await work(openSession(options), options, ...(given.slice(0, -2) as string[]));
  };
}

function openSession({ json = false, project }: SharedOptions): Session {
  const api = new ApiClient({ url: loadConfig().urls.api, project });
  return {
    ...{ api, project, json },
    answer: (value, text) => void process.stdout.write(json ? `${JSON.stringify(value)}\n` : text()),
    wait: (workflowId, options) => waitForWorkflow(api, workflowId, progressLine(process.stderr), options),
  };
}

/** What the API says when it started work. */
export interface Started {
  readonly workflowId: string;
  readonly runId: string;
  readonly ui: string;
}

/** After work was started: its result when it was waited for, else where it goes on. */
export async function answerStarted<Result>(
  session: Session,
  started: Started,
  { wait = false }: { wait?: boolean },
  tell: (result: Result) => string,
): Promise<void> {
  if (!wait) {
    session.answer(started, () => `Started ${started.workflowId}\n${started.ui}\n`);
    return;
  }
  const result = await session.wait<Result>(started.workflowId);
  session.answer({ ...started, result }, () => tell(result));
}

/** Options that several commands share, as commander reads them. */
export const waitOption = ['--wait', 'follow the work to its end'] as const;

export function asInstant(text: string): Instant {
  try {
    return instant(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

export function asCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It must be a whole number, at least 1.');
  return Number(text);
}
