import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { RunningProgram } from './running-program.js';
import { waitUntil } from './wait-until.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'sanctum-program-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const node = (script: string): Promise<RunningProgram> =>
  RunningProgram.start({ file: process.execPath, args: ['--eval', script] });

/** A zombie that nobody has reaped yet is dead for our purposes. */
async function isDead(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return true;
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.split(') ')[1]?.startsWith('Z') ?? false;
}

it('waits for a line and ends by SIGTERM', async () => {
  const program = await node("setInterval(() => {}, 1e6); console.log('up', process.pid)");
  expect(await program.line((line) => line.startsWith('up'))).toBe(`up ${program.pid}`);
  expect(program.alive).toBe(true);
  expect(await program.stop()).toEqual({ code: null, signal: 'SIGTERM' });
});

it('says what a program said that ended instead', async () => {
  const program = await node("console.error('broken'); process.exit(3)");
  await expect(program.line((line) => line === 'up')).rejects.toThrow(/broken/);
  expect(await program.exited).toEqual({ code: 3, signal: null });
});

it('kills who does not listen, and what it left behind', async () => {
  const stubborn = await node(`
    process.on('SIGTERM', () => {});
    setInterval(() => {}, 1e6);
    const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1e6)']);
    console.log(child.pid);
  `);
  const child = Number(await stubborn.line((line) => /^\d+$/.test(line)));
  expect(await stubborn.stop(200)).toEqual({ code: null, signal: 'SIGKILL' });
  await waitUntil(() => isDead(child), { what: 'the grandchild is dead' });
});

it('refuses a file that is no program', async () => {
  await expect(RunningProgram.start({ file: path.join(folder, 'none') })).rejects.toThrow(/ENOENT/);
});

it('runs TypeScript with workspace imports', async () => {
  const entry = path.join(import.meta.dirname, 'source-probe.fixture.ts');
  const program = await RunningProgram.startSource(entry);
  expect(await program.exited).toEqual({ code: 0, signal: null });
  expect(program.lines).toEqual(['sanctum-server']);
});

it('gives up waiting with a reason', async () => {
  const asked = waitUntil(() => false, { what: 'pigs fly', timeoutMs: 60 });
  await expect(asked).rejects.toThrow('not within 60 ms: pigs fly');
});
