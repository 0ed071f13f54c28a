const textMax = 60;

/** One line for each value that differs between two trees, as `policy.goldenTolerance: 0.001 -> 0.01`. */
export function differences(before: unknown, after: unknown, path = ''): string[] {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  if (isTree(before) && isTree(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => differences(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  if (isLongText(before) && isLongText(after)) return linesThatDiffer(before, after, path);
  return [`${path}: ${shown(before)} -> ${shown(after)}`];
}

type Tree = Readonly<Record<string, unknown>>;
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null;
const isLongText = (value: unknown): value is string => typeof value === 'string' && value.includes('\n');

/** Of a text with many lines only those that are not in the other one. */
function linesThatDiffer(before: string, after: string, path: string): string[] {
  const [old, next] = [before.split('\n'), after.split('\n')];
  const gone = old.filter((line) => !next.includes(line)).map((line) => `  - ${line.trim()}`);
  const come = next.filter((line) => !old.includes(line)).map((line) => `  + ${line.trim()}`);
  return [`${path}:`, ...gone, ...come];
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > textMax ? `${text.slice(0, textMax - 1)}…` : text;
}
