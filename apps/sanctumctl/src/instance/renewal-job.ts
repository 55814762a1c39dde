import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { messageOf } from '@sanctum/errors';
import { bundleOf, type Site } from './site.js';

/** Far shorter than the jitter of the shortest lifetime: a leaf of one day is due over 72 minutes. */
export const RENEWAL_INTERVAL_MS = 5 * 60_000;
const RUN_TIMEOUT_MS = 120_000;
const run = promisify(execFile);

export interface RenewalJobOptions {
  readonly intervalMs?: number;
  /** Renews what is due, once. */
  readonly renew: () => Promise<void>;
  readonly say: (line: string) => void;
}

/** Renews what is due, again and again, until it is stopped; a failure is said and tried again. */
export function startRenewalJob(options: RenewalJobOptions): { stop(): Promise<void> } {
  const { intervalMs = RENEWAL_INTERVAL_MS, renew, say } = options;
  const stop = new AbortController();
  const running = (async () => {
    while (await elapsed(intervalMs, stop.signal)) {
      try {
        await renew();
      } catch (error) {
        say(`certs renew --due failed: ${messageOf(error)}`);
      }
    }
  })();
  return {
    stop: async () => {
      stop.abort();
      await running;
    },
  };
}

/** In a process of its own, so that the key of the CA is in none that lives long. */
export async function renewInProcess(site: Site): Promise<void> {
  const args = [bundleOf(site, 'sanctumctl'), 'certs', 'renew', '--due', '--home', site.paths.home];
  await run(process.execPath, args, {
    env: { ...site.environment.inherited, SANCTUM_CHECKOUT: site.root },
    timeout: RUN_TIMEOUT_MS,
  });
}

/** Whether the time went by before it was cut short. */
async function elapsed(timeMs: number, signal: AbortSignal): Promise<boolean> {
  return delay(timeMs, undefined, { signal, ref: false }).then(
    () => true,
    () => false,
  );
}
