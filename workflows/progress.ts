import { setCurrentDetails, setHandler, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import { defineSearchAttributeKey } from '@temporalio/common';
import type { ControlState } from '../domain/control.js';
import type { Pace, StageProgress } from '../domain/features.js';
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
  stage(stage: string, detail: string, done?: number, total?: number, pace?: Pace): void;
  verdict(verdict: string): void;
  /** Shows that somebody paused or resumed the work, or is cancelling it. */
  control(state: ControlState): void;
}

function paceText({ rows, rowsPerSecond, remainingSeconds }: Pace): string {
  const left = remainingSeconds === null ? '' : `, about ${remainingSeconds} s left`;
  return `; ${rows} rows, ${rowsPerSecond} rows/s${left}`;
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
  const show = () => {
    const { control } = progress;
    const held = control
      ? [`> **${control.state}** by ${control.by} since ${control.since}: ${control.reason}`, '']
      : [];
    setCurrentDetails([`### ${title}`, ...held, ...lines].join('\n'));
  };
  return {
    stage(stage, detail, done = 0, total = 0, pace) {
      const { stage: before, control } = progress;
      if (stage !== before) {
        if (control?.state !== 'paused') upsertSearchAttributes([{ key: keyword.stage, value: stage }]);
        lines.push('');
      }
      progress = { stage, done, total, detail, ...(pace ? { pace } : {}), ...(control ? { control } : {}) };
      lines[lines.length - 1] =
        `- **${stage}** ${total > 0 ? `${done}/${total} ` : ''}${detail}${pace ? paceText(pace) : ''}`;
      show();
    },
    control(control) {
      progress = { ...progress, control };
      upsertSearchAttributes([
        { key: keyword.stage, value: control.state === 'running' ? progress.stage : control.state },
      ]);
      show();
    },
    verdict: (verdict) => upsertSearchAttributes([{ key: keyword.verdict, value: verdict }]),
  };
}
