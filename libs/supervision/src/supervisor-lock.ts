import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { errnoOf, type HomePaths } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { findProcess, isAlive, type ProcessId } from './process-table.js';

const TAKEOVERS_MAX = 10;

/** Where the lock of a home lies. */
export function lockFile(paths: HomePaths): string {
  return join(paths.state, 'supervisor.lock');
}

/**
 * One supervisor per home. The lock names its holder by pid and start time, so a dead holder's is
 * taken over.
 *
 * @returns a function that releases it
 * @throws SanctumError `io` naming the live holder
 */
export function acquireLock(file: string): () => void {
  const self = findProcess(process.pid);
  if (self === undefined) {
    throw new SanctumError('io', 'This process does not find itself in the process table.');
  }
  const mine = `${file}.${randomBytes(6).toString('hex')}`;
  writeFileSync(mine, JSON.stringify({ pid: self.pid, started: self.started }), { mode: 0o600 });
  try {
    for (let attempt = 0; attempt < TAKEOVERS_MAX; attempt += 1) {
      if (tryLink(mine, file)) {
        return () => rmSync(file, { force: true });
      }
      clearDead(file);
    }
    throw new SanctumError('io', `${file} changes hands all the time; try again.`);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Link instead of create: the lock never exists without its content. */
function tryLink(mine: string, file: string): boolean {
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') {
      return false;
    }
    throw error;
  }
}

function clearDead(file: string): void {
  const holder = readHolder(file);
  if (holder !== undefined && isAlive(holder)) {
    throw new SanctumError(
      'io',
      `This home is supervised already by process ${holder.pid} (${file}). ` +
        'See `sanctumctl status`; `sanctumctl down` ends it.',
      { param: file },
    );
  }
  // Moved aside before it is judged again: a lock that changed hands since is put back.
  const aside = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      return;
    }
    throw error;
  }
  const moved = readHolder(aside);
  if (moved !== undefined && isAlive(moved)) {
    tryLink(aside, file);
  }
  rmSync(aside, { force: true });
}

function readHolder(file: string): ProcessId | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof value === 'object' &&
      value !== null &&
      'pid' in value &&
      typeof value.pid === 'number' &&
      'started' in value &&
      typeof value.started === 'string'
      ? { pid: value.pid, started: value.started }
      : undefined;
  } catch {
    return undefined;
  }
}
