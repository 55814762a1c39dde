import { existsSync } from 'node:fs';
import type { Instance } from '@sanctum/catalog';
import { errnoOf } from '@sanctum/catalog';
import { ControlClient } from '@sanctum/supervision';
import { natsServer } from './nats-server.js';
import { writeNatsConfig } from './prepare.js';
import type { Site } from './site.js';

/** What became of a change of who may log in: NATS was told, or will read it when it starts. */
export type Announcement = 'reloaded' | 'written' | 'no_nats';

/**
 * Renders who may log in to NATS from the ledger, and has a running server read it: it lets go of
 * connections whose generation is no longer accepted, and of no others.
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
  try {
    process.kill(pid, 'SIGHUP');
    return 'reloaded';
  } catch (error) {
    if (errnoOf(error) === 'ESRCH') return 'written';
    throw error;
  }
}
