import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHome, homePaths, type HomePaths } from '@sanctum/catalog';
import { pkiFiles } from './pki-files.js';
import { withPkiLock } from './pki-lock.js';

const ROUNDS = 10;
const CHANGES = 20;
let home: HomePaths;
let lock = '';

beforeEach(async () => {
  home = homePaths(await mkdtemp(join(tmpdir(), 'sanctum-pki-lock-')));
  createHome(home.home);
  ({ lock } = pkiFiles(home));
});
afterEach(() => rm(home.home, { recursive: true }));

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['--version'], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid ?? 0;
}

describe('the lock of the PKI', () => {
  it.each<[string, () => string | Promise<string>]>([
    ['empty, by a kill before its pid was written', () => ''],
    ['with the pid that a stranger has since the machine was started', () => String(process.ppid)],
    [
      'with pid and start time of another process of that pid',
      () => JSON.stringify({ pid: process.ppid, started: 'a boot before:1' }),
    ],
    ['with the pid of a process that has ended', async () => String(await deadPid())],
  ])('is taken over when it was left %s', async (_what, content) => {
    await writeFile(lock, await content());
    expect(await withPkiLock(home, () => Promise.resolve('changed'))).toBe('changed');
    expect(existsSync(lock)).toBe(false);
  });

  it('lets one change in at a time, also when all of them find it left by the dead', async () => {
    const pid = await deadPid();
    let inside = 0;
    const seen: number[] = [];
    const change = async (): Promise<void> => {
      inside += 1;
      seen.push(inside);
      await readdir(home.certs);
      inside -= 1;
    };
    for (let round = 0; round < ROUNDS; round += 1) {
      await writeFile(lock, String(pid));
      const changes: Promise<void>[] = [];
      for (let count = 0; count < CHANGES; count += 1) {
        changes.push(withPkiLock(home, change));
        await readdir(home.certs);
      }
      await Promise.all(changes);
    }
    expect(seen).toEqual(Array.from({ length: ROUNDS * CHANGES }, () => 1));
  });
});
