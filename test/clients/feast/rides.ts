import type { ProjectName } from '../../../domain/ids.js';
import type { Resource } from '../../../domain/resources.js';
import { Resource as ResourceSchema } from '../../../domain/resources.js';
import type { World } from '../../support/world.js';

/** The views that rides.py declares to Feast, over the same files; of a few entities, with whatever values are hard. */

const source = (name: string, path: string) => ({
  kind: 'Source',
  name,
  spec: { path, eventTime: 'event_timestamp', knownAt: 'created' },
});

interface View {
  readonly name: string;
  readonly entity?: string;
  readonly keys: readonly string[];
  readonly features: Readonly<Record<string, string>>;
  readonly ttl?: string;
}
const views: readonly View[] = [
  {
    name: 'driver_stats',
    entity: 'driver',
    keys: ['driver_id'],
    features: {
      ...{ conv_rate: 'FLOAT', acc_rate: 'DOUBLE', trips: 'BIGINT', balance: 'BIGINT', note: 'VARCHAR' },
      ...{ active: 'BOOLEAN', last_seen: 'TIMESTAMP' },
    },
  },
  { name: 'driver_day', entity: 'driver', keys: ['driver_id'], features: { trips: 'BIGINT' }, ttl: '1d' },
  {
    name: 'pair_stats',
    entity: 'driver_customer',
    keys: ['driver_id', 'customer_id'],
    features: { rides: 'BIGINT', rating: 'DOUBLE' },
  },
  { name: 'fleet', keys: [], features: { price: 'DOUBLE' } },
];
export const viewNames = views.map(({ name }) => name);

const view = ({ name, entity, keys, features, ttl }: View) => ({
  kind: 'FeatureView',
  name,
  spec: {
    ...(entity ? { entity } : {}),
    ...(ttl ? { ttl } : {}),
    sources: [`${name}_file`],
    sql: `SELECT ${[...keys, 'event_timestamp AS event_time', 'created', ...Object.keys(features)].join(', ')} FROM ${name}_file`,
    knownAt: 'created',
    lookback: '1d',
    features: Object.entries(features).map(([feature, type]) => ({ name: feature, type })),
  },
});

const driver = { name: 'driver_id', type: 'BIGINT' };
const customer = { name: 'customer_id', type: 'VARCHAR' };

export const rides = (paths: Readonly<Record<string, string>>): Resource[] =>
  [
    { kind: 'Entity', name: 'driver', spec: { keys: [driver] } },
    { kind: 'Entity', name: 'customer', spec: { keys: [customer] } },
    { kind: 'Entity', name: 'driver_customer', spec: { keys: [driver, customer] } },
    ...views.map(({ name }) => source(`${name}_file`, paths[name] ?? '')),
    ...views.map(view),
    {
      kind: 'FeatureService',
      name: 'ride_inputs',
      spec: {
        features: ['driver_stats:conv_rate', 'driver_stats:trips', 'pair:rides', 'fleet:price'],
        joins: [{ name: 'pair', view: 'pair_stats', keys: { driver_id: 'who' } }],
      },
    },
  ].map((resource) => ResourceSchema.parse(resource));

/** A driver whose values Feast's own store bends, and one of these values: 2^53 + 1. */
export const hard = 1004;
export const beyond = '9007199254740993';

const at = (time: string) => `TIMESTAMPTZ '2026-01-02 ${time}+00'`;
const selects: Readonly<Record<string, string>> = {
  driver_stats: `SELECT * FROM (VALUES
    (1001::BIGINT, ${at('10:00:00')}, ${at('11:00:00')}, 0.1::FLOAT, 0.5::DOUBLE, 7::BIGINT, 12::BIGINT, 'hello', true, ${at('05:06:07.9')}),
    (1002, ${at('12:00:00')}, ${at('13:00:00')}, 0.7, -0.25, 0, -5, '', false, ${at('00:00:00')}),
    (1003, ${at('13:00:00')}, ${at('14:00:00')}, 3, 'infinity'::DOUBLE, 4, 0, 'ü "x"', true, TIMESTAMPTZ '1969-12-31 23:59:58.5+00'),
    (${hard}, ${at('14:00:00.123456')}, ${at('15:00:00')}, NULL, 'nan'::DOUBLE, NULL, ${beyond}, NULL, NULL, NULL)
  ) t(driver_id, event_timestamp, created, conv_rate, acc_rate, trips, balance, note, active, last_seen)`,
  driver_day: `SELECT 1001::BIGINT AS driver_id, ${at('10:00:00')} AS event_timestamp, ${at('10:00:00')} AS created, 3::BIGINT AS trips`,
  pair_stats: `SELECT * FROM (VALUES
    (1001::BIGINT, 'a', ${at('10:00:00')}, ${at('10:00:00')}, 5::BIGINT, 4.5::DOUBLE),
    (1002, 'b', ${at('10:00:00')}, ${at('10:00:00')}, 6, 3.25)
  ) t(driver_id, customer_id, event_timestamp, created, rides, rating)`,
  fleet: `SELECT ${at('10:00:00')} AS event_timestamp, ${at('10:00:00')} AS created, 2.5::DOUBLE AS price`,
};

/** Named as in Feast, so that its errors are the same. */
export const project = 'rides' as ProjectName;

/** Writes the files to `<home>/data` and declares everything. */
export async function declareRides(world: World): Promise<void> {
  const paths: Record<string, string> = {};
  for (const [name, select] of Object.entries(selects)) paths[name] = await world.write(`${name}.parquet`, select);
  await world.apply(rides(paths), project);
}
