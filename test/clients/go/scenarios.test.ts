import type { ActionTaker } from '../../../apps/flight/feature.js';
import type { FlightInfo } from '../../../apps/flight/protocol.js';
import { Metadata } from '@grpc/grpc-js';
import { createScenarioServer, type Scenario, type ScenarioServer } from './scenario-server.js';
import { describeGo, runScenario } from './go.js';

/**
 * Arrow's own integration scenarios, by the client that its Go library has for them. Not here, because we are not what they
 * test: `poll_flight_info` wants an answer that is not ready at first, and all that we answer is; `flight_sql` wants
 * updates, `flight_sql:extension` transactions and Substrait, `flight_sql:ingestion` ingestion, and we only read; the
 * unnamed one wants what was put under a path to be got from it again with its metadata, and we store no uploads.
 */

const numbers = (...values: number[]) => `SELECT unnest([${values.join(', ')}]::INTEGER[]) AS number`;
const unsigned = (value: number) => `SELECT ${value}::UINTEGER AS number`;
const whoAmI: ActionTaker = {
  type: '',
  description: 'The name of the caller.',
  async *run(_, { principal }) {
    yield Buffer.from(principal);
  },
};
/** Its first endpoint can be read but once, so it has no expiration time. */
const firstWithoutExpiration = ({ endpoint: [first, ...rest], ...info }: FlightInfo): FlightInfo => ({
  ...info,
  endpoint: first ? [{ ...first, expiration_time: null }, ...rest] : [],
});
const expiring: Scenario = {
  reads: { expiration_time: [unsigned(0), unsigned(1), unsigned(2)] },
  info: firstWithoutExpiration,
};

const scenarios: Record<string, Scenario> = {
  'auth:basic_proto': { login: ['arrow', 'flight'], actions: [whoAmI] },
  middleware: {
    reads: { success: ['SELECT 1 AS a'] },
    headers: (metadata) => {
      const headers = new Metadata();
      for (const value of metadata.get('x-middleware')) headers.set('x-middleware', value);
      return headers;
    },
  },
  ordered: { reads: { ordered: [numbers(1, 2, 3), numbers(10, 20, 30), numbers(100, 200, 300)] } },
  'expiration_time:do_get': expiring,
  'expiration_time:list_actions': expiring,
  'expiration_time:cancel_flight_info': expiring,
  'expiration_time:renew_flight_endpoint': expiring,
  'location:reuse_connection': {
    reads: { reuse: ['SELECT 1 AS a'] },
    info: (info) => ({
      ...info,
      endpoint: info.endpoint.map((one) => ({ ...one, location: [{ uri: 'arrow-flight-reuse-connection://?' }] })),
    }),
  },
  app_metadata_flight_info_endpoint: {
    reads: { foobar: ['SELECT 1 AS a'] },
    info: (info) => {
      const app_metadata = info.flight_descriptor?.cmd ?? Buffer.alloc(0);
      return { ...info, app_metadata, endpoint: info.endpoint.map((one) => ({ ...one, app_metadata })) };
    },
  },
  session_options: {
    checkOption: (name, { string_value }) => {
      if (name === 'lol_invalid') return 'INVALID_NAME';
      return string_value === 'lol_invalid' ? 'INVALID_VALUE' : null;
    },
  },
};

describeGo('Arrow’s integration client for Go is content with', () => {
  let server: ScenarioServer;
  beforeAll(async () => {
    server = await createScenarioServer();
  }, 600_000);
  afterAll(() => server.close());

  test.each(Object.entries(scenarios))(
    '%s',
    async (name, scenario) => {
      const { port, stop } = await server.serve(scenario);
      const printed = await runScenario(name, port);
      await stop();
      expect(printed).toBeNull();
    },
    60_000,
  );

  test('a scenario that a server fails is told as failed', async () => {
    const { port, stop } = await server.serve({ reads: { ordered: [numbers(1), numbers(10), numbers(100)] } });
    expect(await runScenario('ordered', port)).toContain("read data isn't expected");
    await stop();
  });
});
