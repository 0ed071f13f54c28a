import { isDomainError } from '../../domain/errors.js';
import { requireProject } from './access.js';
import { decoded, only } from './actions.js';
import { compressionNamed, type Call } from './call.js';
import { projectNamed, schemaNamed } from './descriptor.js';
import type { ActionTaker } from './feature.js';
import type { FlightMessages, OptionError, SessionOptionValue } from './protocol.js';
import { withoutSession, withSession, type Sessions } from './sessions.js';

/** What is wrong with an option; null: nothing. */
export type OptionCheck = (name: string, value: SessionOptionValue, call: Call) => OptionError | null;

/** By name, what a text must be; throws when it is not. */
const options: Readonly<Record<string, (text: string, call: Call) => void>> = {
  catalog: (text, call) => requireProject(call, projectNamed(text)),
  schema: schemaNamed,
  compression: compressionNamed,
};

/** What JDBC's `catalog=` and ADBC's current catalog and schema set; every value is a text. */
export const checkOption: OptionCheck = (name, { option_value, string_value }, call) => {
  const check = Object.hasOwn(options, name) ? options[name] : undefined;
  if (!check) return 'INVALID_NAME';
  if (option_value === undefined) return null;
  if (option_value !== 'string_value' || string_value === undefined) return 'INVALID_VALUE';
  try {
    check(string_value, call);
    return null;
  } catch (error) {
    if (isDomainError(error)) return 'INVALID_VALUE';
    throw error;
  }
};

/** SetSessionOptions, GetSessionOptions and CloseSession. */
export function sessionActions(sessions: Sessions, messages: FlightMessages, check = checkOption): ActionTaker[] {
  return [
    {
      type: 'SetSessionOptions',
      description:
        'Set catalog, schema or compression for the calls with the cookie that is answered; no value removes.',
      run: only((body, call) => {
        const { session_options } = decoded(messages.SetSessionOptionsRequest, body);
        const session = call.session ?? sessions.open(call.principal);
        if (!call.session) withSession(call.headers, session);
        const errors: Record<string, { value: OptionError }> = {};
        for (const [name, value] of Object.entries(session_options)) {
          const error = check(name, value, call);
          if (error) errors[name] = { value: error };
          else if (value.option_value === undefined) session.options.delete(name);
          else session.options.set(name, value);
        }
        return messages.SetSessionOptionsResult.serialize({ errors });
      }),
    },
    {
      type: 'GetSessionOptions',
      description: 'The options of the session; none without one.',
      run: only((body, { session }) => {
        decoded(messages.GetSessionOptionsRequest, body);
        return messages.GetSessionOptionsResult.serialize({
          session_options: Object.fromEntries(session?.options ?? []),
        });
      }),
    },
    {
      type: 'CloseSession',
      description: 'Forget the session.',
      run: only((body, call) => {
        decoded(messages.CloseSessionRequest, body);
        if (call.session) sessions.close(call.session.id);
        withoutSession(call.headers);
        return messages.CloseSessionResult.serialize({ status: 'CLOSED' });
      }),
    },
  ];
}
