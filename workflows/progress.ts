import { setCurrentDetails, setHandler, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { StageProgress } from '../domain/features.js';
import { searchAttributes } from '../domain/ids.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { progressQuery } from './messages.js';

const keyword = {
  project: defineSearchAttributeKey(searchAttributes.project, 'KEYWORD'),
  resource: defineSearchAttributeKey(searchAttributes.resource, 'KEYWORD'),
  stage: defineSearchAttributeKey(searchAttributes.stage, 'KEYWORD'),
  verdict: defineSearchAttributeKey(searchAttributes.verdict, 'KEYWORD'),
  chain: defineSearchAttributeKey(searchAttributes.chain, 'KEYWORD'),
};
const asOfKey = defineSearchAttributeKey(searchAttributes.asOf, 'DATETIME');

export interface Reporter {
  /** Moves to a stage: query, search attribute and the Markdown card of the Temporal UI say so. */
  stage(stage: string, detail: string, done?: number, total?: number): void;
  verdict(verdict: string): void;
}

/** Makes a workflow tell operators where it is; called once, at its start. */
export function report(title: string, about: { project: ProjectName; resource: string; asOf?: Instant }): Reporter {
  let progress: StageProgress = { stage: 'starting', done: 0, total: 0, detail: '' };
  const lines: string[] = [];
  setHandler(progressQuery, () => progress, { description: 'Stage, steps done and in total, and a sentence.' });
  upsertSearchAttributes([
    { key: keyword.project, value: about.project },
    { key: keyword.resource, value: about.resource },
    // The root of the tree of workflows is the chain that an alert, a schedule or a person began.
    { key: keyword.chain, value: workflowInfo().root?.workflowId ?? workflowInfo().workflowId },
    ...(about.asOf ? [{ key: asOfKey, value: new Date(about.asOf) }] : []),
  ]);
  return {
    stage(stage, detail, done = 0, total = 0) {
      if (stage !== progress.stage) {
        upsertSearchAttributes([{ key: keyword.stage, value: stage }]);
        lines.push('');
      }
      progress = { stage, done, total, detail };
      lines[lines.length - 1] = `- **${stage}** ${total > 0 ? `${done}/${total} ` : ''}${detail}`;
      setCurrentDetails([`### ${title}`, ...lines].join('\n'));
    },
    verdict: (verdict) => upsertSearchAttributes([{ key: keyword.verdict, value: verdict }]),
  };
}
