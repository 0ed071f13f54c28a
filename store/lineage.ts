import type { ProjectName } from '../domain/ids.js';
import type { Queries } from './db.js';

export type LineageDirection = 'forward' | 'backward';

/** A thing that was made or used: `source flights@r1`, `commit 17`, `snapshot features/origin_hour@r1@s41`, `run 0123…`. */
export interface LineageNode {
  readonly kind: string;
  readonly id: string;
}

export interface LineageEdge {
  readonly from: LineageNode;
  readonly to: LineageNode;
}

export interface Lineage {
  readonly edges: readonly LineageEdge[];
  /** True when there is more than was walked. */
  readonly truncated: boolean;
}

interface EdgeRow {
  readonly from_kind: string;
  readonly from_id: string;
  readonly to_kind: string;
  readonly to_id: string;
}

/** No chain of our making is longer; a cycle cannot keep the walk going. */
const depthMax = 32;

/** Everything that the node was made from, or that was made from it, however many steps away; nearest edges first. */
export async function walkLineage(
  db: Queries,
  project: ProjectName,
  start: LineageNode,
  direction: LineageDirection,
  edgesMax: number,
): Promise<Lineage> {
  const edges = new Map<string, LineageEdge>();
  const seen = new Set([keyOf(start)]);
  let frontier = [start];
  for (let depth = 0; frontier.length > 0; depth++) {
    if (depth === depthMax) return { edges: [...edges.values()], truncated: true };
    const next: LineageNode[] = [];
    for (const edge of await edgesAt(db, project, frontier, direction, edgesMax + 1)) {
      if (edges.size === edgesMax) return { edges: [...edges.values()], truncated: true };
      edges.set(`${keyOf(edge.from)} ${keyOf(edge.to)}`, edge);
      const reached = direction === 'forward' ? edge.to : edge.from;
      if (seen.has(keyOf(reached))) continue;
      seen.add(keyOf(reached));
      next.push(reached);
    }
    frontier = next;
  }
  return { edges: [...edges.values()], truncated: false };
}

const keyOf = ({ kind, id }: LineageNode): string => `${kind}\n${id}`;

/**
 * Recorded edges, and those between a commit and the snapshots that hold its files: these follow from the file list, so
 * they are never written down. Only snapshots that something was made from are known.
 */
async function edgesAt(
  db: Queries,
  project: ProjectName,
  nodes: readonly LineageNode[],
  direction: LineageDirection,
  limit: number,
): Promise<LineageEdge[]> {
  const side = direction === 'forward' ? 'from' : 'to';
  const rows = await db.query<EdgeRow>(
    `WITH nodes AS (SELECT * FROM unnest($2::text[], $3::text[]) AS n(kind, id)),
     snapshots AS (
       SELECT DISTINCT from_id AS id, m[1] AS schema, m[2] AS name, m[3]::int AS revision, m[4]::bigint AS snapshot
       FROM lineage, regexp_match(from_id, '^([a-z]+)/([^@/]+)@r(\\d+)@s(\\d+)$') AS m WHERE project = $1 AND from_kind = 'snapshot'),
     edges AS (
       SELECT from_kind, from_id, to_kind, to_id FROM lineage JOIN nodes ON (${side}_kind, ${side}_id) = (kind, nodes.id) WHERE project = $1
       UNION
       SELECT 'commit', f.commit_id::text, 'snapshot', s.id FROM snapshots s
       JOIN files f ON (f.project, f.schema, f.name, f.revision) = ($1, s.schema, s.name, s.revision)
         AND f.begin_snapshot <= s.snapshot AND (f.end_snapshot IS NULL OR f.end_snapshot > s.snapshot)
       JOIN nodes ON ${direction === 'forward' ? "(kind, nodes.id) = ('commit', f.commit_id::text)" : "(kind, nodes.id) = ('snapshot', s.id)"})
     SELECT * FROM edges ORDER BY from_kind, from_id, to_kind, to_id LIMIT $4`,
    [project, nodes.map(({ kind }) => kind), nodes.map(({ id }) => id), limit],
  );
  return rows.map((row) => ({
    from: { kind: row.from_kind, id: row.from_id },
    to: { kind: row.to_kind, id: row.to_id },
  }));
}
