-- Snapshots are found by the time of their commit, and by the files of a commit.
CREATE INDEX commits_by_snapshot ON commits (project, schema, name, revision, snapshot);
CREATE INDEX files_by_commit ON files (commit_id);

-- Garbage is marked first and deleted afterwards: a crash in between is repaired by the next collection.
ALTER TABLE files ADD COLUMN removed_at timestamptz, ADD COLUMN removed_by text, ADD COLUMN deleted_at timestamptz;
CREATE INDEX files_to_delete ON files (project) WHERE removed_at IS NOT NULL AND deleted_at IS NULL;

-- One file that holds, in their order, the rows of all files of the windows from first_start to last_start. It stands for them
-- in the snapshots [begin_snapshot, end_snapshot); a commit to one of these windows ends it.
CREATE TABLE compactions (
  key text PRIMARY KEY,
  project text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL,
  first_start timestamptz NOT NULL,
  last_start timestamptz NOT NULL,
  members int NOT NULL,
  rows bigint NOT NULL,
  bytes bigint NOT NULL,
  sha256 text NOT NULL,
  row_hash text NOT NULL,
  begin_snapshot bigint NOT NULL,
  end_snapshot bigint,
  workflow_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz,
  removed_by text,
  deleted_at timestamptz,
  FOREIGN KEY (project, schema, name, revision) REFERENCES lake_tables
);
CREATE INDEX compactions_of_table ON compactions (project, schema, name, revision, begin_snapshot) WHERE removed_at IS NULL;

-- Whoever reads a snapshot, or was promised it, holds a lease until it expires. The foreign key is what makes a lease and a
-- collection wait for each other: both lock the table's row.
CREATE TABLE leases (
  project text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL,
  snapshot bigint NOT NULL,
  holder text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (project, schema, name, revision, snapshot, holder),
  FOREIGN KEY (project, schema, name, revision) REFERENCES lake_tables
);
CREATE INDEX leases_by_expiry ON leases (expires_at);

-- The key is kept only as long as the erasure needs it: its columns' values, in their order, as texts that DuckDB reads.
CREATE TABLE erasures (
  project text NOT NULL REFERENCES projects,
  id text NOT NULL,
  entity text NOT NULL,
  key jsonb,
  key_digest text NOT NULL,
  reason text NOT NULL,
  status text NOT NULL CHECK (status IN ('open', 'done')),
  workflow_id text NOT NULL,
  certificate jsonb,
  opened_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  principal text NOT NULL,
  PRIMARY KEY (project, id)
);
CREATE UNIQUE INDEX one_open_erasure ON erasures (project, entity, key_digest) WHERE status = 'open';
-- What was erased must not come back: a keyed digest recognises the key without being it.
CREATE TABLE tombstones (
  id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  project text NOT NULL,
  entity text NOT NULL,
  digest text NOT NULL,
  erasure text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (project, entity, digest)
);
-- Each file that an erasure wrote anew, and what its commit was before and is since.
CREATE TABLE erased_files (
  project text NOT NULL,
  erasure text NOT NULL,
  schema text NOT NULL,
  name text NOT NULL,
  revision int NOT NULL,
  commit_id bigint NOT NULL REFERENCES commits,
  old_key text NOT NULL,
  new_key text NOT NULL,
  old_sha256 text NOT NULL,
  new_sha256 text NOT NULL,
  old_rows bigint NOT NULL,
  new_rows bigint NOT NULL,
  old_row_hash text NOT NULL,
  new_row_hash text NOT NULL,
  erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  deleted_at timestamptz,
  PRIMARY KEY (project, erasure, old_key),
  FOREIGN KEY (project, erasure) REFERENCES erasures
);
-- Rows of PostgreSQL that an erasure deleted, by what they were.
CREATE TABLE erased_rows (
  project text NOT NULL,
  erasure text NOT NULL,
  what text NOT NULL,
  rows bigint NOT NULL,
  PRIMARY KEY (project, erasure, what),
  FOREIGN KEY (project, erasure) REFERENCES erasures
);
CREATE TABLE erased_training_sets (
  project text NOT NULL,
  training_set text NOT NULL,
  erasure text NOT NULL,
  -- Rows of the set itself; 0 when only a snapshot that it pins lost rows.
  rows bigint NOT NULL,
  snapshots jsonb NOT NULL DEFAULT '[]',
  PRIMARY KEY (project, training_set, erasure),
  FOREIGN KEY (project, erasure) REFERENCES erasures
);
