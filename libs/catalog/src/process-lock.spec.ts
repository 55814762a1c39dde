import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { buildSync } from 'esbuild';
import { tryProcessLock, withProcessLock } from './process-lock.js';
import { findProcess } from './process-table.js';

const CONTENDER = fileURLToPath(new URL('lock-contender.fixture.ts', import.meta.url));
const ROUNDS = 40;

let built = '';
let program = '';
beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'sanctum-contender-'));
  program = join(built, 'contender.mjs');
  buildSync({
    entryPoints: [CONTENDER],
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    conditions: ['@sanctum/source'],
  });
});
afterAll(() => {
  rmSync(built, { recursive: true });
});

let folder = '';
let lock = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sanctum-lock-'));
  lock = join(folder, 'lock');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function contend(counter: string, times: number): Promise<readonly unknown[]> {
  const contender = fork(program, [lock, counter, String(times)], { execArgv: [] });
  return (await once(contender, 'exit')) as readonly unknown[];
}

describe('a process lock', () => {
  it('is held by one process at a time, also where holders are killed', async () => {
    const counter = join(folder, 'counter');
    writeFileSync(counter, '0');
    const times = [ROUNDS, 0, ROUNDS, 0, ROUNDS, 0, ROUNDS];
    const exits = await Promise.all(times.map((count) => contend(counter, count)));
    expect(exits).toEqual(times.map((count) => (count === 0 ? [null, 'SIGKILL'] : [0, null])));
    expect(readFileSync(counter, 'utf8')).toBe(String(4 * ROUNDS));
    expect(await withProcessLock(lock, 0, () => Promise.resolve('free'))).toBe('free');
    expect(existsSync(lock)).toBe(false);
  });

  it('names its holder to whoever does not get it in time', async () => {
    const inner = () => withProcessLock(lock, 20, () => Promise.resolve());
    await expect(withProcessLock(lock, 0, inner)).rejects.toMatchObject({
      ...{ code: 'io', param: lock },
      message: expect.stringContaining(`is held by process ${process.pid}`),
    });
    await withProcessLock(lock, 0, () => Promise.resolve());
  });

  it('is free again when the work fails', async () => {
    const work = () => Promise.reject(new Error('no'));
    await expect(withProcessLock(lock, 0, work)).rejects.toThrow('no');
    expect(readdirSync(folder)).toEqual([]);
  });

  it.each([
    ['of a live process is respected', () => process.pid, false],
    ['of a dead one is taken over', () => 4_194_303, true],
  ])('that an earlier version left %s', (_, pid, free) => {
    const started = findProcess(process.pid)?.started;
    writeFileSync(lock, JSON.stringify({ pid: pid(), started }));
    expect('release' in tryProcessLock(lock)).toBe(free);
  });
});
