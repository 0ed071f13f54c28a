/**
 * Every error a person or a program can meet: one row each, translated once per edge (problem+json, gRPC status, Temporal
 * retry). `retry` says whether the same call may succeed later without anybody changing anything.
 */
export interface ErrorRow {
  readonly http: number;
  readonly grpc: GrpcCode;
  readonly retry: boolean;
  /** What happened, in a sentence. */
  readonly title: string;
  /** What to do next. */
  readonly help: string;
}

export type GrpcCode =
  | 'ABORTED'
  | 'ALREADY_EXISTS'
  | 'CANCELLED'
  | 'DEADLINE_EXCEEDED'
  | 'FAILED_PRECONDITION'
  | 'INTERNAL'
  | 'INVALID_ARGUMENT'
  | 'NOT_FOUND'
  | 'PERMISSION_DENIED'
  | 'RESOURCE_EXHAUSTED'
  | 'UNAUTHENTICATED'
  | 'UNAVAILABLE'
  | 'UNIMPLEMENTED';

const invalid = { http: 422, grpc: 'INVALID_ARGUMENT', retry: false } as const;
const missing = { http: 404, grpc: 'NOT_FOUND', retry: false } as const;
const conflict = { http: 409, grpc: 'ABORTED', retry: false } as const;
const unavailable = { http: 503, grpc: 'UNAVAILABLE', retry: true } as const;
const internal = { http: 500, grpc: 'INTERNAL', retry: false } as const;

