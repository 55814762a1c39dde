import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/**
 * A thread of hash-files.ts: takes the next file off the shared counter until none is left. It reads
 * by position, so threads may share a descriptor.
 *
 * @type {{ fds: readonly number[], next: Int32Array, bufferBytes: number, reportBytes: number }}
 */
const { fds, next, bufferBytes, reportBytes } = workerData;
const buffer = Buffer.allocUnsafeSlow(bufferBytes);

for (let index = take(); index < fds.length; index = take()) {
  const fd = fds[index];
  if (fd !== undefined) hashFile(index, fd);
}

function take() {
  return Atomics.add(next, 0, 1);
}

/**
 * @param {number} index
 * @param {number} fd
 */
function hashFile(index, fd) {
  const hash = createHash('sha256');
  let position = 0;
  let unreported = 0;
  for (;;) {
    const read = readSync(fd, buffer, 0, bufferBytes, position);
    if (read === 0) break;
    hash.update(read === bufferBytes ? buffer : buffer.subarray(0, read));
    position += read;
    unreported += read;
    if (unreported >= reportBytes) {
      parentPort?.postMessage({ index, bytes: unreported });
      unreported = 0;
    }
  }
  parentPort?.postMessage({ index, bytes: unreported, digest: hash.digest('hex') });
}
