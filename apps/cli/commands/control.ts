import type { Command } from 'commander';
import type { ControlAction, ControlState } from '../../../domain/control.js';
import { apiCommand, withSession, type Session } from '../api-command.js';

interface Controlled {
  readonly id: string;
  readonly status: string;
  readonly ui: string;
  readonly control: ControlState | null;
}
interface Why {
  readonly reason?: string;
}

const example = 'materialize/eider/origin_hour@r1/2001-01-01T00:00:00Z/2001-07-01T00:00:00Z';
const descriptions: Readonly<Record<ControlAction, string>> = {
  pause: 'let the running batches of a workflow end and begin no other',
  resume: 'go on with a workflow that was paused',
  cancel: 'ask a workflow to end in order; one that has ended is left as it is',
};

/** Commands that steer what is under way. */
export function registerControl(program: Command): void {
  for (const action of ['pause', 'resume', 'cancel'] as const)
    apiCommand(program, {
      usage: `${action} <workflow>`,
      description: descriptions[action],
      example: `eider ${action} ${example} --reason "the source is being mended"`,
    })
      .option('--reason <text>', 'why; kept with who, and shown beside the state')
      .action(withSession<Why>((session, { reason }, workflow = '') => control(session, action, workflow, reason)));
}

async function control(session: Session, action: ControlAction, workflow: string, reason?: string): Promise<void> {
  const row = await session.api.post<Controlled>(`/workflows/${encodeURIComponent(workflow)}/${action}`, { reason });
  session.answer(row, () => `${row.id} ${stateOf(row)}\n${row.ui}\n`);
}

function stateOf({ status, control: state }: Controlled): string {
  if (state !== null && state.state !== 'cancelling') return state.state === 'paused' ? 'is paused' : 'goes on';
  return status === 'running' ? 'is asked to end' : `has ended: ${status}`;
}
