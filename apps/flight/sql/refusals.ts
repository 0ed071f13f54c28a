import { DomainError } from '../../../domain/errors.js';
import type { SqlMessages } from './messages.js';

/** Commands that would change something, or that we do not speak, and what their senders hear. */
type Refused =
  | 'CommandStatementUpdate'
  | 'CommandPreparedStatementUpdate'
  | 'CommandStatementIngest'
  | 'CommandStatementSubstraitPlan';

const noUpdate = 'Tables can be read here, by SELECT, and nothing can be changed; what clients execute as an update, or many times, is refused.'; // prettier-ignore
const refusals: Readonly<Record<Refused, () => DomainError>> = {
  CommandStatementUpdate: () => new DomainError('statement_refused', noUpdate),
  CommandPreparedStatementUpdate: () => new DomainError('statement_refused', noUpdate),
  CommandStatementIngest: () =>
    new DomainError('statement_refused', 'Rows cannot be ingested into tables; feature views take them by push.'),
  CommandStatementSubstraitPlan: () =>
    new DomainError('not_implemented', 'Substrait plans are not read here; send SQL.'),
};

/** Null: it is not refused. */
export const refusal = (name: keyof SqlMessages): DomainError | null =>
  name in refusals ? refusals[name as Refused]() : null;

export const noTransactions = (): DomainError =>
  new DomainError('not_implemented', 'There are no transactions: nothing can be changed here, and every statement reads one moment of its tables.'); // prettier-ignore

export function requireNoTransaction({ transaction_id: id }: { readonly transaction_id?: Buffer }): void {
  if (id !== undefined && id.length > 0) throw noTransactions();
}

/** Actions that answer with a refusal, and are not listed. */
export const refusedActions: Readonly<Record<string, () => DomainError>> = {
  BeginTransaction: noTransactions,
  EndTransaction: noTransactions,
  BeginSavepoint: noTransactions,
  EndSavepoint: noTransactions,
  CreatePreparedSubstraitPlan: refusals.CommandStatementSubstraitPlan,
};
