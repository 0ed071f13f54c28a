import { readFileSync } from 'node:fs';
import { isDomainError } from '../../../domain/errors.js';
import { openSession, type StatementSession } from './session.js';

const page = readFileSync(new URL('../../../docs/flight-sql.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/^```sql( refused)?\n([^]*?)^```/gm)].map(([, refused, sql]) => ({ sql: sql ?? '', refused: refused !== undefined })); // prettier-ignore

let session: StatementSession;

beforeAll(async () => {
  session = await openSession();
  const rides = (factor: number) =>
    `SELECT i AS id, i % 2 AS city, i * ${factor}.5 AS fare, TIMESTAMP '2026-01-01' + to_hours(i) AS ts FROM range(6::INTEGER) r(i)`;
  await session.lake.add('rides', [rides(1)]);
  await session.lake.add('rides', [rides(2)], { snapshot: 2 });
  await session.lake.add('train', ['SELECT i AS id, i % 2 AS label FROM range(3::INTEGER) r(i)'], {
    schema: 'datasets',
  });
});
afterAll(() => session?.close());

test('the page has examples of both sorts', () => {
  expect(examples.filter(({ refused }) => refused).length).toBeGreaterThan(2);
  expect(examples.filter(({ refused }) => !refused).length).toBeGreaterThan(4);
});

test.each(examples)('$sql', async ({ sql, refused }) => {
  const outcome = await session.rows(sql).catch((error: unknown) => error);
  if (refused) expect(isDomainError(outcome) && outcome.code).toMatch(/^(statement_refused|table_unknown)$/);
  else expect((outcome as string[]).length).toBeGreaterThan(0);
});
