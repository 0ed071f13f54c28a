-- A training set may be nobody's: built of its own declaration, not of a Model's.
ALTER TABLE training_sets ALTER COLUMN model DROP NOT NULL;
ALTER TABLE training_sets ALTER COLUMN model_revision DROP NOT NULL;
ALTER TABLE training_sets ALTER COLUMN as_of DROP NOT NULL;
-- The training set whose rows it has, with other labels.
ALTER TABLE training_sets ADD COLUMN relabels text;
ALTER TABLE training_sets ADD FOREIGN KEY (project, relabels) REFERENCES training_sets;
-- Digests of the parts of its file, so that what was damaged can be named; long, and wanted only then.
ALTER TABLE training_sets ADD COLUMN parts jsonb;

-- Every time that somebody looked whether a training set still is what it was.
CREATE TABLE training_set_checks (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project text NOT NULL,
  training_set text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('verify', 'recreate')),
  verdict text NOT NULL,
  result jsonb NOT NULL,
  workflow_id text NOT NULL,
  -- One a run of the workflow, however often its step is repeated.
  run_id text NOT NULL,
  checked_at timestamptz NOT NULL DEFAULT now(),
  principal text NOT NULL,
  UNIQUE (project, workflow_id, run_id),
  FOREIGN KEY (project, training_set) REFERENCES training_sets
);
CREATE INDEX training_set_checks_by_set ON training_set_checks (project, training_set, id);

-- Labels are of a Model or of a training set, of any plain type, and never change: a training set pins the last that it saw.
ALTER TABLE labels DROP CONSTRAINT labels_pkey;
ALTER TABLE labels ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE labels ALTER COLUMN model DROP NOT NULL;
ALTER TABLE labels ADD COLUMN dataset text;
ALTER TABLE labels ADD CONSTRAINT of_one CHECK (num_nonnulls(model, dataset) = 1);
ALTER TABLE labels ALTER COLUMN label TYPE jsonb USING to_jsonb(label);
CREATE INDEX labels_by_model ON labels (project, model, key, known_at DESC, id DESC) WHERE model IS NOT NULL;
CREATE INDEX labels_by_dataset ON labels (project, dataset, key, known_at DESC, id DESC) WHERE dataset IS NOT NULL;
