import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Table, TimestampMillisecond, tableToIPC, vectorFromArray } from 'apache-arrow';
import { arrivingSpine, type ArrivingSpine, type SpinePart } from '../../apps/flight/joins/arriving-spine.js';
import { openArrow } from '../../lake/arrow-table.js';
import { openEngine, type Session } from '../../lake/duckdb.js';

test('a part that is asked for while its file is written comes when it is whole', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'eider-spine-'));
  const allowed = { tempDirectory: scratch, allowedDirectories: [scratch] };
  const engine = await openEngine({ threads: 1, memoryLimit: '256MB', ...allowed });
  const rows = new Table({ at: vectorFromArray(Array<Date>(100_000).fill(new Date(0)), new TimestampMillisecond()) }); // More than wait in memory.
  try {
    await engine.session(async (session) => {
      const spine: { current?: ArrivingSpine } = {};
      let isWritten = false;
      let asked: Promise<{ part: SpinePart | null; isWritten: boolean }> | undefined;
      const watched: Session = {
        ...session,
        async run(sql, values) {
          if (sql.startsWith('COPY')) asked = spine.current?.next().then((part) => ({ part, isWritten }));
          await session.run(sql, values);
          isWritten = sql.startsWith('COPY');
        },
      };
      const arrow = await openArrow([tableToIPC(rows, 'stream')] as never);
      spine.current = arrivingSpine(watched, { scratch }, arrow, 'at');
      for (let turn = 0; asked === undefined && turn < 1e5; turn++) await new Promise(setImmediate);
      expect(await asked).toMatchObject({ part: { rows: 100_000 }, isWritten: true });
      expect(await spine.current.next()).toBeNull();
      await spine.current.stop();
    });
  } finally {
    engine.close();
    rmSync(scratch, { recursive: true });
  }
});
