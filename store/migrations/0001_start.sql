-- Every key begins with the project. Instants are timestamptz (microseconds). What is immutable has no updated_at.

CREATE TABLE projects (
  name text PRIMARY KEY,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL
);

-- Resources: each change is an immutable revision; `active` moves between them.
CREATE TABLE revisions (
  project text NOT NULL REFERENCES projects,
  kind text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL CHECK (revision > 0),
  hash text NOT NULL,
  body jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, kind, name, revision),
  UNIQUE (project, kind, name, hash)
);
CREATE TABLE resources (
  project text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  active int NOT NULL,
  generation bigint NOT NULL DEFAULT 1,
  description text,
  owner text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, kind, name),
  FOREIGN KEY (project, kind, name, active) REFERENCES revisions
);

-- Tables of the lake: feature views, datasets and predictions. A snapshot is a numbered state of one.
CREATE TABLE lake_tables (
  project text NOT NULL REFERENCES projects,
  schema text NOT NULL CHECK (schema IN ('features', 'datasets', 'inference')),
  name text NOT NULL,
  revision int NOT NULL,
  columns jsonb NOT NULL,
  snapshot bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, schema, name, revision)
);
-- The ledger: one row a committed window. The unique key makes a second commit on the same predecessor impossible.
CREATE TABLE commits (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL,
  window_start timestamptz NOT NULL,
  window_end timestamptz NOT NULL,
  predecessor bigint REFERENCES commits,
  snapshot bigint NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  row_hash text NOT NULL,
  source_fingerprint text NOT NULL,
  duration_ms double precision NOT NULL,
  workflow_id text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  committed_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  FOREIGN KEY (project, schema, name, revision) REFERENCES lake_tables,
  UNIQUE NULLS NOT DISTINCT (project, schema, name, revision, window_start, predecessor),
  CHECK (window_start < window_end)
);
CREATE TABLE window_heads (
  project text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL,
  window_start timestamptz NOT NULL,
  window_end timestamptz NOT NULL,
  commit_id bigint NOT NULL REFERENCES commits,
  -- The state of the source's files at which the head was last found current: equal means there is nothing to look at.
  source_version text NOT NULL,
  PRIMARY KEY (project, schema, name, revision, window_start)
);
CREATE TABLE files (
  key text PRIMARY KEY,
  commit_id bigint NOT NULL REFERENCES commits,
  project text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL,
  window_start timestamptz NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  sha256 text NOT NULL,
  begin_snapshot bigint NOT NULL,
  end_snapshot bigint
);
CREATE INDEX files_of_table ON files (project, schema, name, revision, begin_snapshot);

-- Training sets, runs, evaluations.
CREATE TABLE training_sets (
  project text NOT NULL REFERENCES projects,
  name text NOT NULL,
  model text NOT NULL,
  model_revision int NOT NULL,
  as_of timestamptz NOT NULL,
  row_hash text NOT NULL,
  rows bigint NOT NULL,
  manifest jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, name)
);
CREATE TABLE runs (
  project text NOT NULL REFERENCES projects,
  id text NOT NULL CHECK (id ~ '^[0-9a-f]{32}$'),
  model text NOT NULL,
  model_revision int NOT NULL,
  as_of timestamptz NOT NULL,
  trigger jsonb NOT NULL,
  status text NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'cancelled')),
  -- Only the attempt that holds the newest fence may write the run's result.
  fence int NOT NULL DEFAULT 0,
  training_set text,
  trainer jsonb,
  progress jsonb,
  metrics jsonb,
  model_key text,
  model_sha256 text,
  signature jsonb,
  golden jsonb,
  log_key text,
  error jsonb,
  workflow_id text NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  duration_ms double precision,
  principal text NOT NULL,
  PRIMARY KEY (project, id),
  FOREIGN KEY (project, training_set) REFERENCES training_sets
);
CREATE INDEX runs_by_model ON runs (project, model, as_of);
CREATE TABLE evaluations (
  project text NOT NULL,
  run_id text NOT NULL,
  champion int,
  candidate_metrics jsonb NOT NULL,
  champion_metrics jsonb,
  verdict text NOT NULL CHECK (verdict IN ('promote', 'reject', 'inconclusive')),
  reasons jsonb NOT NULL,
  inputs_digest text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, run_id),
  FOREIGN KEY (project, run_id) REFERENCES runs
);

-- Registry.
CREATE TABLE versions (
  project text NOT NULL,
  model text NOT NULL,
  version int NOT NULL CHECK (version > 0),
  run_id text NOT NULL,
  digest text NOT NULL,
  model_key text NOT NULL,
  signature jsonb NOT NULL,
  golden jsonb NOT NULL,
  lineage jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, model, version),
  UNIQUE (project, run_id),
  FOREIGN KEY (project, run_id) REFERENCES runs
);
CREATE TABLE aliases (
  project text NOT NULL,
  model text NOT NULL,
  alias text NOT NULL,
  version int NOT NULL,
  generation bigint NOT NULL,
  data_instant timestamptz NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, model, alias),
  FOREIGN KEY (project, model, version) REFERENCES versions
);
CREATE TABLE alias_history (
  project text NOT NULL,
  model text NOT NULL,
  alias text NOT NULL,
  generation bigint NOT NULL,
  version int NOT NULL,
  data_instant timestamptz NOT NULL,
  reason text NOT NULL,
  workflow_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, model, alias, generation)
);

