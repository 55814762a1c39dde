import { rmSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { errnoOf, groupMembers, isAlive, type HomePaths, type ProcessId } from '@sanctum/catalog';
import { acquireLock, lockFile } from './supervisor-lock.js';
import { findMarked } from './service-marker.js';
import { readRecord } from './supervisor-record.js';

/** How often a process that is not our child is looked at: the system sends no event for it. */
const POLL_MS = 20;
/** From SIGKILL until the system has removed a process. */
export const KILL_WAIT_MS = 5_000;

export interface ReapedService {
  readonly name: string;
  readonly pids: readonly number[];
}

/**
 * Ends what a killed supervisor left, in reverse start order, and removes its record. Processes
 * are known by pid and start time, so a reused pid is never touched; one that was started and not
 * recorded any more is known by its mark, and goes first.
 *
 * @param graceMs from SIGTERM to SIGKILL, per service
 */
export async function reapOrphans(
  recordFile: string,
  graceMs: number,
): Promise<readonly ReapedService[]> {
  const record = readRecord(recordFile);
  const reaped: ReapedService[] = [];
  const recorded = record?.services.toReversed() ?? [];
  const known = new Set(recorded.flatMap((service) => groupMembers(service)));
  const unrecorded = findMarked(recordFile).filter(
    (marked) => !groupMembers(marked).some((pid) => known.has(pid)),
  );
  for (const service of [...unrecorded, ...recorded]) {
    const pids = groupMembers(service);
    if (pids.length > 0) {
      await endGroup(service, graceMs);
      reaped.push({ name: service.name, pids });
    }
  }
  rmSync(recordFile, { force: true });
  return reaped;
}

/**
 * {@link reapOrphans} under the home's lock, so that nobody starts anything meanwhile; removes lock
 * and socket of the dead supervisor too.
 *
 * @throws SanctumError `io` naming the supervisor that lives after all
 */
export async function reapHome(
  home: { readonly paths: HomePaths; readonly socket: string },
  graceMs: number,
): Promise<readonly ReapedService[]> {
  const releaseLock = acquireLock(lockFile(home.paths));
  try {
    const reaped = await reapOrphans(home.paths.supervisorFile, graceMs);
    rmSync(home.socket, { force: true });
    return reaped;
  } finally {
    releaseLock();
  }
}

/** SIGTERM to the leader, SIGKILL to whatever of its group is left at the deadline. */
export async function endGroup(leader: ProcessId, graceMs: number): Promise<void> {
  if (isAlive(leader)) {
    signalProcess(leader.pid, 'SIGTERM');
    await untilGone(() => !isAlive(leader), graceMs);
  }
  if (groupMembers(leader).length > 0) {
    signalProcess(-leader.pid, 'SIGKILL');
    await untilGone(() => groupMembers(leader).length === 0, KILL_WAIT_MS);
  }
}

/** Waits for a process that is not our child to end by itself; whether it did. */
export async function hasEnded(id: ProcessId, timeoutMs: number): Promise<boolean> {
  await untilGone(() => !isAlive(id), timeoutMs);
  return !isAlive(id);
}

/** SIGTERM, then SIGKILL, to one process that is not our child. */
export async function endProcess(id: ProcessId, graceMs: number): Promise<void> {
  if (isAlive(id)) {
    signalProcess(id.pid, 'SIGTERM');
    await untilGone(() => !isAlive(id), graceMs);
  }
  if (isAlive(id)) {
    signalProcess(id.pid, 'SIGKILL');
    await untilGone(() => !isAlive(id), KILL_WAIT_MS);
  }
}

/** A process or (negative) group that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') {
      throw error;
    }
  }
}

async function untilGone(gone: () => boolean, deadlineMs: number): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!gone() && performance.now() < deadline) {
    await wait(POLL_MS);
  }
}
