import { planRuns, type LiveCompaction, type WindowFiles } from '../../domain/decide/compaction.js';
import { dayOf } from '../support/events.js';

const limits = { bytesMax: 100, filesMax: 50, piecesMin: 4 };
const window = (day: number, of: Partial<WindowFiles> = {}): WindowFiles => ({
  ...{ start: dayOf(day), files: 1, rows: 10, bytes: 5, pushed: false },
  ...of,
});
const windows = (count: number, of?: Partial<WindowFiles>) =>
  Array.from({ length: count }, (_, at) => window(at + 1, of));
const compaction = (first: number, last: number): LiveCompaction => ({ first: dayOf(first), last: dayOf(last) });
const plan = (all: readonly WindowFiles[], compactions: readonly LiveCompaction[] = []) =>
  planRuns(all, compactions, limits).map(({ first, last, files }) => [first, last, files]);
const run = (first: number, last: number, files = last - first + 1) => [dayOf(first), dayOf(last), files];

test.each<[string, readonly WindowFiles[], readonly LiveCompaction[], unknown[]]>([
  ['small neighbours become one', windows(10), [], [run(1, 10)]],
  ['three files are not worth a fourth', windows(3), [], []],
  ['no run is larger than a file may be', windows(30), [], [run(1, 20), run(21, 30)]],
  ['no run has more files than may be read at once', windows(60, { bytes: 1 }), [], [run(1, 50), run(51, 60)]],
  [
    'a large file stays and parts its neighbours',
    [...windows(4), window(5, { bytes: 50 }), window(6)],
    [],
    [run(1, 4)],
  ],
  ['a window with pushed rows stays', [...windows(4), window(5, { pushed: true }), window(6)], [], [run(1, 4)]],
  ['what is one file already stays one', windows(10), [compaction(1, 10)], []],
  ['a few new windows wait', windows(12), [compaction(1, 10)], []],
  ['a small one takes its new neighbours in, as a whole', windows(13, { bytes: 4 }), [compaction(1, 10)], [run(1, 13)]],
  ['a large one stays as it is', windows(15, { bytes: 6 }), [compaction(1, 10)], [run(11, 15)]],
  [
    'of two that overlap the longer one counts',
    windows(13, { bytes: 4 }),
    [compaction(1, 5), compaction(1, 10)],
    [run(1, 13)],
  ],
  ['nothing is nothing', [], [], []],
])('%s', (_, all, compactions, expected) => {
  expect(plan(all, compactions)).toEqual(expected);
});
