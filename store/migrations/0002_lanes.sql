-- A window has two lanes: what its sources give, and what was pushed. Each has a head of its own; a snapshot holds both.
ALTER TABLE commits ADD COLUMN lane text NOT NULL DEFAULT 'sources' CHECK (lane IN ('sources', 'pushes'));
ALTER TABLE window_heads ADD COLUMN lane text NOT NULL DEFAULT 'sources' CHECK (lane IN ('sources', 'pushes'));
ALTER TABLE files ADD COLUMN lane text NOT NULL DEFAULT 'sources' CHECK (lane IN ('sources', 'pushes'));
ALTER TABLE commits DROP CONSTRAINT commits_project_schema_name_revision_window_start_predecess_key;
ALTER TABLE commits ADD CONSTRAINT one_successor UNIQUE NULLS NOT DISTINCT (project, schema, name, revision, lane, window_start, predecessor);
ALTER TABLE window_heads DROP CONSTRAINT window_heads_pkey, ADD PRIMARY KEY (project, schema, name, revision, lane, window_start);

-- Rows that an expectation refused are a table of their own beside the view's.
ALTER TABLE lake_tables DROP CONSTRAINT lake_tables_schema_check;
ALTER TABLE lake_tables ADD CONSTRAINT known_schema CHECK (schema IN ('features', 'datasets', 'inference', 'quarantine'));
