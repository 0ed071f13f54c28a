import { ChildWorkflowCancellationType, ParentClosePolicy, type ActivityOptions, type ChildWorkflowOptions } from '@temporalio/workflow'; // prettier-ignore

/** Retry policies, named by what repeating a step costs. An error that no repeat can mend says so itself and is not retried. */
export const steps = {
  /** Short, and harmless to repeat: a row is read, or one recorded under its business key. */
  repeatable: {
    startToCloseTimeout: '1 minute',
    retry: { initialInterval: '500 ms', maximumInterval: '10 s' },
  },
  /** Long, with a heartbeat: a repeat goes on from what was committed, or computes again what was not. */
  heartbeating: {
    // Longer than anything that a resource may declare: the heartbeat finds a dead step, the declared timeout a slow one.
    startToCloseTimeout: '8 days',
    heartbeatTimeout: '15 s',
    // `source_changed` needs a new plan, which only the workflow can make.
    retry: { initialInterval: '1 s', maximumInterval: '30 s', nonRetryableErrorTypes: ['source_changed'] },
  },
  /** Waits for others (live instances), so it is cheap to repeat and long to wait for. */
  waiting: {
    startToCloseTimeout: '8 days',
    heartbeatTimeout: '15 s',
    // The step has waited for as long as the endpoint's policy says: waiting again would never end.
    retry: { initialInterval: '1 s', maximumInterval: '5 s', nonRetryableErrorTypes: ['no_live_instance'] },
  },
} as const satisfies Record<string, ActivityOptions>;

/** Of a child that ends by its own rules: neither the end nor a cancellation of whoever started it reaches it. */
export const detached = {
  parentClosePolicy: ParentClosePolicy.ABANDON,
  cancellationType: ChildWorkflowCancellationType.ABANDON,
} as const satisfies ChildWorkflowOptions;
