import {
  ControlClient,
  endProcess,
  isAlive,
  readRecord,
  reapHome,
  type SupervisorRecord,
} from '@sanctum/supervision';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

/** Longer than the longest drain: the supervisor itself kills at each service's deadline. */
const SUPERVISOR_GRACE_MS = 60_000;
const ORPHAN_GRACE_MS = 10_000;

interface DownOptions {
  readonly site: Site;
  readonly terminal: Terminal;
}

/** Stops everything of this home, also what a killed supervisor left. */
export async function down({ site, terminal }: DownOptions): Promise<void> {
  const client = new ControlClient(site.socket);
  const record = readRecord(site.paths.supervisorFile);
  if (await client.isRunning()) {
    await terminal.step('stopping', async () => {
      const { services } = await client.status();
      await client.stop();
      await supervisorGone(record);
      return { value: undefined, detail: services.map(({ name }) => name).join(', ') };
    });
    return;
  }
  if (!(await reapLeftovers({ site, terminal }))) {
    terminal.say(`Nothing is running in ${site.paths.home}.`);
  }
}

/**
 * Ends what a supervisor that is no longer reachable left running.
 *
 * @returns whether there was anything
 */
export async function reapLeftovers({ site, terminal }: DownOptions): Promise<boolean> {
  const record = readRecord(site.paths.supervisorFile);
  if (record === undefined) {
    return false;
  }
  await supervisorGone(record);
  const reaped = await reapHome(site, ORPHAN_GRACE_MS);
  for (const { name, pids } of reaped) {
    terminal.say(
      `Ended ${name}, left by a supervisor that was killed (process ${pids.join(', ')}).`,
    );
  }
  return reaped.length > 0;
}

/** A supervisor that cannot be talked to is ended; one that is ending is waited for. */
async function supervisorGone(record: SupervisorRecord | undefined): Promise<void> {
  if (record !== undefined && record.supervisor.pid !== process.pid && isAlive(record.supervisor)) {
    await endProcess(record.supervisor, SUPERVISOR_GRACE_MS);
  }
}
