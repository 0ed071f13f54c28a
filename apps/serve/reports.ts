import type { ServedVersion } from '../../domain/serving.js';

export interface Report {
  readonly state: 'ready' | 'failed';
  readonly reason?: string;
}

/** What this instance has made of the announced versions, and what of that the store knows. */
export interface Reports {
  /** Whether to load: nothing is known of this file and generation, or its failure is long ago. */
  due(version: ServedVersion): boolean;
  put(version: ServedVersion, report: Report): void;
  pending(): { version: ServedVersion; report: Report; delivered: () => void }[];
  /** Forgets versions that nobody announces any more. */
  keep(announced: readonly ServedVersion[]): void;
  /** Has everything delivered once more. */
  repeat(): void;
}

interface Entry {
  readonly version: ServedVersion;
  readonly report: Report;
  readonly atMs: number;
  delivered: boolean;
}

export function createReports(retryFailedMs: number): Reports {
  const entries = new Map<string, Entry>();
  const keyOf = ({ project, endpoint, version }: ServedVersion): string => `${project}/${endpoint}/${version}`;
  const sameAnnouncement = (a: ServedVersion, b: ServedVersion): boolean =>
    a.generation === b.generation && a.sha256 === b.sha256;

  return {
    due(version) {
      const entry = entries.get(keyOf(version));
      if (!entry || !sameAnnouncement(entry.version, version)) return true;
      return entry.report.state === 'ready' || performance.now() - entry.atMs >= retryFailedMs;
    },
    put(version, report) {
      const entry = entries.get(keyOf(version));
      const same =
        entry &&
        sameAnnouncement(entry.version, version) &&
        entry.report.state === report.state &&
        entry.report.reason === report.reason;
      const delivered = same ? entry.delivered : false;
      entries.set(keyOf(version), { version, report, atMs: performance.now(), delivered });
    },
    pending: () =>
      [...entries.values()]
        .filter(({ delivered }) => !delivered)
        .map((entry) => ({
          version: entry.version,
          report: entry.report,
          delivered: () => void (entry.delivered = true),
        })),
    keep(announced) {
      const kept = new Set(announced.map(keyOf));
      for (const key of entries.keys()) if (!kept.has(key)) entries.delete(key);
    },
    repeat() {
      for (const entry of entries.values()) entry.delivered = false;
    },
  };
}
