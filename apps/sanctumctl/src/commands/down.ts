import { isAlive } from '@sanctum/catalog';
import {
  ControlClient,
  endProcess,
  hasEnded,
  readRecord,
  reapHome,
  type SupervisorRecord,
} from '@sanctum/supervision';
import type { Site } from '../instance/site.js';
import type { Terminal } from '../terminal/terminal.js';

/** Longer than the longest drain: the supervisor itself kills at each service's deadline. */
const SUPERVISOR_GRACE_MS = 60_000;
/** For a supervisor that does not answer: it will not listen to SIGTERM either. */
const HANGING_GRACE_MS = 2_000;
/** For each service it leaves. */
const ORPHAN_GRACE_MS = 10_000;

interface DownOptions {
  readonly site: Site;
  readonly terminal: Terminal;
}

/** Stops everything of this home, also what a killed or hanging supervisor left. */
export async function down(options: DownOptions): Promise<void> {
  const { site, terminal } = options;
  const record = readRecord(site.paths.supervisorFile);
  if (await stopPolitely(options, record)) {
    return;
  }
  if (record !== undefined && isAlive(record.supervisor)) {
    terminal.say(`Supervisor ${record.supervisor.pid} does not answer: it is ended.`);
    await endProcess(record.supervisor, HANGING_GRACE_MS);
  }
  if (!(await reapLeftovers(options))) {
    terminal.say(`Nothing is running in ${site.paths.home}.`);
  }
}

/** Asks the supervisor to stop everything. Returns whether there was one that answers. */
async function stopPolitely(
  { site, terminal }: DownOptions,
  record: SupervisorRecord | undefined,
): Promise<boolean> {
  const client = new ControlClient(site.socket);
  if (!(await client.isRunning())) {
    return false;
  }
  const answer = await client.status().catch(() => undefined);
  if (answer === undefined) {
    return false;
  }
  await terminal.step('stopping', async () => {
    await stopSupervisor(site, record);
    const detail = answer.services.map(({ name }) => name).join(', ');
    return { value: undefined, detail };
  });
  return true;
}

/** Has the supervisor stop everything; resolves when it has itself ended. */
export async function stopSupervisor(
  site: Site,
  record: SupervisorRecord | undefined,
): Promise<void> {
  await new ControlClient(site.socket).stop();
  // A signal that meets it on its way out would end it as if it had not stopped in order.
  if (record !== undefined && !(await hasEnded(record.supervisor, SUPERVISOR_GRACE_MS))) {
    await endProcess(record.supervisor, SUPERVISOR_GRACE_MS);
  }
}

/**
 * Ends what a dead supervisor left running.
 *
 * @returns whether there was anything
 * @throws SanctumError `io` naming a supervisor that lives
 */
export async function reapLeftovers({ site, terminal }: DownOptions): Promise<boolean> {
  if (readRecord(site.paths.supervisorFile) === undefined) {
    return false;
  }
  const reaped = await reapHome(site, ORPHAN_GRACE_MS);
  for (const { name, pids } of reaped) {
    terminal.say(
      `Ended ${name}, left by a supervisor that was killed (process ${pids.join(', ')}).`,
    );
  }
  return reaped.length > 0;
}
