-- A view's revision covers what it refers to: which revisions those were, by kind/name.
ALTER TABLE revisions ADD COLUMN pins jsonb;
-- When the revision last became the active one: names resolve to the last that was and has data.
ALTER TABLE revisions ADD COLUMN activated_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- When the table first held all that the revision which answered until then does: from then on it answers to the plain name.
ALTER TABLE lake_tables ADD COLUMN complete_at timestamptz;

-- What the expectations said when a window was last computed, whether it was committed or refused.
CREATE TABLE expectation_results (
  project text NOT NULL REFERENCES projects,
  view text NOT NULL,
  revision int NOT NULL,
  window_start timestamptz NOT NULL,
  -- Its place in the view's list.
  position int NOT NULL,
  window_end timestamptz NOT NULL,
  expectation jsonb NOT NULL,
  severity text NOT NULL CHECK (severity IN ('block', 'warn', 'quarantine')),
  passed boolean NOT NULL,
  rows bigint NOT NULL,
  -- Rows that break it; null for a test of the window as a whole.
  failed bigint,
  -- What a test of the window as a whole found.
  value double precision,
  samples jsonb NOT NULL DEFAULT '[]',
  -- Null: the window was refused.
  commit_id bigint REFERENCES commits ON DELETE SET NULL,
  workflow_id text NOT NULL,
  judged_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, view, revision, window_start, position),
  CHECK (window_start < window_end)
);

-- What a commit's rows look like, in whole numbers that add up over commits.
CREATE TABLE window_statistics (
  commit_id bigint PRIMARY KEY REFERENCES commits ON DELETE CASCADE,
  statistics jsonb NOT NULL
);
