import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { messageOf, SanctumError } from '@sanctum/errors';
import type { OpenFile } from './model-files.js';

/** Fits a core's second-level cache, so that hashing reads what was just copied. */
const BUFFER_BYTES = 256 * 1024;
const REPORT_BYTES = 16 * 1024 * 1024;
/** A thread takes about 30 ms to start, in which one core hashes about this much. */
const BYTES_PER_THREAD = 32 * 1024 * 1024;

export interface HashProgress {
  readonly hashedBytes: number;
  readonly totalBytes: number;
  /** The file the news is about. */
  readonly name: string;
}

export interface HashOptions {
  readonly onProgress?: (progress: HashProgress) => void;
  /** All cores by default; fewer when there is little to hash. */
  readonly threads?: number;
}

interface Report {
  readonly index: number;
  /** Hashed since the last report. */
  readonly bytes: number;
  readonly digest?: string;
}

/**
 * SHA-256 of open files, in their order, 64 hexadecimal digits each. Threads read the descriptors
 * they are given by position: nothing is opened again. The largest files start first, so that cores
 * end together. Throws `io`.
 */
export async function hashFiles(
  files: readonly OpenFile[],
  options: HashOptions = {},
): Promise<string[]> {
  const order = [...files].sort((a, b) => b.size - a.size);
  const totalBytes = order.reduce((sum, file) => sum + file.size, 0);
  const cores = options.threads ?? availableParallelism();
  const useful = Math.ceil(totalBytes / BYTES_PER_THREAD);
  const threads = Math.max(1, Math.min(cores, files.length, useful));
  const workerData = {
    fds: order.map((file) => file.fd),
    next: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
    bufferBytes: BUFFER_BYTES,
    reportBytes: REPORT_BYTES,
  };
  const digests = new Map<string, string>();
  let hashedBytes = 0;
  const receive = ({ index, bytes, digest }: Report): void => {
    const name = order[index]?.name ?? '';
    hashedBytes += bytes;
    if (digest !== undefined) digests.set(name, digest);
    options.onProgress?.({ hashedBytes, totalBytes, name });
  };
  await Promise.all(Array.from({ length: threads }, () => runThread(workerData, receive)));
  return files.map((file) => digests.get(file.name) ?? '');
}

function runThread(workerData: unknown, receive: (report: Report) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(new URL('./hash-worker.mjs', import.meta.url), { workerData });
    const fail = (error: unknown): void => {
      void thread.terminate();
      reject(
        new SanctumError('io', `A model file could not be hashed: ${messageOf(error)}`, {
          cause: error,
        }),
      );
    };
    thread.on('message', (report: Report) => {
      try {
        receive(report);
      } catch (error) {
        fail(error);
      }
    });
    thread.once('error', fail);
    thread.once('exit', () => resolve());
  });
}
