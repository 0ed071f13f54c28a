-- The online store. Each generation of a view is a table of its own in this schema: g1, g2, …, by the generation's id.
CREATE SCHEMA online;

-- A publish writes a generation and flips the pointer to it. What its rows mean is kept with it: the declaration may move on.
CREATE TABLE online_generations (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL REFERENCES projects,
  view text NOT NULL,
  generation int NOT NULL,
  revision int NOT NULL,
  shape jsonb NOT NULL,
  -- Of the lake and of the pushed rows, when the load was planned; 0: nothing of it.
  snapshot bigint NOT NULL,
  sequence bigint NOT NULL,
  -- Rows that could be known by then were taken; null: it began empty, with a push.
  watermark timestamptz,
  status text NOT NULL CHECK (status IN ('building', 'loaded', 'live', 'retired', 'dropped')),
  rows bigint,
  row_hash text,
  -- The pointer's number when it was planned: it may only be flipped if nobody moved the pointer since.
  planned_on bigint NOT NULL,
  -- The execution that publishes: a repeat of its first step finds what that made.
  made_by text NOT NULL UNIQUE,
  workflow_id text NOT NULL,
  principal text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  loaded_at timestamptz,
  live_at timestamptz,
  retired_at timestamptz,
  UNIQUE (project, view, generation)
);

-- The pointer. Its row is locked by whatever changes what readers see: pushes of a view happen one after the other.
CREATE TABLE online_views (
  project text NOT NULL REFERENCES projects,
  view text NOT NULL,
  live bigint REFERENCES online_generations,
  previous bigint REFERENCES online_generations,
  -- Moves with every flip and roll-back: what is compared and set.
  number bigint NOT NULL DEFAULT 0,
  -- Of the last row that was pushed.
  sequence bigint NOT NULL DEFAULT 0,
  generations int NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, view)
);
CREATE TABLE online_history (
  project text NOT NULL,
  view text NOT NULL,
  number bigint NOT NULL,
  action text NOT NULL CHECK (action IN ('published', 'rolled back')),
  generation int NOT NULL,
  -- Rows that had been pushed meanwhile and were written again before the pointer moved.
  replayed bigint NOT NULL,
  reason text,
  workflow_id text,
  principal text NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, view, number)
);

-- A push is one call; its id makes it once.
CREATE TABLE pushes (
  project text NOT NULL REFERENCES projects,
  view text NOT NULL,
  id text NOT NULL,
  digest text NOT NULL,
  answer jsonb NOT NULL,
  pushed_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, view, id)
);
-- The staging table: joins read the rows that the snapshot they pinned does not hold yet, up to a sequence number.
CREATE TABLE pushed_rows (
  project text NOT NULL,
  view text NOT NULL,
  sequence bigint NOT NULL,
  revision int NOT NULL,
  push_id text NOT NULL,
  row_index int NOT NULL,
  target text NOT NULL CHECK (target IN ('online', 'offline', 'online_and_offline')),
  -- Canonical JSON of the key values, and of the features, in the order of the view.
  key text NOT NULL,
  event_time timestamptz NOT NULL,
  known_at timestamptz,
  features text NOT NULL,
  -- The first snapshot that holds it; null: it waits.
  flushed_snapshot bigint,
  pushed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, view, sequence),
  UNIQUE (project, view, push_id, row_index),
  FOREIGN KEY (project, view, push_id) REFERENCES pushes
);
CREATE INDEX pushed_rows_waiting ON pushed_rows (project, view, revision, sequence) WHERE flushed_snapshot IS NULL AND target <> 'online';
CREATE INDEX pushed_rows_by_key ON pushed_rows (project, view, key);
-- What every publish writes again: rows that no snapshot will ever hold, and rows that a watermark keeps out.
CREATE INDEX pushed_rows_online_only ON pushed_rows (project, view, revision, sequence) WHERE target = 'online';
CREATE INDEX pushed_rows_by_time ON pushed_rows (project, view, revision, greatest(event_time, coalesce(known_at, event_time)));

-- What a comparison of online and offline values found.
CREATE TABLE online_reports (
  project text NOT NULL REFERENCES projects,
  id text NOT NULL,
  view text NOT NULL,
  generation int NOT NULL,
  report jsonb NOT NULL,
  -- Each differing key with what was seen and what belongs there; null when they are too many to be mended one by one.
  mending jsonb,
  workflow_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  PRIMARY KEY (project, id)
);
CREATE INDEX online_reports_of_view ON online_reports (project, view, created_at);
