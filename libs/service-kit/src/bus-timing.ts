import { setTimeout as delay } from 'node:timers/promises';

/** Waits for work to end, but no longer than this. */
export async function withinMs(work: Promise<void>, timeoutMs: number): Promise<void> {
  const done = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: done.signal }).catch(() => undefined);
  await Promise.race([work, timeout]);
  done.abort();
}

const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 10_000;

/** Exponential with full jitter, so that services do not return in step. */
export function retryPauseMs(attempt: number, maxMs = RETRY_MAX_MS): number {
  const ceilingMs = Math.min(maxMs, RETRY_MIN_MS * 2 ** Math.min(attempt, 10));
  return Math.ceil(ceilingMs * (0.25 + 0.75 * Math.random()));
}