// prettier-ignore
export const errorTable = {
  // What was asked is malformed.
  request_invalid: { ...invalid, title: 'The request does not have the expected shape.', help: 'Compare the body with the schema at /docs.' },
  request_too_large: { http: 413, grpc: 'RESOURCE_EXHAUSTED', retry: false, title: 'The request is larger than this server accepts.', help: 'Send fewer rows a request.' },
  yaml_invalid: { ...invalid, title: 'The file is not valid YAML.', help: 'Mend the line and column that the message names.' },
  resource_invalid: { ...invalid, title: 'The resource does not have the expected fields.', help: 'docs/resources.md shows a complete example of each kind.' },
  reference_unknown: { ...invalid, title: 'The resource refers to something that does not exist.', help: 'Apply the resource it names first, or in the same command.' },
  resource_in_use: { ...conflict, title: 'Something that runs or is kept depends on this resource.', help: 'Delete or change what depends on it first.' },
  sql_invalid: { ...invalid, title: 'The SQL cannot be run.', help: 'It must be one SELECT over the declared sources; the message says where DuckDB stopped.' },
  sql_not_deterministic: { ...invalid, title: 'The SQL calls a function whose answer changes from run to run.', help: 'Remove functions such as now() or random(); use the event time.' },
  lookback_too_short: { ...invalid, title: 'The view sees rows outside of its declared lookback.', help: 'Raise lookback, and let no row depend on later ones, such as by lead() or an aggregate over everything.' },
  join_invalid: { ...invalid, title: 'A join does not fit its view or its spine.', help: 'keys of a join map each key of the view’s entity to a column of the spine; docs/point-in-time.md has examples.' },
  feature_names_collide: { ...invalid, title: 'Two columns of the result would have the same name.', help: 'Ask for full names (view__feature), rename the spine’s column, or join one of the views under another name.' },
  path_not_allowed: { http: 403, grpc: 'PERMISSION_DENIED', retry: false, title: 'The path lies outside the folders this server may read.', help: 'Move the file, or add its folder to EIDER_ROOTS.' },
  spine_invalid: { ...invalid, title: 'The spine cannot be joined.', help: 'It needs the declared columns, an event time that is a timestamp, and rows; docs/datasets.md has examples.' },
  idempotency_key_reused: { ...invalid, title: 'The Idempotency-Key was used before with another request.', help: 'Use a new key for a new request.' },
  idempotency_key_running: { ...conflict, retry: true, title: 'A request with this Idempotency-Key is still running.', help: 'Wait for it, then repeat the call for its answer.' },

  // What was asked for does not exist.
  route_unknown: { ...missing, title: 'There is nothing at this address.', help: 'GET /docs lists the routes.' },
  project_unknown: { ...missing, title: 'The project does not exist.', help: 'GET /api/v1/projects lists the projects; POST creates one.' },
  resource_unknown: { ...missing, title: 'The resource does not exist.', help: 'eider get KIND lists what there is.' },
  table_unknown: { ...missing, title: 'There is no such feature view or dataset.', help: 'ListFlights lists what can be read.' },
  spine_unknown: { ...missing, title: 'No such table was uploaded.', help: 'POST it to /datasets/spines; the answer says its hash.' },
  snapshot_unknown: { ...missing, title: 'The feature view has no snapshot with this number.', help: 'eider get snapshots VIEW lists them.' },
  snapshot_collected: { http: 410, grpc: 'NOT_FOUND', retry: false, title: 'The snapshot is older than what is kept, and its files were removed.', help: 'eider get snapshots VIEW lists those that can be read; EIDER_RETENTION says how long they are.' },
  erasure_unknown: { ...missing, title: 'The erasure does not exist.', help: 'eider get erasures lists them.' },
  run_unknown: { ...missing, title: 'The run does not exist.', help: 'eider get runs lists the runs.' },
  version_unknown: { ...missing, title: 'The model has no such version.', help: 'eider get versions MODEL lists them.' },
  workflow_unknown: { ...missing, title: 'The workflow does not exist.', help: 'eider get workflows lists recent ones; older ones leave with their retention.' },
  log_unknown: { ...missing, title: 'The run has no log yet.', help: 'It is kept when the trainer ends; GET /runs/RUN/events shows progress until then.' },
  lineage_unknown: { ...missing, title: 'Nothing is recorded about where this came from or went.', help: 'docs/api.md lists the kinds and how their ids are written.' },
  endpoint_not_serving: { http: 404, grpc: 'NOT_FOUND', retry: false, title: 'Nothing is deployed at this endpoint yet.', help: 'Train and deploy a version first: eider train MODEL --as-of INSTANT.' },

  // The state of things forbids it now.
  workflow_open_with_other_input: { ...conflict, title: 'The same work is open with another input.', help: 'Wait for it or cancel it, then start again.' },
  control_refused: { ...conflict, title: 'The workflow cannot be paused, resumed or cancelled now.', help: 'GET /workflows/ID shows its state; only work in batches can be paused.' },
  rollout_open: { ...conflict, title: 'Another rollout of this endpoint is open.', help: 'Wait for it or cancel it.' },
  generation_moved: { ...conflict, title: 'Somebody else changed this in between.', help: 'Read it again and decide anew.' },
  fence_superseded: { ...conflict, title: 'A newer attempt of this run has taken over.', help: 'Nothing to do: the newer attempt carries on.' },
  dataset_exists: { ...conflict, title: 'There is another training set of this name.', help: 'A training set never changes: choose another name.' },
  training_set_empty: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'No row of the spine has a known label in the window.', help: 'Choose a later as-of instant or a longer history.' },
  training_set_one_class: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'All labels of a split are equal.', help: 'Choose a longer history; a classifier needs both classes.' },
  view_not_online: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'The feature view has nothing online yet.', help: 'eider publish VIEW loads it from what is materialized; eider push VIEW begins it with rows.' },
  generation_none_older: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'There is no older generation to go back to.', help: 'eider get generations VIEW lists what there is; one older generation is kept, until the next publish or roll-back.' },
  push_source_unknown: { ...invalid, title: 'There is no feature view of this name to push to.', help: 'push_source_name is the name of a FeatureView; eider get FeatureView lists them.' },
  materialization_running: { ...conflict, title: 'The feature view is being materialized and published already.', help: 'Wait for it, or send force=true, which ends it and starts anew.' },
  push_id_reused: { ...invalid, title: 'The id belongs to a push of other rows.', help: 'Use a new id for new rows.' },
  pushed_row_invalid: { ...invalid, title: 'A pushed row does not fit the columns of its view.', help: 'The message names row and column; eider describe FeatureView VIEW shows the columns.' },
  features_not_materialized: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'A feature view lacks windows that are needed.', help: 'eider materialize VIEW --start … --end … first; training sets and models read the newest revision, which needs windows of its own.' },
  expectation_failed: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'Windows break an expectation of their view, and were not committed.', help: 'eider get expectations VIEW names the rows; mend the source or the view, then materialize again.' },
  erasure_ended: { ...conflict, title: 'The erasure is not open any more.', help: 'eider describe erasure ID says how it ended; eider erase opens another.' },
  erasure_begun: { ...conflict, title: 'The erasure has removed rows already, so it cannot be abandoned.', help: 'Start it again with the command that opened it; what stopped it is in its workflow.' },
  erased_meanwhile: { ...conflict, retry: true, title: 'A key was erased after these rows had been computed.', help: 'Nothing to do: the step computes them again without it.' },
  table_columns_changed: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'The table was committed with other columns.', help: 'Apply a new revision of the Model or FeatureView that makes it: each has a table of its own.' },

  // Data and files.
  source_missing: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'The source file does not exist.', help: 'Check the path of the Source resource; it resolves against its YAML file.' },
  source_unreadable: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'The source cannot be read.', help: 'The message is DuckDB’s; replace the corrupt file and run again.' },
  source_unreachable: { ...unavailable, title: 'The server that holds the source does not answer.', help: 'Check that it runs, and its address in EIDER_CONNECTIONS or EIDER_S3_ENDPOINT; the step tries again by itself.' },
  source_schema_changed: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'The files of the source do not have the same columns.', help: 'Mend the file, or declare the source’s columns: then what a file lacks is NULL in its rows.' },
  connection_unknown: { ...invalid, title: 'The Source names a PostgreSQL database that this server does not know.', help: 'Add its name and URL to EIDER_CONNECTIONS, and start the worker again.' },
  extension_missing: { http: 409, grpc: 'FAILED_PRECONDITION', retry: false, title: 'A DuckDB extension that the format of the source needs is not there.', help: 'Put the file of the extension into a folder and name that in EIDER_EXTENSIONS; eider doctor shows which there are.' },
  source_changed: { ...unavailable, title: 'The source changed while it was being read.', help: 'The step plans again by itself.' },
  erasure_incomplete: { ...internal, title: 'Rows of the erased key are still found.', help: 'Start the erasure again when nothing is being published or committed; the message says where they are. One that can never be done is ended by eider abandon.' },
  object_missing: { http: 500, grpc: 'INTERNAL', retry: false, title: 'A committed file is missing from the lake.', help: 'Restore it from a backup.' },
  object_corrupt: { http: 500, grpc: 'INTERNAL', retry: false, title: 'A committed file does not match its recorded hash.', help: 'Restore it from a backup.' },
  lake_write_failed: { ...unavailable, title: 'A file could not be written to the lake.', help: 'Check space and permissions of the lake folder.' },
  query_failed: { http: 500, grpc: 'INTERNAL', retry: false, title: 'DuckDB could not finish the query.', help: 'The message says why.' },

  // Training programs.
  trainer_unknown: { ...invalid, title: 'There is no such trainer.', help: 'The folders of trainers/ are the names.' },
  trainer_environment_failed: { ...unavailable, title: 'The Python environment of the trainer could not be built.', help: 'Run eider doctor; it names what is missing.' },
  trainer_failed: { http: 500, grpc: 'INTERNAL', retry: false, title: 'The trainer ended with an error.', help: 'eider logs RUN shows what it printed.' },
  trainer_try_again: { ...unavailable, title: 'The trainer asked to be run again (exit 75).', help: 'It is retried by itself.' },
  trainer_timeout: { http: 500, grpc: 'DEADLINE_EXCEEDED', retry: false, title: 'The trainer did not finish in its time.', help: 'Raise trainer.timeout of the Model, or train on less.' },
  trainer_output_invalid: { http: 500, grpc: 'INTERNAL', retry: false, title: 'The trainer left output that breaks its contract.', help: 'docs/trainers.md lists the files and their fields.' },
  model_invalid: { http: 500, grpc: 'INTERNAL', retry: false, title: 'The model file is not a valid ONNX model with the declared signature.', help: 'Check the file with the onnx checker.' },
  golden_rows_differ: { http: 500, grpc: 'INTERNAL', retry: false, title: 'The model answers the golden rows otherwise than its trainer did.', help: 'The version is not served; compare runtime and trainer versions.' },
  prediction_invalid: { http: 500, grpc: 'INTERNAL', retry: false, title: 'A prediction is not a probability.', help: 'The model must answer numbers from 0 to 1; check its output and its inputs.' },

  // Inference.
  inference_input_invalid: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The inference input does not match the signature.', help: 'GET /v2/models/NAME shows the inputs.' },
  inference_overloaded: { http: 429, grpc: 'RESOURCE_EXHAUSTED', retry: true, title: 'Too many requests wait for this model.', help: 'Try again shortly, with fewer requests at a time.' },
  no_live_instance: { ...unavailable, title: 'No inference instance is live.', help: 'Start an inference process; rollouts wait for it.' },
  instance_starting: { ...unavailable, title: 'The inference instance is still loading its models.', help: 'Try again shortly; /v2/health/ready says when.' },
  instance_refused: { http: 500, grpc: 'INTERNAL', retry: false, title: 'An inference instance could not load the version.', help: 'The message is the instance’s own.' },

  // Flight.
  ticket_invalid: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The ticket is not one of this server.', help: 'Ask GetFlightInfo for a new one.' },
  ticket_expired: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The ticket has expired.', help: 'Ask GetFlightInfo for a new one.' },
  descriptor_invalid: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The descriptor names nothing that can be read.', help: 'Use a path of project, "features" or "datasets", and a name.' },
  type_unsupported: { http: 501, grpc: 'UNIMPLEMENTED', retry: false, title: 'A column has a type that cannot be sent as Arrow yet.', help: 'Cast the column in the view’s SQL.' },
  not_implemented: { http: 501, grpc: 'UNIMPLEMENTED', retry: false, title: 'This call is not supported.', help: 'docs/flight.md lists what is.' },
  statement_invalid: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'DuckDB does not understand the statement.', help: 'The message says where; docs/flight-sql.md shows the dialect.' },
  statement_refused: { http: 403, grpc: 'PERMISSION_DENIED', retry: false, title: 'The statement does what is not allowed here.', help: 'One SELECT over the tables of the project is allowed; docs/flight-sql.md says what else.' },
  statement_too_large: { http: 413, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The statement is too large.', help: 'Shorten it, or bind large values as parameters.' },
  parameters_invalid: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The parameters cannot be bound to the statement.', help: 'Bind one row with a column for each ? of the statement, none of them nested; docs/flight-sql.md has the types.' },
  prepared_unknown: { http: 404, grpc: 'NOT_FOUND', retry: false, title: 'The handle is no prepared statement of this server.', help: 'Prepare the statement again.' },
  statement_timeout: { http: 408, grpc: 'DEADLINE_EXCEEDED', retry: false, title: 'The statement took too long.', help: 'Read less, or ask for a longer time in EIDER_FLIGHT_STATEMENT_TIME.' },
  statement_memory: { http: 413, grpc: 'RESOURCE_EXHAUSTED', retry: false, title: 'The statement needs more memory than there is for it.', help: 'Read fewer rows or columns at a time, or ask for more in EIDER_MEMORY_LIMIT or EIDER_FLIGHT_SPILL.' },
  unauthenticated: { http: 401, grpc: 'UNAUTHENTICATED', retry: false, title: 'The caller did not say who it is.', help: 'Send the metadata "authorization: Bearer KEY"; docs/flight.md says where keys come from.' },
  project_forbidden: { http: 403, grpc: 'PERMISSION_DENIED', retry: false, title: 'The key is not good for this project.', help: 'Name one of the key’s projects in the metadata "eider-project" or in the path, or ask for a key of this one.' },
  deadline_exceeded: { http: 408, grpc: 'DEADLINE_EXCEEDED', retry: true, title: 'The call did not end before its deadline.', help: 'Give it more time, or ask for less.' },
  compression_unknown: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'There is no such compression of record batches.', help: 'The metadata "eider-compression" is none, lz4 or zstd; without it nothing is compressed.' },
  action_invalid: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'The body of the action is not the message that it takes.', help: 'docs/flight.md names the message of each action.' },
  ticket_cancelled: { http: 400, grpc: 'INVALID_ARGUMENT', retry: false, title: 'What the ticket stands for was cancelled.', help: 'Ask GetFlightInfo for a new one.' },
  session_unknown: { http: 404, grpc: 'NOT_FOUND', retry: false, title: 'The session was closed, was idle for long, or was another instance’s.', help: 'Call without its cookie and set the options again: SetSessionOptions opens a new one.' },
  sessions_exhausted: { http: 429, grpc: 'RESOURCE_EXHAUSTED', retry: true, title: 'Too many sessions are open.', help: 'Close sessions that are not needed, or try again later: idle ones end by themselves.' },
  stream_idle: { http: 408, grpc: 'DEADLINE_EXCEEDED', retry: true, title: 'The client did not take what was sent.', help: 'Read the stream to its end without long pauses, or ask for a new one.' },
  service_stopping: { ...unavailable, title: 'The service is stopping.', help: 'Try again shortly, when it has started again.' },
  streams_exhausted: { http: 429, grpc: 'RESOURCE_EXHAUSTED', retry: true, title: 'Too many streams are open.', help: 'Close one, or try again shortly.' },
  cancelled: { http: 499, grpc: 'CANCELLED', retry: false, title: 'The caller cancelled.', help: 'Nothing to do.' },

  // The things we stand on.
  temporal_unreachable: { ...unavailable, title: 'Temporal does not answer.', help: 'Check TEMPORAL_ADDRESS; eider dev starts a server.' },
  worker_unreachable: { ...unavailable, title: 'No worker did the work in time.', help: 'Check that a worker runs, on the same task queue as the API.' },
  schedule_not_ready: { ...unavailable, title: 'The monitor has no schedule yet.', help: 'A worker makes it after apply; check that one runs, then try again.' },
  request_timeout: { ...unavailable, title: 'The request took too long.', help: 'What it started goes on; repeat it with the same Idempotency-Key, or look at GET /workflows.' },
  database_unreachable: { ...unavailable, title: 'PostgreSQL does not answer.', help: 'Check DATABASE_URL; eider dev starts a server.' },
  api_unreachable: { ...unavailable, title: 'The Eider API does not answer.', help: 'Start it with eider dev, or set EIDER_URL.' },
  port_busy: { ...conflict, title: 'A port is already in use.', help: 'Stop what uses it, or choose other ports with --port-base.' },
  home_in_use: { ...conflict, title: 'Another Eider runs on this home folder.', help: 'Stop it, or choose another folder with --home.' },
  tool_missing: { http: 500, grpc: 'FAILED_PRECONDITION', retry: false, title: 'A program that Eider needs is missing.', help: 'eider doctor says how to get it.' },
  process_failed: { ...internal, title: 'A program that Eider started does not run.', help: 'Its last lines are in the home folder’s logs/.' },
  config_invalid: { http: 500, grpc: 'FAILED_PRECONDITION', retry: false, title: 'The configuration is not valid.', help: 'docs/settings.md lists every setting.' },
  chaos_changed_outcome: { ...internal, title: 'The demo came to another result after processes were killed.', help: 'Please report the seed and the findings.' },
  internal: { ...internal, title: 'Something went wrong inside Eider.', help: 'The log of the process has the details; please report it.' },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/** Thrown with data; nothing but the code and the data decides how an edge shows it. */
export class DomainError extends Error {
  override readonly name = 'DomainError';
  readonly code: ErrorCode;
  readonly data: Readonly<Record<string, unknown>>;

  /** `detail` says what is wrong in this case, on top of the row's title; `data` must survive JSON. */
  constructor(code: ErrorCode, detail: string, data: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
    this.data = data;
  }

  get row(): ErrorRow {
    return errorTable[this.code];
  }
}

/** By its shape, not its class: an error that crossed a sandbox or a second copy of this module is one all the same. */
export function isDomainError(error: unknown): error is DomainError {
  return error instanceof Error && error.name === 'DomainError' && 'code' in error && String(error.code) in errorTable;
}

/** What an edge shows of any error: a `DomainError` as it is, everything else as `internal` without its inner words. */
export function asDomainError(error: unknown): DomainError {
  if (isDomainError(error)) return error;
  return new DomainError('internal', 'An unexpected error happened.', {}, { cause: error });
}
