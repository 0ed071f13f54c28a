/** What this server may read sources from. */
export interface SourceAccess {
  /** Folders that files of sources must lie in. */
  readonly roots: readonly string[];
  /** URLs of PostgreSQL databases, by the names that Sources know them by; they hold secrets. */
  readonly connections: Readonly<Record<string, string>>;
}
