import { DomainError, asDomainError } from '../../../domain/errors.js';
import { projectNamed } from '../descriptor.js';
import type { Call } from '../call.js';
import type { Exchanger, OutgoingFrame, PutTaker } from '../feature.js';
import { requireProject } from '../access.js';
import { hold } from '../leases.js';
import type { FlightData } from '../protocol.js';
import type { Admission } from './admission.js';
import { commandWith, parseCommand } from './commands.js';
import type { JoinsDeps } from './deps.js';
import { DescribedSource, Historical, Pull } from './feast-commands.js';
import { historicalFeatures } from './feast-historical.js';
import { pulledRows, sourceColumns, sourceNamed, viewBehind, type PlannedRows } from './feast-sources.js';

/** The dialect of Feast's offline server: its client reads by an exchange and writes by a put, both under a JSON command. */

type Answer = (
  deps: JoinsDeps,
  command: unknown,
  messages: AsyncIterable<FlightData>,
  call: Call,
) => AsyncIterable<OutgoingFrame>;

const reads: Readonly<Record<string, Answer>> = {
  async *get_historical_features(deps, asked, messages, call) {
    const command = parseCommand(Historical, asked);
    const project = projectNamed(command.project);
    requireProject(call, project);
    yield* historicalFeatures(deps, command, messages, { ...call, project });
  },
  pull_all_from_table_or_query: (deps, asked, messages, call) =>
    planned(deps, messages, call, () => pulledRows(deps, call.project, parseCommand(Pull, asked), 'all')),
  pull_latest_from_table_or_query: (deps, asked, messages, call) =>
    planned(deps, messages, call, () => pulledRows(deps, call.project, parseCommand(Pull, asked), 'latest')),
  get_table_column_names_and_types_from_data_source: (deps, asked, messages, call) =>
    planned(deps, messages, call, () =>
      sourceColumns(deps, call.project, sourceNamed(parseCommand(DescribedSource, asked))),
    ),
};

/** What there is another way for, or nothing to do. */
const refusals: Readonly<Record<string, string>> = {
  offline_write_batch: 'Rows are pushed by the API: store.push(…, to=PushMode.OFFLINE) with the online store of type remote, or eider push.', // prettier-ignore
  write_logged_features: 'What was served is logged by endpoints: the Flight schema "inference" has it.',
  persist: 'What is kept is a training set: POST /api/v1/projects/PROJECT/datasets builds one that can be verified and made again.', // prettier-ignore
};

export const feastExchanger = (deps: JoinsDeps, enter: Admission): Exchanger => ({
  accepts: (descriptor) => commandWith('api', descriptor) !== null,
  async *exchange(descriptor, messages, call) {
    const command = commandWith('api', descriptor) ?? {};
    const leave = enter();
    try {
      const api = String(command['api']);
      const read = Object.hasOwn(reads, api) ? reads[api] : undefined;
      if (!read) throw new DomainError('not_implemented', `Feast's "${String(command['api'])}" is nothing that is read here.`); // prettier-ignore
      yield* read(deps, command, messages, call);
    } catch (error) {
      throw feastError(error);
    } finally {
      leave();
    }
  },
});

export const feastTaker = (deps: JoinsDeps): PutTaker => ({
  accepts: (descriptor) => commandWith('api', descriptor) !== null,
  // It yields nothing: Feast's client looks at the status alone.
  async *take(descriptor, messages, { project }) {
    const command = commandWith('api', descriptor) ?? {};
    const api = String(command['api']);
    for await (const _ of messages); // What is sent along says nothing, or is refused.
    try {
      if (api !== 'validate_data_source') throw new DomainError('not_implemented', (Object.hasOwn(refusals, api) ? refusals[api] : null) ?? `"${api}" is nothing that is put here.`); // prettier-ignore
      await viewBehind(deps, project, sourceNamed(parseCommand(DescribedSource, command)), []);
    } catch (error) {
      throw feastError(error);
    }
  },
});

/** Rows of a plan, once the client has sent what it always sends. */
async function* planned(
  deps: JoinsDeps,
  messages: AsyncIterable<FlightData>,
  { signal, compression }: Call,
  plan: () => Promise<PlannedRows>,
): AsyncGenerator<OutgoingFrame> {
  for await (const _ of messages);
  const { plan: rows, pins } = await plan();
  const release = await hold(deps, pins);
  try {
    yield* deps.reader.read(rows, { signal, compression });
  } finally {
    await release();
  }
}

/** The client makes its own exceptions of what follows these words. */
function feastError(error: unknown): unknown {
  const failure = asDomainError(error);
  const unknownView = failure.code === 'resource_unknown' && failure.data['kind'] === 'FeatureView';
  const detail = {
    module: 'feast.errors',
    class: unknownView ? 'FeatureViewNotFoundException' : 'FeastError',
    message: `${failure.message} ${failure.row.help} (${failure.code})`,
  };
  return new DomainError(failure.code, `Flight error: ${JSON.stringify(detail)}`, failure.data, { cause: error });
}
