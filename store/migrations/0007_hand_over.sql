-- What was pushed to one revision of a view is handed over to the next that is published, as far as that can read it.
CREATE TABLE pushed_revisions (
  project text NOT NULL REFERENCES projects,
  view text NOT NULL,
  revision int NOT NULL,
  -- Of the last row that was pushed to this revision itself; 0: none was.
  last_sequence bigint NOT NULL DEFAULT 0,
  -- It has everything that it can read of what was pushed to other revisions up to this sequence number.
  taken_over bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (project, view, revision)
);
INSERT INTO pushed_revisions (project, view, revision, last_sequence)
  SELECT project, view, revision, max(sequence) FROM (
    SELECT project, view, revision, sequence FROM pushed_rows
    -- Of rows that were collected since they had been flushed.
    UNION ALL SELECT project, name, revision, coalesce((details ->> 'sequence')::bigint, 1) FROM commits WHERE schema = 'features' AND lane = 'pushes'
  ) AS pushed GROUP BY project, view, revision;

-- The number under which a row that was taken over was pushed to another revision. A revision has a row of a push once.
ALTER TABLE pushed_rows ADD COLUMN origin bigint;
ALTER TABLE pushed_rows DROP CONSTRAINT pushed_rows_project_view_push_id_row_index_key;
ALTER TABLE pushed_rows ADD CONSTRAINT once_a_revision UNIQUE (project, view, push_id, row_index, revision);

-- Of each other revision: its snapshot whose files were taken over, how many rows, and what was left and why.
ALTER TABLE online_generations ADD COLUMN handed_over jsonb NOT NULL DEFAULT '[]';
ALTER TABLE online_history ADD COLUMN handed_over jsonb NOT NULL DEFAULT '[]';

-- An HMAC from here on; null: whatever comes under the id is a repeat. Digests without a key are forgotten.
ALTER TABLE pushes ALTER COLUMN digest DROP NOT NULL;
UPDATE pushes SET digest = NULL;
CREATE INDEX pushes_by_age ON pushes (pushed_at);
-- So are fingerprints of requests.
ALTER TABLE idempotency_keys ALTER COLUMN fingerprint DROP NOT NULL;
UPDATE idempotency_keys SET fingerprint = NULL;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
