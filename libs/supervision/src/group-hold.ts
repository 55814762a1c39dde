import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { errnoOf, groupMembers, type ProcessId } from '@sanctum/catalog';
import { signalProcess } from './orphans.js';

/** From SIGSTOP until every thread of the group has stopped; a disk may keep one for longer. */
const STOP_WAIT_MS = 250;
const LOOK_MS = 1;
/** A group never stays stopped for longer, whatever becomes of this process. */
export const HOLD_MAX_S = 2;

/**
 * Runs `work` while no process of a group runs: what they write is whole before, or comes after. A
 * guard of its own lets the group go on should this process be killed meanwhile.
 *
 * @returns whether it ran: not when the group did not stop within a quarter of a second
 */
export async function withGroupHeld(leader: ProcessId, work: () => void): Promise<boolean> {
  const release = guardedRelease(leader.pid);
  try {
    signalProcess(-leader.pid, 'SIGSTOP');
    if (!(await haveStopped(leader))) return false;
    work();
    return true;
  } finally {
    release();
  }
}

/** Lets a group go on: when it is called, and by itself soon after this process is gone. */
function guardedRelease(group: number): () => void {
  const guard = spawn('/bin/sh', ['-c', `sleep ${HOLD_MAX_S}; kill -s CONT -- -${group}`], {
    stdio: 'ignore',
    detached: true,
  });
  guard.on('error', () => undefined);
  guard.unref();
  const { pid } = guard;
  // Without a guard nothing is stopped: the service matters more than its log.
  if (pid === undefined) throw new Error('/bin/sh cannot be run');
  return () => {
    signalProcess(-group, 'SIGCONT');
    signalProcess(-pid, 'SIGKILL');
  };
}

/** False as well when nobody is left: somebody else may be writing by now. */
async function haveStopped(leader: ProcessId): Promise<boolean> {
  const deadline = performance.now() + STOP_WAIT_MS;
  for (;;) {
    const members = groupMembers(leader);
    if (members.length === 0) return false;
    if (members.every(isStopped)) return true;
    if (performance.now() >= deadline) return false;
    await wait(LOOK_MS);
  }
}

/** Whether no thread of a process runs; true for one that is gone. */
export function isStopped(pid: number): boolean {
  if (process.platform !== 'linux') {
    const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
    return stdout.trim() === '' || /^[TZ]/.test(stdout.trim());
  }
  try {
    return readdirSync(`/proc/${pid}/task`).every((thread) => isThreadStopped(pid, thread));
  } catch (error) {
    return isGone(error);
  }
}

function isThreadStopped(pid: number, thread: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return /^[TtZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch (error) {
    return isGone(error);
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(errnoOf(error) ?? '');
}
