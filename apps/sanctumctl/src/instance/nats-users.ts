import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Instance } from '@sanctum/catalog';
import { errnoOf } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { ControlClient } from '@sanctum/supervision';
import { natsServer } from './nats-server.js';
import { writeNatsConfig } from './prepare.js';
import type { Site } from './site.js';

const RELOAD_TIMEOUT_MS = 5000;
const RELOAD_POLL_MS = 20;

/** What became of a change of who may log in: NATS was told, or will read it when it starts. */
export type Announcement = 'reloaded' | 'written' | 'no_nats';

/**
 * Renders who may log in to NATS from the ledger, and has a running server read it: it lets go of
 * connections whose generation is no longer accepted, and of no others. Resolves when it has read it;
 * throws `io` when it has not within five seconds.
 */
export async function announceIdentities(site: Site, instance: Instance): Promise<Announcement> {
  const { nats } = instance.services;
  if (nats?.enabled !== true || !existsSync(site.paths.natsConfig)) return 'no_nats';
  await writeNatsConfig(site.paths, instance, await natsServer(site, nats.server, 'find'));
  const client = new ControlClient(site.socket);
  if (!(await client.isRunning())) return 'written';
  const { services } = await client.status();
  const pid = services.find(({ name }) => name === 'nats')?.pid ?? null;
  // A pid of 0 or 1 would signal this very group, or init.
  if (pid === null || pid <= 1) return 'written';
  return reload(pid, site, nats.monitor_port);
}

async function reload(pid: number, { paths }: Site, monitorPort: number): Promise<Announcement> {
  const before = await loadedAt(monitorPort);
  try {
    process.kill(pid, 'SIGHUP');
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return 'written';
    throw error;
  }
  const deadline = performance.now() + RELOAD_TIMEOUT_MS;
  while ((await loadedAt(monitorPort)) === before) {
    if (performance.now() > deadline) {
      throw new SanctumError(
        'io',
        `nats-server did not read who may log in within ${RELOAD_TIMEOUT_MS / 1000} s. ` +
          `${paths.logs}/nats.log says why; put it right and run the same command again.`,
      );
    }
    await delay(RELOAD_POLL_MS);
  }
  return 'reloaded';
}

/** When a running server read its configuration last; undefined when it ended meanwhile. */
async function loadedAt(monitorPort: number): Promise<string | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${monitorPort}/varz`, {
      signal: AbortSignal.timeout(RELOAD_TIMEOUT_MS),
    });
    return ((await answer.json()) as { config_load_time?: string }).config_load_time;
  } catch {
    return undefined;
  }
}
