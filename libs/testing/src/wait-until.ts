import { setTimeout as delay } from 'node:timers/promises';

export interface WaitOptions {
  /** Said when it does not happen: `the spool is empty`. */
  readonly what: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 20_000;
const INTERVAL_MS = 20;

/**
 * For what no event announces: asks until the answer is not undefined or false, and fails with
 * `what` after a deadline. Returns the answer.
 */
export async function waitUntil<Answer>(
  ask: () => Answer | undefined | false | Promise<Answer | undefined | false>,
  options: WaitOptions,
): Promise<Answer> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${options.what}`);
    }
    await delay(INTERVAL_MS);
  }
}
