/** What Nest injects by these names: the database, and the part of the configuration that requests depend on. */
export const DATABASE = Symbol('DATABASE');
export const SETTINGS = Symbol('SETTINGS');

export interface ApiSettings {
  /** Source files must lie under one of these folders. */
  readonly roots: readonly string[];
  /** The folder of logs and models that runs left. */
  readonly artifacts: string;
  /** The folder of the lake's files. */
  readonly lake: string;
  /** How long a replaced snapshot stays readable when nobody says otherwise, e.g. `30d`. */
  readonly retention: string;
}
