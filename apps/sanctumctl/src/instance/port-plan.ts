import { rmSync } from 'node:fs';
import {
  applyPorts,
  pickFreePorts,
  portsOf,
  PORT_NAMES,
  PORT_SETTINGS,
  readPorts,
  writePorts,
  type HomePaths,
  type Instance,
  type PortName,
} from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import { findPortHolder, isPortFree } from '@sanctum/supervision';

export type PortMode = 'configured' | 'auto';

/**
 * Settles on which ports this run listens, and records them for the services: those recorded
 * before when they are free, else newly picked ones (`auto`); those of instance.yaml (`configured`).
 *
 * @param instance as the file says, or with recorded ports
 * @throws SanctumError `port_in_use` naming every port that is taken, and by which process
 */
export async function settlePorts(
  instance: Instance,
  paths: HomePaths,
  mode: PortMode,
): Promise<Instance> {
  if (mode === 'auto') {
    return autoPorts(instance, paths);
  }
  const problems = (await takenPorts(instance)).map(describeTaken);
  if (problems.length > 0) {
    throw new SanctumError('port_in_use', problems.join('\n'));
  }
  return instance;
}

/** Forgets what `--ports auto` picked, so that instance.yaml counts again. */
export function forgetPorts(paths: HomePaths): void {
  rmSync(paths.portsFile, { force: true });
}

async function autoPorts(instance: Instance, paths: HomePaths): Promise<Instance> {
  const names = PORT_NAMES.filter((name) => portsOf(instance)[name] !== undefined);
  const recorded = readPorts(paths.portsFile) ?? {};
  const reusable =
    names.every((name) => recorded[name] !== undefined) &&
    (await takenPorts(instance)).length === 0;
  if (reusable) {
    return instance;
  }
  const ports = await pickFreePorts(names);
  writePorts(paths.portsFile, ports);
  return applyPorts(instance, ports);
}

export interface TakenPort {
  readonly name: PortName;
  readonly port: number;
  /** `program arguments (process 123)`, or undefined when this user may not see it. */
  readonly holder: string | undefined;
}

/** Ports of enabled services that another process listens on. */
export async function takenPorts(instance: Instance): Promise<readonly TakenPort[]> {
  const taken: TakenPort[] = [];
  for (const name of PORT_NAMES) {
    const port = portsOf(instance)[name];
    if (port !== undefined && !(await isPortFree('127.0.0.1', port))) {
      const holder = findPortHolder(port);
      taken.push({
        name,
        port,
        holder: holder && `${holder.command} (process ${holder.pid})`,
      });
    }
  }
  return taken;
}

export function describeTaken({ name, port, holder }: TakenPort): string {
  return (
    `Port ${port} (${PORT_SETTINGS[name].join('.')}) is in use by ` +
    `${holder ?? 'a process this user may not see'}. ` +
    'End it, set another port in instance.yaml, or run `sanctumctl up --ports auto`.'
  );
}
