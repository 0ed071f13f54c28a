import type { ActiveVersion, ServedVersion, ServingStore } from '../domain/serving.js';
import type { Database } from './db.js';
import { endpointsChannel } from './deployment.js';

const servedColumns = `v.model, v.version, v.model_key AS "modelKey", v.digest AS sha256, v.signature,
  jsonb_build_object('inputs', v.golden -> 'inputs', 'predictions', v.golden -> 'predictions', 'tolerance', coalesce((r.body -> 'policy' ->> 'goldenTolerance')::float8, 1e-6)) AS golden`;
const policyJoin = (endpoint: string) =>
  `LEFT JOIN resources e ON (e.project, e.kind, e.name) = (v.project, 'Endpoint', ${endpoint})
   LEFT JOIN revisions r ON (r.project, r.kind, r.name, r.revision) = (e.project, e.kind, e.name, e.active)`;

/** What an inference instance asks of the store. */
export function serving(db: Database): ServingStore {
  return {
    async renewLease(instance, url, leaseSeconds) {
      await db.query(
        `INSERT INTO inference_instances (instance, url, lease_until) VALUES ($1, $2, now() + make_interval(secs => $3))
         ON CONFLICT (instance) DO UPDATE SET url = $2, lease_until = now() + make_interval(secs => $3)`,
        [instance, url, leaseSeconds],
      );
    },
    async releaseLease(instance) {
      await db.query('DELETE FROM inference_instances WHERE instance = $1', [instance]);
    },
    announced: () =>
      db.query<ServedVersion>(
        `SELECT t.project, t.endpoint, t.generation, ${servedColumns} FROM endpoint_traffic t
         JOIN versions v ON (v.project, v.model, v.version) = (t.project, t.model, t.version) ${policyJoin('t.endpoint')}
         UNION ALL
         SELECT o.project, o.endpoint, o.generation, ${servedColumns} FROM rollouts o
         JOIN versions v ON (v.project, v.model, v.version) = (o.project, o.model, o.version) ${policyJoin('o.endpoint')}
         WHERE o.status = 'open'`,
      ),
    active: () => db.query<ActiveVersion>('SELECT project, endpoint, version, generation FROM endpoint_traffic'),
    async report(instance, at, state, reason) {
      await db.query(
        `INSERT INTO instance_versions (instance, project, endpoint, version, generation, state, reason)
         SELECT $1, $2, $3, $4, $5, $6, $7 WHERE EXISTS (SELECT 1 FROM inference_instances WHERE instance = $1)
         ON CONFLICT (instance, project, endpoint, version) DO UPDATE SET generation = $5, state = $6, reason = $7, reported_at = now()
         WHERE instance_versions.generation <= $5`,
        [instance, at.project, at.endpoint, at.version, at.generation, state, reason ?? null],
      );
    },
    async appendLog(rows) {
      await db.query(
        `INSERT INTO inference_log (project, endpoint, request_id, row_index, version, event_time, logged_at, inputs, output, key)
         SELECT project, endpoint, "requestId", "rowIndex", version, "eventTime", "loggedAt", inputs, output, key
         FROM jsonb_to_recordset($1::jsonb) AS l(project text, endpoint text, "requestId" text, "rowIndex" int, version int, "eventTime" timestamptz, "loggedAt" timestamptz, inputs jsonb, output float8, key jsonb)
         ON CONFLICT DO NOTHING`,
        // JSON has no NaN and no Infinity; PostgreSQL reads them from their names.
        [JSON.stringify(rows.map((row) => ({ ...row, output: String(row.output) })))],
      );
    },
    listen: (onChange) => db.listen(endpointsChannel, onChange),
  };
}
