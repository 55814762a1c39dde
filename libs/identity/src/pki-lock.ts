import { open, readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { createHome, errnoOf, type HomePaths } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { pkiFiles } from './pki-files.js';

const WAIT_MS = 30_000;
const RETRY_MS = 25;

/**
 * Runs one change of the PKI at a time in a home: the ledger, the revocation list and the
 * certificates change together. What a killed process left is taken over. Throws `io` when another
 * process holds on for 30 seconds.
 */
export async function withPkiLock<T>(home: HomePaths, change: () => Promise<T>): Promise<T> {
  const { lock } = pkiFiles(home);
  createHome(home.home);
  const deadline = Date.now() + WAIT_MS;
  while (!(await tryLock(lock))) {
    if (Date.now() > deadline) {
      throw new SanctumError(
        'io',
        `${lock} is held by another sanctumctl. Wait for it, or remove the file if none runs.`,
        { param: lock },
      );
    }
    await delay(RETRY_MS);
  }
  try {
    return await change();
  } finally {
    await rm(lock, { force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    const holder = Number(await readFile(path, 'utf8').catch(() => ''));
    if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
    return false;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