-- Deployment: what an endpoint serves, and the durable change of it.
CREATE TABLE endpoint_traffic (
  project text NOT NULL,
  endpoint text NOT NULL,
  model text NOT NULL,
  version int NOT NULL,
  generation bigint NOT NULL,
  data_instant timestamptz NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, endpoint),
  FOREIGN KEY (project, model, version) REFERENCES versions
);
CREATE TABLE rollouts (
  project text NOT NULL,
  id text NOT NULL,
  endpoint text NOT NULL,
  model text NOT NULL,
  version int NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'done', 'failed', 'cancelled')),
  reason text,
  -- The endpoint's generation that this rollout will make, announced to the instances.
  generation bigint NOT NULL,
  data_instant timestamptz NOT NULL,
  workflow_id text NOT NULL,
  opened_at timestamptz NOT NULL DEFAULT now(),
  closed_at timestamptz,
  principal text NOT NULL,
  PRIMARY KEY (project, id),
  FOREIGN KEY (project, model, version) REFERENCES versions
);
CREATE UNIQUE INDEX one_open_rollout ON rollouts (project, endpoint) WHERE status = 'open';
CREATE TABLE inference_instances (
  instance text PRIMARY KEY,
  url text NOT NULL,
  lease_until timestamptz NOT NULL,
  started_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE instance_versions (
  instance text NOT NULL REFERENCES inference_instances ON DELETE CASCADE,
  project text NOT NULL,
  endpoint text NOT NULL,
  version int NOT NULL,
  generation bigint NOT NULL,
  state text NOT NULL CHECK (state IN ('ready', 'failed')),
  reason text,
  reported_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (instance, project, endpoint, version)
);
-- What was asked and answered online; batch predictions are windows of the lake's schema `inference`.
CREATE TABLE inference_log (
  project text NOT NULL,
  endpoint text NOT NULL,
  request_id text NOT NULL,
  row_index int NOT NULL,
  version int NOT NULL,
  event_time timestamptz NOT NULL,
  logged_at timestamptz NOT NULL,
  inputs jsonb NOT NULL,
  output double precision NOT NULL,
  key jsonb,
  PRIMARY KEY (project, endpoint, request_id, version, row_index, logged_at)
);
CREATE INDEX inference_log_by_time ON inference_log (project, endpoint, event_time);
-- The truth that arrives later, by the row's key: each upload holds from its known-at until a newer one's.
CREATE TABLE labels (
  project text NOT NULL,
  model text NOT NULL,
  key jsonb NOT NULL,
  label boolean NOT NULL,
  known_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, model, key, known_at)
);

-- Monitoring.
CREATE TABLE ticks (
  project text NOT NULL,
  monitor text NOT NULL,
  as_of timestamptz NOT NULL,
  window_start timestamptz NOT NULL,
  window_end timestamptz NOT NULL,
  version int NOT NULL,
  summary jsonb NOT NULL,
  workflow_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, monitor, as_of)
);
-- What a version's inputs and predictions looked like when it was trained: what drift is measured against.
CREATE TABLE reference_profiles (
  project text NOT NULL,
  model text NOT NULL,
  version int NOT NULL,
  profiles jsonb NOT NULL,
  PRIMARY KEY (project, model, version),
  FOREIGN KEY (project, model, version) REFERENCES versions
);
CREATE TABLE findings (
  project text NOT NULL,
  monitor text NOT NULL,
  as_of timestamptz NOT NULL,
  window_start timestamptz NOT NULL,
  window_end timestamptz NOT NULL,
  version int NOT NULL,
  test text NOT NULL,
  subject text NOT NULL,
  value double precision,
  threshold double precision,
  breached boolean NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (project, monitor, window_start, version, test, subject)
);
CREATE INDEX findings_by_tick ON findings (project, monitor, as_of);
CREATE TABLE alerts (
  project text NOT NULL,
  id text NOT NULL,
  monitor text NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'resolved')),
  reasons jsonb NOT NULL,
  breaches jsonb NOT NULL,
  opened_as_of timestamptz NOT NULL,
  resolved_as_of timestamptz,
  resolution text,
  remedy jsonb NOT NULL DEFAULT '[]',
  workflow_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, id)
);
CREATE UNIQUE INDEX one_open_alert ON alerts (project, monitor) WHERE status = 'open';

-- What must happen because of a commit, what happened, and what was asked twice.
CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  topic text NOT NULL,
  payload jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  done_at timestamptz
);
CREATE INDEX outbox_open ON outbox (id) WHERE done_at IS NULL;
CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  principal text NOT NULL,
  action text NOT NULL,
  subject text NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE lineage (
  project text NOT NULL,
  from_kind text NOT NULL,
  from_id text NOT NULL,
  to_kind text NOT NULL,
  to_id text NOT NULL,
  PRIMARY KEY (project, from_kind, from_id, to_kind, to_id)
);
CREATE INDEX lineage_backward ON lineage (project, to_kind, to_id);
CREATE TABLE idempotency_keys (
  project text NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  -- Of the request that works under the key, and when it last said that it lives.
  claim uuid NOT NULL DEFAULT gen_random_uuid(),
  claimed_at timestamptz NOT NULL DEFAULT now(),
  status int,
  response jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, key)
);
CREATE TABLE secrets (
  name text PRIMARY KEY,
  value bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
