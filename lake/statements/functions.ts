const words = (text: string): string[] => text.trim().split(/\s+/);

export const tableFunctions: ReadonlySet<string> = new Set(
  words('generate_series json_each json_tree range repeat repeat_row unnest test_all_types'),
);
export const clockWords: ReadonlySet<string> = new Set(
  words('current_date current_time current_timestamp localtime localtimestamp'),
);
const varying = new Set(words('random now uuid'));
const refused = new Set(words('getvariable current_setting'));

export type FunctionClass = 'stable' | 'varying' | 'refused';
export function functionClass(name: string): FunctionClass | null {
  return refused.has(name) ? 'refused' : varying.has(name) ? 'varying' : 'stable';
}
