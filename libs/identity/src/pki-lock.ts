import { createHome, withProcessLock, type HomePaths } from '@sanctum/catalog';
import { pkiFiles } from './pki-files.js';

const WAIT_MS = 30_000;

/**
 * Runs one change of the PKI at a time in a home: the ledger, the revocation list and the
 * certificates change together. What a killed process left is taken over. Throws `io` when another
 * process holds on for 30 seconds.
 */
export async function withPkiLock<T>(home: HomePaths, change: () => Promise<T>): Promise<T> {
  createHome(home.home);
  return withProcessLock(pkiFiles(home).lock, WAIT_MS, change);
}
