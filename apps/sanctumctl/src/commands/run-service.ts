import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { loadInstance } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { ControlClient } from '@sanctum/supervision';
import { FALLBACK_SERVICE } from '../instance/fallback.js';
import { serviceUrls } from '../instance/service-specs.js';
import type { Site } from '../instance/site.js';
import { planServices } from './supervise.js';

/** A terminal sends SIGINT to the service as well: twice would be once too often. */
const FORWARDED = ['SIGTERM', 'SIGHUP'] as const;

/**
 * Runs one service of a prepared home in the foreground, with the environment and the secrets that
 * the supervisor would give it: what a unit of systemd or launchd starts. Resolves with its exit
 * status, 128 and the signal's number when a signal ended it.
 *
 * @throws SanctumError `invalid_request` for a service that is not enabled, or while a supervisor runs
 */
export async function runService(site: Site, name: string): Promise<number> {
  if (await new ControlClient(site.socket).isRunning()) {
    throw new SanctumError(
      'invalid_request',
      `A supervisor runs in ${site.paths.home}. Stop it first: \`sanctumctl down\`.`,
    );
  }
  const [spec] = await planServices({
    site,
    only: [name],
    withFallback: name === FALLBACK_SERVICE,
  });
  if (spec === undefined) {
    const known = Object.keys(serviceUrls(loadInstance(site.paths.instanceFile))).join(', ');
    throw new SanctumError(
      'invalid_request',
      `${site.paths.instanceFile} enables no service "${name}"; there are: ${known || 'none'}.`,
    );
  }
  const [program, ...args] = spec.command;
  const child = spawn(program, args, { cwd: spec.cwd, env: spec.env, stdio: 'inherit' });
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const forward = (signal: NodeJS.Signals): void => void child.kill(signal);
  const stay = (): void => undefined;
  for (const signal of FORWARDED) process.on(signal, forward);
  process.on('SIGINT', stay);
  try {
    const [code, signal] = await ended;
    return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
  } finally {
    for (const signal of FORWARDED) process.off(signal, forward);
    process.off('SIGINT', stay);
  }
}
