import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs';

export interface LogLimits {
  readonly bytesMax: number;
  /** Rotated files kept beside the live one: `.1` is the newest. */
  readonly filesMax: number;
}

export const DEFAULT_LOG_LIMITS: LogLimits = { bytesMax: 10 * 1024 * 1024, filesMax: 3 };

/** A descriptor that children append to. They keep it when their supervisor dies. */
export function openLog(file: string): number {
  return openSync(file, 'a', 0o600);
}

/**
 * Rotates when the live file exceeds its limit. It is copied and truncated, not renamed: writers
 * hold it open in append mode, and would follow a renamed file.
 *
 * @returns whether it rotated
 */
export function rotateLog(file: string, limits: LogLimits): boolean {
  if (!existsSync(file) || statSync(file).size <= limits.bytesMax) {
    return false;
  }
  for (let index = limits.filesMax - 1; index >= 1; index -= 1) {
    const older = `${file}.${index}`;
    if (existsSync(older)) {
      renameSync(older, `${file}.${index + 1}`);
    }
  }
  copyFileSync(file, `${file}.1`);
  truncateSync(file);
  return true;
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
