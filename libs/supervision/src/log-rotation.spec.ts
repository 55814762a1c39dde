import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { findProcess, groupMembers, type ProcessId } from '@sanctum/catalog';
import { waitUntil } from '@sanctum/testing';
import { isStopped, withGroupHeld } from './group-hold.js';
import { rotateLog, withLog } from './log-file.js';
import { tailLog } from './log-tail.js';

const FIXTURE = fileURLToPath(new URL('./held-and-killed.fixture.ts', import.meta.url));
const HOOKS = fileURLToPath(new URL('../../testing/src/source-register.mjs', import.meta.url));
const ROTATIONS = 25;
const WRITERS = 3;

/** Writes numbered lines as fast as it can; the first one starts the others, in its own group. */
const WRITER = `
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
const index = Number(process.argv[1]);
if (index + 1 < ${WRITERS}) {
  const args = ['--input-type=module', '-e', process.env.WRITER, String(index + 1)];
  spawn(process.execPath, args, { stdio: 'inherit' });
}
for (let line = 0, batch = 0; ; batch += 1) {
  for (let more = 20; more > 0; more -= 1) writeSync(1, index + ' ' + line++ + ' ' + '.'.repeat(line % 90) + '\\n');
  await new Promise((resolve) => setImmediate(resolve));
}
`;

let folder: string;
let file: string;
let writer: ChildProcess;
let leader: ProcessId;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sanctum-rotation-'));
  file = join(folder, 'a.log');
  writer = withLog(file, (log) =>
    spawn(process.execPath, ['--input-type=module', '-e', WRITER, '0'], {
      env: { ...process.env, WRITER },
      detached: true,
      stdio: ['ignore', log, log],
    }),
  );
  const found = findProcess(writer.pid ?? 0);
  if (found === undefined) throw new Error('the writer did not start');
  leader = found;
  await waitUntil(() => groupMembers(leader).length === WRITERS, { what: 'all writers run' });
});
afterEach(async () => {
  await end();
  rmSync(folder, { recursive: true });
});

async function end(): Promise<void> {
  if (writer.exitCode === null && writer.signalCode === null) {
    // Killed inside a write, one leaves a part of a line that another goes on with.
    process.kill(-leader.pid, 'SIGSTOP');
    await waitUntil(() => groupMembers(leader).every(isStopped), { what: 'all writers stand' });
    process.kill(-leader.pid, 'SIGKILL');
    await once(writer, 'exit');
  }
  await waitUntil(() => groupMembers(leader).length === 0, { what: 'all writers are gone' });
}

/** Writers that are busy with a disk are let go, and held at a later look. */
async function whileHeld(work: () => void): Promise<void> {
  await waitUntil(() => withGroupHeld(leader, work), { what: 'all writers are held' });
}

/** All that was logged, oldest first. */
function everything(): string {
  const rotated = readdirSync(folder)
    .filter((name) => name.startsWith('a.log.'))
    .sort((a, b) => Number(b.slice(6)) - Number(a.slice(6)));
  return [...rotated, 'a.log'].map((name) => readFileSync(join(folder, name), 'utf8')).join('');
}

/** How often each writer wrote, and what is not its next number. */
function count(lines: readonly string[]): { counts: number[]; wrong: string[] } {
  const counts = Array.from({ length: WRITERS }, () => 0);
  const wrong: string[] = [];
  for (const line of lines) {
    const [index = -1, number] = line.split(' ').map(Number);
    if (counts[index] !== number) wrong.push(line);
    counts[index] = (number ?? 0) + 1;
  }
  return { counts, wrong };
}

describe('a log under rotation', () => {
  it('has every line of all its writers once, in order', async () => {
    const limits = { bytesMax: 100_000, filesMax: 1000 };
    const hold = (work: () => void): Promise<boolean> => withGroupHeld(leader, work);
    for (let rotations = 0; rotations < ROTATIONS;) {
      const rotated = await rotateLog(file, limits, hold);
      if (rotated) rotations += 1;
      else await waitUntil(() => statSync(file).size > limits.bytesMax, { what: 'more lines' });
    }
    await end();
    expect(readdirSync(folder)).toHaveLength(ROTATIONS + 1);
    const lines = everything().split('\n');
    expect(lines.pop()).toBe('');
    const { counts, wrong } = count(lines);
    expect(wrong).toEqual([]);
    for (const written of counts) expect(written).toBeGreaterThan(0);
  });

  it('is followed without a line left out', async () => {
    const abort = new AbortController();
    const followed: string[] = [];
    const following = (async () => {
      for await (const line of tailLog(file, { lines: 0, follow: true, signal: abort.signal })) {
        followed.push(line);
      }
    })();
    await waitUntil(() => followed.length > 100, { what: 'the follower reads' });
    const hold = (work: () => void): Promise<boolean> => withGroupHeld(leader, work);
    const limits = { bytesMax: 1, filesMax: 3 };
    await waitUntil(() => rotateLog(file, limits, hold), { what: 'the log is rotated' });
    const before = followed.length;
    await waitUntil(() => followed.length > before + 1000, { what: 'the follower goes on' });
    await end();
    abort.abort();
    await following;
    // From wherever the follower began.
    const first = followed[0] ?? '';
    const all = everything().split('\n');
    const from = all.indexOf(first);
    expect(from).toBeGreaterThanOrEqual(0);
    expect(followed.findIndex((line, at) => line !== all[from + at])).toBe(-1);
  });
});

describe('writers that are held', () => {
  it('stand still, and then go on', async () => {
    let sizes: readonly number[] = [];
    await whileHeld(() => {
      expect(groupMembers(leader).every(isStopped)).toBe(true);
      sizes = [statSync(file).size];
    });
    await waitUntil(() => statSync(file).size > (sizes[0] ?? Infinity), { what: 'they go on' });
    expect(groupMembers(leader)).toHaveLength(WRITERS);
  });

  it('go on when whoever holds them is killed', async () => {
    const args = ['--conditions=@sanctum/source', '--no-warnings', `--import=${HOOKS}`, FIXTURE];
    const holder = spawn(process.execPath, [...args, String(leader.pid)], { stdio: 'inherit' });
    const [, signal] = (await once(holder, 'exit')) as [number | null, NodeJS.Signals | null];
    // It dies of this only while all of them stand still.
    expect(signal).toBe('SIGKILL');
    await waitUntil(() => !groupMembers(leader).some(isStopped), {
      what: 'the guard lets them go',
    });
    expect(groupMembers(leader)).toHaveLength(WRITERS);
  });

  it('are not held when they are gone', async () => {
    await end();
    let ran = false;
    expect(await withGroupHeld(leader, () => (ran = true))).toBe(false);
    expect(ran).toBe(false);
  });
});
