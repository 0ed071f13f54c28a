import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '../../../domain/errors.js';
import type { TableReader } from '../../../domain/tables.js';
import type { Reader } from '../../../lake/read/reader.js';
import { statementBytesMax } from '../../../lake/statements/parse.js';
import { statements } from '../../../lake/statements/statements.js';
import { projectRoot } from '../../config.js';
import { cancelFlight, only } from '../actions.js';
import type { Call } from '../call.js';
import type { ActionTaker, FlightFeature, PutTaker } from '../feature.js';
import type { OpenFlights } from '../open-flights.js';
import type { FlightData, FlightMessages } from '../protocol.js';
import type { ReadableKind } from '../readable.js';
import type { Tickets } from '../ticket.js';
import { catalogKind, type CatalogDeps } from './catalog.js';
import { duckdbWords, type InfoFacts } from './info.js';
import { sqlCodec, type SqlMessage, type SqlMessages } from './messages.js';
import { bind, boundValues, close, execution, prepare, type PreparedDeps } from './prepared.js';
import { refusal, refusedActions, requireNoTransaction } from './refusals.js';
import { openedStatement, pin, StatementContent, statementReadable } from './statement.js';

export interface SqlSettings {
  readonly tables: TableReader;
  readonly reader: Reader;
  readonly tickets: Tickets;
  readonly flights: OpenFlights;
  readonly messages: FlightMessages;
  readonly lakeRoot: string;
  /** The folder of FlightSql.proto. */
  readonly protoFolder: string;
  /** How long DuckDB may work on one statement. */
  readonly statementTimeMs: number;
}

interface SqlDeps extends CatalogDeps, PreparedDeps {
  readonly flights: OpenFlights;
  readonly messages: FlightMessages;
}

/** Flight SQL: statements, prepared statements, and what clients ask about tables and the server. */
export function sqlFeature(settings: SqlSettings): FlightFeature {
  const { tables, reader, lakeRoot, protoFolder, statementTimeMs } = settings;
  const deps: SqlDeps = {
    ...settings,
    codec: sqlCodec(protoFolder),
    statements: statements({ reader, tables, lakeRoot, timeMaxMs: statementTimeMs }),
    facts: once(() => facts(reader)),
    bound: boundValues(),
    described: new Map(),
  };
  return {
    readables: [catalogKind(deps), statementKind(deps)],
    puts: [parametersTaker(deps)],
    actions: [...preparedActions(deps), cancelAction(deps), ...refusals()],
  };
}

async function facts(reader: Reader): Promise<InfoFacts> {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  return { version, statementCharactersMax: statementBytesMax, words: await duckdbWords(reader) };
}

function once<Answer>(ask: () => Promise<Answer>): () => Promise<Answer> {
  let answer: Promise<Answer> | undefined;
  return () => (answer ??= ask());
}

function statementKind(deps: SqlDeps): ReadableKind<StatementContent> {
  return {
    content: StatementContent,
    async resolve({ type, cmd }, call) {
      const asked = type === 'CMD' ? deps.codec.unpack(cmd) : null;
      if (!asked) return null;
      if (asked.name === 'CommandPreparedStatementQuery')
        return execution(deps, asked.message.prepared_statement_handle, call);
      if (asked.name !== 'CommandStatementQuery') throw refusal(asked.name) ?? misplaced(asked.name);
      requireNoTransaction(asked.message);
      return statementReadable(deps, await pin(deps, asked.message.query, call), [], call);
    },
    async open({ sql, tables, repeatable, parameters }, { project }) {
      return openedStatement(await deps.statements.reopen({ sql, tables, repeatable }, project), parameters);
    },
  };
}

const misplaced = (name: string): DomainError =>
  new DomainError('descriptor_invalid', `A ${name} is not asked for in this way.`, { name });

/** DoPut: binds parameters; everything else of Flight SQL that is put would change something. */
function parametersTaker(deps: SqlDeps): PutTaker {
  return {
    accepts: ({ type, cmd }) => type === 'CMD' && deps.codec.unpack(cmd) !== null,
    async *take({ cmd }, messages, call) {
      const asked = deps.codec.unpack(cmd);
      if (asked?.name !== 'CommandPreparedStatementQuery') {
        await drain(messages);
        throw refusal(asked?.name ?? 'CommandStatementUpdate') ?? misplaced(asked?.name ?? 'message');
      }
      const handle = await bind(deps, asked.message.prepared_statement_handle, messages, call);
      yield deps.codec.encode('DoPutPreparedStatementResult', { prepared_statement_handle: handle });
    },
  };
}

async function drain(messages: AsyncIterable<FlightData>): Promise<void> {
  for await (const _ of messages);
}

function preparedActions(deps: SqlDeps): ActionTaker[] {
  const { codec } = deps;
  return [
    {
      type: 'CreatePreparedStatement',
      description: 'Check a SELECT, and get a handle for it with the schemas of its answer and of its parameters.',
      run: only(async (body, call) => {
        const request = requested(deps, 'ActionCreatePreparedStatementRequest', body);
        requireNoTransaction(request);
        return codec.pack('ActionCreatePreparedStatementResult', await prepare(deps, request.query, call));
      }),
    },
    {
      type: 'ClosePreparedStatement',
      description: 'Give a handle back. Nothing is kept for it, so this does nothing.',
      async *run(body: Buffer, call: Call) {
        close(deps, requested(deps, 'ActionClosePreparedStatementRequest', body).prepared_statement_handle, call);
      },
    },
  ];
}

const cancelResults = { cancelled: 1, notCancellable: 3 } as const;

/** What CancelFlightInfo does, for clients of before it. */
const cancelAction = (deps: SqlDeps): ActionTaker => ({
  type: 'CancelQuery',
  description: 'The same as CancelFlightInfo, in the words of older clients.',
  run: only((body, call) => {
    const { info } = requested(deps, 'ActionCancelQueryRequest', body);
    const cancelled = cancelFlight(deps, decodedInfo(deps, info), call);
    const result = cancelled ? cancelResults.cancelled : cancelResults.notCancellable;
    return deps.codec.pack('ActionCancelQueryResult', { result });
  }),
});

function decodedInfo({ messages }: SqlDeps, bytes: Buffer) {
  try {
    return messages.FlightInfo.deserialize(bytes);
  } catch (error) {
    throw new DomainError('action_invalid', 'The request has no FlightInfo.', {}, { cause: error });
  }
}

const refusals = (): ActionTaker[] =>
  Object.entries(refusedActions).map(([type, why]) => ({
    ...{ type, description: '', listed: false },
    run: only(() => {
      throw why();
    }),
  }));

/** The message that the body of an action must hold. Throws `action_invalid`. */
function requested<Name extends keyof SqlMessages>({ codec }: SqlDeps, name: Name, body: Buffer): SqlMessages[Name] {
  const asked: SqlMessage | null = codec.unpack(body);
  if (asked?.name === name) return asked.message as SqlMessages[Name];
  throw new DomainError('action_invalid', `Its body must be a google.protobuf.Any with an ${name}.`, { name });
}
