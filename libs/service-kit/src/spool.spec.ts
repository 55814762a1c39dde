import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { Spool, type SpoolEntry } from './spool.js';

let folder: string;
let file: string;
let said: string[];

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sanctum-spool-'));
  file = path.join(folder, 'spool', 'engine.jsonl');
  said = [];
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const logger = pino({ level: 'info' }, { write: (line: string) => void said.push(line) });
const open = (bytesMax?: number): Promise<Spool> =>
  Spool.open({ file, logger, ...(bytesMax === undefined ? {} : { bytesMax }) });
const entry = (id: string, payload = '{}'): SpoolEntry => ({ id, subject: 'sanctum.x', payload });

/** Takes everything out, oldest first. */
function drain(spool: Spool): string[] {
  const ids: string[] = [];
  for (let next = spool.oldest; next !== undefined; next = spool.oldest) {
    ids.push(next.id);
    spool.remove(next.id);
  }
  return ids;
}

describe('a spool', () => {
  it('gives back after a restart what was not taken out, in order', async () => {
    const before = await open();
    for (const id of ['a', 'b', 'c', 'd']) before.append(entry(id));
    expect(await before.flush()).toBe(true);
    before.remove('b');
    await before.close();
    const after = await open();
    expect(after.oldest).toMatchObject(entry('a'));
    expect(drain(after)).toEqual(['a', 'c', 'd']);
    await after.close();
    expect((await stat(file)).size).toBe(0);
  });

  it('survives a process that ends without closing it', async () => {
    const before = await open();
    before.append(entry('a'));
    await before.flush();
    const after = await open();
    expect(drain(after)).toEqual(['a']);
    await after.close();
    await before.close();
  });

  it('ignores a torn last line and writes on behind it', async () => {
    const first = await open();
    first.append(entry('a'));
    await first.close();
    await appendFile(file, '{"id":"torn","subject":"sanctum.x","payl');
    const second = await open();
    second.append(entry('b'));
    await second.close();
    const third = await open();
    expect(drain(third)).toEqual(['a', 'b']);
    await third.close();
  });

  it('lets the oldest go when it is full, counts them and says so', async () => {
    const line = `${JSON.stringify(entry('0'))}\n`.length;
    const spool = await open(4 * line);
    for (let id = 0; id < 10; id += 1) spool.append(entry(String(id)));
    expect(spool.size).toBe(4);
    expect(spool.dropped).toBe(6);
    await spool.close();
    expect(said.filter((text) => text.includes('spool_full'))).toHaveLength(6);
    expect((await readFile(file, 'utf8')).trim().split('\n')).toHaveLength(4);
    const smaller = await open(2 * line);
    expect(smaller.dropped).toBe(2);
    expect(drain(smaller)).toEqual(['8', '9']);
    await smaller.close();
  });

  it('keeps its file within twice its limit however long it runs', async () => {
    const line = `${JSON.stringify(entry('000'))}\n`.length;
    const spool = await open(8 * line);
    for (let id = 0; id < 200; id += 1) {
      spool.append(entry(String(id).padStart(3, '0')));
      await spool.flush();
      expect((await stat(file)).size).toBeLessThanOrEqual(17 * line);
    }
    await spool.close();
  });

  it('carries on in memory when the file cannot be written, and catches up', async () => {
    const spool = await open();
    await rm(path.dirname(file), { recursive: true });
    await writeFile(path.dirname(file), 'a file where the folder was');
    spool.append(entry('a'));
    expect(await spool.flush()).toBe(false);
    expect(said.join()).toContain('spool_unwritable');
    expect(spool.oldest?.id).toBe('a');
    await rm(path.dirname(file));
    await mkdir(path.dirname(file));
    expect(await spool.flush()).toBe(true);
    await spool.close();
    const after = await open();
    expect(drain(after)).toEqual(['a']);
    await after.close();
  });

  it('equals a queue, whatever is put in, taken out, written and reopened', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant('append' as const) },
      { weight: 3, arbitrary: fc.constant('remove' as const) },
      { weight: 1, arbitrary: fc.constant('reopen' as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        await rm(file, { force: true });
        let spool = await open();
        const model: string[] = [];
        for (const [at, action] of steps.entries()) {
          if (action === 'append') {
            spool.append(entry(`e${at}`));
            model.push(`e${at}`);
          } else if (action === 'remove') {
            const gone = model.shift();
            if (gone !== undefined) spool.remove(gone);
          } else {
            await spool.close();
            spool = await open();
          }
          expect(spool.oldest?.id).toBe(model[0]);
        }
        expect(drain(spool)).toEqual(model);
        await spool.close();
      }),
      { numRuns: 40 },
    );
  });
});
