import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { SanctumError } from '@sanctum/errors';
import { ControlClient, readRecord, tailLog, type ServiceEvent } from '@sanctum/supervision';
import { bundleOf, type Site } from '../instance/site.js';
import { stopSupervisor } from './down.js';
import { supervise, type SuperviseOptions } from './supervise.js';

/** Which services of an instance are to run. */
export type Selection = Omit<SuperviseOptions, 'site'>;

const LOG_LINES_SHOWN = 5;

/** A supervisor that was just started, here or in a process of its own. */
export interface Launch {
  /** Resolves when the service is ready, with how it said so; throws with why it failed. */
  untilReady(service: string): Promise<string>;
  /** Stops everything that was started. */
  stop(): Promise<void>;
  /** In the foreground: when all is stopped. Detached: at once. */
  readonly ended: Promise<void>;
}

/** Supervises in this process; SIGINT, SIGTERM and SIGHUP stop everything in order. */
export async function launchHere(site: Site, selection: Selection): Promise<Launch> {
  const supervision = await supervise({ site, ...selection });
  const stop = () => void supervision.stop();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, stop);
  }
  // A failed start is told by the service that failed; what follows it is stopped by the caller.
  supervision.started.catch(() => undefined);
  return {
    untilReady: (service) => untilReady(site, service),
    stop: async () => {
      await supervision.stop();
      await supervision.ended;
    },
    ended: supervision.ended,
  };
}

/** Starts `sanctumctl supervise` in a session of its own, and waits until it can be talked to. */
export async function launchDetached(site: Site, selection: Selection): Promise<Launch> {
  const log = join(site.paths.logs, 'supervisor.log');
  const descriptor = openSync(log, 'a', 0o600);
  const args = [bundleOf(site, 'sanctumctl'), 'supervise', '--home', site.paths.home];
  const child = spawn(process.execPath, [...args, ...selectionFlags(selection)], {
    cwd: site.paths.home,
    env: { ...site.environment.inherited, SANCTUM_CHECKOUT: site.root },
    detached: true,
    stdio: ['ignore', descriptor, descriptor, 'ipc'],
  });
  closeSync(descriptor);
  const listening = once(child, 'message').then(() => true);
  const exited = once(child, 'exit').then(() => false);
  if (!(await Promise.race([listening, exited]))) {
    const lines = await lastLines(log);
    throw new SanctumError('io', `The supervisor did not start. ${log} ends with:\n${lines}`);
  }
  child.disconnect();
  child.unref();
  return {
    untilReady: (service) => untilReady(site, service),
    stop: () => stopSupervisor(site, readRecord(site.paths.supervisorFile)),
    ended: Promise.resolve(),
  };
}

function selectionFlags({ only, withFallback }: Selection): string[] {
  const flags = (only ?? []).flatMap((name) => ['--only', name]);
  return withFallback === true ? [...flags, '--with-fallback'] : flags;
}

async function untilReady(site: Site, name: string): Promise<string> {
  const client = new ControlClient(site.socket);
  const abort = new AbortController();
  try {
    // Watching begins before the first look, so that no change falls between the two.
    const changes = client.watch(abort.signal);
    let change: Promise<IteratorResult<ServiceEvent, void>> = changes.next();
    const { services } = await client.status();
    const service = services.find((candidate) => candidate.name === name);
    let current: Pick<ServiceEvent, 'state' | 'reason'> | undefined = service;
    while (current?.state !== 'ready') {
      if (current?.state === 'failed') {
        throw await failure(site, name, current.reason);
      }
      const { value, done } = await change;
      if (done === true) {
        throw new SanctumError('io', `Stopped before ${name} was ready.`);
      }
      current = value.name === name ? value : current;
      change = changes.next();
    }
    return service?.url ?? '';
  } finally {
    abort.abort();
  }
}

async function failure(site: Site, name: string, reason: string | null): Promise<SanctumError> {
  const log = join(site.paths.logs, `${name}.log`);
  const said = await lastLines(log);
  return new SanctumError(
    'io',
    `${name} did not start: ${reason ?? 'no reason given'}. ${log} ends with:\n${said}`,
  );
}

async function lastLines(file: string): Promise<string> {
  const lines: string[] = [];
  const { signal } = new AbortController();
  for await (const line of tailLog(file, { lines: LOG_LINES_SHOWN, follow: false, signal })) {
    lines.push(`  ${line}`);
  }
  return lines.join('\n');
}
