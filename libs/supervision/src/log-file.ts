import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';

export interface LogLimits {
  readonly bytesMax: number;
  /** Rotated files kept beside the live one: `.1` is the newest. */
  readonly filesMax: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = { bytesMax: 10 * 1024 * 1024, filesMax: 3 };

const CHUNK_BYTES = 1024 * 1024;

/** A descriptor that children append to. They keep it when their supervisor dies. */
export function openLog(file: string): number {
  return openSync(file, 'a', 0o600);
}

/** Runs work while nobody writes to a log; whether it could. */
export type Hold = (work: () => void) => Promise<boolean>;

/** For a log that nobody writes to but this very thread. */
export const UNHELD: Hold = (work) => {
  work();
  return Promise.resolve(true);
};

/**
 * Rotates when the live file exceeds its limit. It is copied and truncated, not renamed: writers
 * hold it open in append mode, and would follow a renamed file. Most of it is copied while they
 * write; the rest, and the truncation, are done while they are held, so that no line falls between.
 *
 * @returns whether it rotated: not when the writers could not be held
 */
export async function rotateLog(
  file: string,
  limits: LogLimits,
  hold: Hold = UNHELD,
): Promise<boolean> {
  if (!existsSync(file) || statSync(file).size <= limits.bytesMax) {
    return false;
  }
  const next = `${file}.next`;
  copyFileSync(file, next);
  const rotated = await hold(() => {
    copyRest(file, next);
    for (let index = limits.filesMax - 1; index >= 1; index -= 1) {
      const older = `${file}.${index}`;
      if (existsSync(older)) {
        renameSync(older, `${file}.${index + 1}`);
      }
    }
    // Before the truncation: whoever is killed between the two leaves lines twice, and none out.
    renameSync(next, `${file}.1`);
    truncateSync(file);
  });
  if (!rotated) rmSync(next, { force: true });
  return rotated;
}

/** Appends what `from` has beyond the length of `to`. */
function copyRest(from: string, to: string): void {
  const source = openSync(from, 'r');
  const target = openSync(to, 'a');
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let position = fstatSync(target).size;
    for (;;) {
      const bytes = readSync(source, chunk, 0, chunk.length, position);
      if (bytes === 0) return;
      writeFully(target, chunk.subarray(0, bytes));
      position += bytes;
    }
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

function writeFully(descriptor: number, bytes: Buffer): void {
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written);
}

/** Runs `use` with an open log and closes it in this process. */
export function withLog<T>(file: string, use: (descriptor: number) => T): T {
  const descriptor = openLog(file);
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
