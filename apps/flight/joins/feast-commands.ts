import { z } from 'zod';
import { InstantSchema } from '../../../domain/names.js';

/** What Feast's client sends beside `api` and `command_id` (feast/infra/offline_stores/remote.py of 0.67). */

export const Historical = z.looseObject({
  feature_view_names: z.array(z.string()).max(500),
  name_aliases: z.array(z.string().nullable()).max(500),
  feature_refs: z.array(z.string()).min(1).max(500),
  project: z.string(),
  full_feature_names: z.boolean(),
  entity_df_sql: z.string().optional(),
});
export type Historical = z.infer<typeof Historical>;

export const Pull = z.looseObject({
  data_source_name: z.string(),
  join_key_columns: z.array(z.string()).max(100),
  feature_name_columns: z.array(z.string()).max(1000),
  timestamp_field: z.string(),
  created_timestamp_column: z.string().nullish(),
  start_date: InstantSchema.nullish(),
  end_date: InstantSchema.nullish(),
});
export type Pull = z.infer<typeof Pull>;

/** The data source as the JSON text of its protobuf. */
export const DescribedSource = z.looseObject({ data_source_proto: z.string().max(100_000) });
