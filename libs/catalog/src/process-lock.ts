import { randomBytes } from 'node:crypto';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { SanctumError } from '@sanctum/errors';
import { z } from 'zod';
import { errnoOf } from './errno.js';
import { findProcess, isAlive, type ProcessId } from './process-table.js';

const TAKEOVERS_MAX = 10;
const RETRY_MS = 5;
const claimSchema = z.object({ pid: z.int().positive(), started: z.string() });

/** Held until it is released, or its process ends. */
export interface HeldLock {
  release(): void;
}

/**
 * Takes a lock that one process at a time holds: a folder with one claim in it, which names its
 * process by pid and start time. A folder replaces an empty one in one step and never a full one, and
 * a dead holder's claim is removed by its own name: a lock that changed hands meanwhile stays whole.
 *
 * @returns the lock, or the live process that holds it
 * @throws SanctumError `io` when it changes hands all the time
 */
export function tryProcessLock(path: string): HeldLock | ProcessId {
  const self = findProcess(process.pid);
  if (self === undefined) {
    throw new SanctumError('io', 'This process does not find itself in the process table.');
  }
  const name = randomBytes(6).toString('hex');
  const mine = `${path}.${name}`;
  mkdirSync(mine, { mode: 0o700 });
  try {
    const claim = JSON.stringify({ pid: self.pid, started: self.started });
    writeFileSync(join(mine, name), claim, { mode: 0o600 });
    for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt += 1) {
      if (tryRename(mine, path)) {
        return { release: () => release(path, name) };
      }
      const holder = clearDead(path);
      if (holder !== undefined) {
        return holder;
      }
    }
    throw new SanctumError('io', `${path} changes hands all the time; try again.`);
  } finally {
    rmSync(mine, { recursive: true, force: true });
  }
}

/**
 * Does the work while no other process that asks for the same lock does its own. Throws `io`, naming
 * the holder, when it is not free in time.
 */
export async function withProcessLock<T>(
  path: string,
  waitMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + waitMs;
  let lock = tryProcessLock(path);
  while (!('release' in lock)) {
    if (performance.now() > deadline) {
      throw new SanctumError('io', `${path} is held by process ${lock.pid}. Try again.`, {
        param: path,
      });
    }
    await delay(RETRY_MS);
    lock = tryProcessLock(path);
  }
  try {
    return await work();
  } finally {
    lock.release();
  }
}

function tryRename(mine: string, path: string): boolean {
  try {
    renameSync(mine, path);
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error) ?? '')) {
      return false;
    }
    throw error;
  }
}

function clearDead(path: string): ProcessId | undefined {
  for (const claim of claimsOf(path)) {
    const holder = readClaim(claim);
    if (holder !== undefined && isAlive(holder)) {
      return holder;
    }
    rmSync(claim, { force: true });
  }
  return undefined;
}

function claimsOf(path: string): readonly string[] {
  try {
    return readdirSync(path).map((name) => join(path, name));
  } catch (error) {
    switch (errnoOf(error)) {
      case 'ENOENT':
        return [];
      case 'ENOTDIR':
        // A lock of a version before folders.
        return [path];
      default:
        throw error;
    }
  }
}

function release(path: string, name: string): void {
  rmSync(join(path, name), { force: true });
  try {
    rmdirSync(path);
  } catch {
    // Somebody else holds it by now.
  }
}

/** Undefined where nobody claims any more, and for what a power cut left of a claim. */
function readClaim(file: string): ProcessId | undefined {
  try {
    return claimSchema.safeParse(JSON.parse(readFileSync(file, 'utf8'))).data;
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === 'ENOENT') {
      return undefined;
    }
    throw error;
  }
}
