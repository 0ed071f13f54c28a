import { CancellationScope, condition, proxyActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import { ApplicationFailure } from '@temporalio/common';
import type { Activities } from '../activities/index.js';
import type { Asked, ControlAction, ControlState } from '../domain/control.js';
import type { Instant, ProjectName } from '../domain/ids.js';
import { cancelUpdate, pauseUpdate, resumeUpdate } from './messages.js';
import type { Reporter } from './progress.js';
import { steps } from './steps.js';

const safe = proxyActivities<Activities>(steps.repeatable);

export interface Control {
  /** Given to the next run of the workflow: who paused it stays known, and it stays paused. */
  readonly state: () => ControlState;
  /** For how long this run was paused; what is measured by the clock leaves it out. */
  readonly pausedMs: () => number;
  /** Called before each batch: returns at once, or when somebody resumes. What is under way ends meanwhile. */
  proceed(): Promise<void>;
}

const untouched: ControlState = { state: 'running', by: null, reason: null, since: null };

/** Lets operators pause, resume and cancel a workflow that works in batches; called once, at its start. */
export function controlled(project: ProjectName, reporter: Reporter, before: ControlState = untouched): Control {
  let state = before;
  let pausedMs = 0;
  const move = (action: ControlAction, next: ControlState['state']) => async (asked: Asked) => {
    const since = new Date().toISOString().replace('Z', '000Z') as Instant;
    if (state.state === 'paused' && state.since) pausedMs += Date.parse(since) - Date.parse(state.since);
    state = { state: next, by: asked.principal, reason: asked.reason, since };
    reporter.control(state);
    const { workflowId } = workflowInfo();
    // A cancellation comes back as Temporal's own, so that the workflow ends as cancelled; it must not stop its own record.
    await CancellationScope.nonCancellable(() => safe.recordControl({ project, workflowId, action, ...asked }));
    return state;
  };
  const refuse = (message: string) => {
    throw ApplicationFailure.create({ type: 'control_refused', message, nonRetryable: true });
  };
  const validator = (action: ControlAction) => (asked: Asked) => {
    if (typeof asked?.principal !== 'string' || typeof asked.reason !== 'string' || asked.principal === '')
      refuse('The argument is {"principal": "who", "reason": "why"}.');
    if (state.state === 'cancelling') refuse('The workflow is being cancelled.');
    if (action === 'pause' && state.state === 'paused') refuse('The workflow is paused already.');
    if (action === 'resume' && state.state !== 'paused') refuse('The workflow is not paused.');
  };
  const handle = (action: ControlAction, description: string) => ({ validator: validator(action), description });
  setHandler(pauseUpdate, move('pause', 'paused'), handle('pause', 'Lets running batches end and begins no other.'));
  setHandler(resumeUpdate, move('resume', 'running'), handle('resume', 'Goes on after a pause.'));
  setHandler(cancelUpdate, move('cancel', 'cancelling'), handle('cancel', 'Ends it; what was committed stays.'));
  if (state.by !== null) reporter.control(state);
  return {
    state: () => state,
    pausedMs: () => pausedMs,
    async proceed() {
      if (state.state === 'running') return;
      await condition(() => state.state === 'running');
    },
  };
}
