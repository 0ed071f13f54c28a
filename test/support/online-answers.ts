import { OnlineReader, type OnlineQuestion } from '../../apps/api/online-reader.js';
import { answerBytes } from '../../apps/api/online-text.js';
import type { ProjectName } from '../../domain/ids.js';
import type { OnlineAnswer } from '../../domain/online.js';
import type { Database } from '../../store/db.js';

/** Reads the online store as who asks the API for it: what counts is the JSON of the answer. */
export class OnlineAnswers {
  private readonly reader: OnlineReader;

  constructor(db: Database) {
    this.reader = new OnlineReader(db);
  }

  async read(project: ProjectName, question: OnlineQuestion): Promise<OnlineAnswer> {
    return JSON.parse(answerBytes(await this.reader.read(project, question)).toString()) as OnlineAnswer;
  }
}
