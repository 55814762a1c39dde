import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { messageOf, SanctumError } from '@sanctum/errors';
import { MANIFEST_BYTES_MAX } from './manifest-text.js';

/**
 * The bytes of a manifest, signature, key or bundle. It is opened once: what is measured is what is
 * read. Throws `manifest_refused` when it is no plain file, too large or unreadable.
 */
export function readSmallFile(path: string, what: string): Buffer {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Error('it is no plain file');
    if (stats.size > MANIFEST_BYTES_MAX) {
      throw new Error(`it is larger than ${MANIFEST_BYTES_MAX} bytes`);
    }
    return readFileSync(fd);
  } catch (error) {
    throw new SanctumError(
      'manifest_refused',
      `The ${what} ${path} cannot be read: ${messageOf(error)}`,
      { cause: error, param: path },
    );
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}
