import { errorTable, type ErrorRow } from '../../domain/errors.js';

/** docs/errors.md, from the table that errors are thrown by. */
export function generate(): string {
  const rows = Object.entries(errorTable).map(([code, row]: [string, ErrorRow]) => {
    const { http, grpc, retry, title, help } = row;
    return `| \`${code}\` | ${http} | ${grpc} | ${retry ? 'yes' : 'no'} | ${title} | ${help} |`;
  });
  return [
    '# Errors',
    '',
    'Every error that a person or a program can meet. The code is stable; the sentence that comes with it says what is wrong in the case at',
    'hand. "Again" says whether the same call may succeed later without anybody changing anything; Temporal retries just these.',
    'This page is made from `domain/errors.ts` by `npm run generate`.',
    '',
    '- **HTTP**: `application/problem+json` (RFC 9457) with `type` (`urn:eider:error:CODE`), `title`, `status`, `detail`, `code`, `help`, `retry`,',
    '  `data` and `requestId`. Inference answers `{ "error", "code", "help" }` with the same status.',
    '- **gRPC** (Flight): the status, the sentences as its details, the code in the trailing metadata `eider-code`.',
    '- **Temporal**: an `ApplicationFailure` whose type is the code and whose details are the data.',
    '- **Command line**: one line on stderr with code and help, exit code 1; with `--json` the problem on stdout.',
    '',
    '| Code | HTTP | gRPC | Again | What happened | What to do |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
    '',
  ].join('\n');
}
