import { join } from 'node:path';
import { tryProcessLock, type HomePaths } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';

/** Where the lock of a home lies. */
export function lockFile(paths: HomePaths): string {
  return join(paths.state, 'supervisor.lock');
}

/**
 * One supervisor per home.
 *
 * @returns a function that releases it
 * @throws SanctumError `io` naming the live holder
 */
export function acquireLock(file: string): () => void {
  const lock = tryProcessLock(file);
  if ('release' in lock) {
    return () => lock.release();
  }
  throw new SanctumError(
    'io',
    `This home is supervised already by process ${lock.pid} (${file}). ` +
      'See `sanctumctl status`; `sanctumctl down` ends it.',
    { param: file },
  );
}
