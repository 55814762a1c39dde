import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { watchFiles } from './watch-files.js';

describe('watchFiles', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sanctum-watch-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  /** A watch of one file that has just been replaced. */
  async function changed() {
    const file = join(folder, 'client.crt');
    const changes: string[] = [];
    const watch = watchFiles({
      paths: [file],
      onChange: () => Promise.resolve(void changes.push(file)),
      onProblem: (error) => {
        throw error;
      },
    });
    await watch.ready;
    writeFileSync(file, 'new');
    return { watch, changes };
  }

  it('tells of a file that was replaced', async () => {
    const { watch, changes } = await changed();
    await watch.check();
    watch.close();
    expect(changes).toHaveLength(1);
  });

  it('tells nothing any more when it is closed in the middle of a look', async () => {
    const { watch, changes } = await changed();
    const looking = watch.check();
    watch.close();
    await looking;
    expect(changes).toEqual([]);
  });
});
