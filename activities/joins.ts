import type { ProjectName } from '../domain/ids.js';
import type { Session } from '../lake/duckdb.js';
import * as lake from '../lake/joins.js';
import { joinCatalogue } from '../store/joins.js';
import type { Dependencies } from './dependencies.js';
import { stagedView } from './staged-rows.js';

export type JoinDependencies = Pick<Dependencies, 'db' | 'lake' | 'scratch'>;

/** The views behind a selection, readable in this session: what was pushed beside their snapshots is copied into it. */
export const resolveJoins = (
  dependencies: JoinDependencies,
  session: Session,
  project: ProjectName,
  selection: lake.Selection,
  options: lake.JoinOptions,
): Promise<lake.ResolvedJoins> =>
  lake.resolveJoins(
    {
      catalogue: joinCatalogue(dependencies.db),
      stage: (table, shape, upTo) => stagedView(dependencies, session, table, shape, upTo),
    },
    project,
    selection,
    options,
  );
