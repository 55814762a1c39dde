import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import {
  commandOf,
  findProcess,
  listFromPs,
  listProcesses,
  programInode,
  type ProcessEntry,
} from './process-table.js';

function mine(table: readonly ProcessEntry[]): ProcessEntry | undefined {
  return table.find(({ pid }) => pid === process.pid);
}

describe('the process table', () => {
  it('says the same by ps as by what the system has', () => {
    const [listed, ps] = [mine(listProcesses()), mine(listFromPs())];
    expect(listed).toMatchObject({ pid: process.pid, parent: process.ppid });
    expect(ps).toMatchObject({ pid: process.pid, parent: process.ppid, group: listed?.group });
    expect(ps?.started).toMatch(/\d{2}:\d{2}:\d{2} \d{4}$/);
  });

  it('leaves out what has ended, reaped or not', async () => {
    const child = spawn('sleep', ['300'], { stdio: 'ignore' });
    const { pid = -1 } = child;
    expect(findProcess(pid)).toMatchObject({ pid, parent: process.pid });
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(findProcess(pid)).toBeUndefined();
  });

  it('names programs', () => {
    expect(commandOf(process.pid)).toContain('node');
    expect(programInode(process.pid)).toEqual(expect.any(Number));
    expect(commandOf(2 ** 30)).toBeUndefined();
    expect(programInode(2 ** 30)).toBeNull();
  });
});
