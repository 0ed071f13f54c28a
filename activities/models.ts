import type { ProjectName } from '../domain/ids.js';
import type { Revision } from '../domain/resources.js';
import type { Queries } from '../store/db.js';
import type { ModelVersion } from '../store/models.js';
import { getResource } from '../store/resources.js';
import { getRun } from '../store/training.js';

/** The revision of the Model that the version was trained on: its spine has the columns that the version asks for. */
export async function modelOf(db: Queries, project: ProjectName, version: ModelVersion): Promise<Revision<'Model'>> {
  const { revision } = await getRun(db, project, version.run);
  return getResource(db, project, 'Model', version.model, revision);
}
