import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { parseNatsVersion, type NatsVersion } from '@sanctum/contracts';
import { messageOf, SanctumError } from '@sanctum/errors';
import type { Site } from './site.js';

const VERSION_TIMEOUT_MS = 10_000;
/** Building one takes about a minute on a fast machine. */
const PROVIDE_TIMEOUT_MS = 900_000;
const run = promisify(execFile);

export interface NatsServer {
  readonly program: string;
  readonly version: NatsVersion;
  readonly label: string;
}

/**
 * `find` changes nothing; `provide` builds or fetches one where there is none, and says so;
 * `provide_unasked` may also install a package.
 */
export type NatsSearch = 'find' | 'provide' | 'provide_unasked';

const PROVISION_FLAGS = {
  find: ['--find'],
  provide: [],
  provide_unasked: ['--yes'],
} as const satisfies Record<NatsSearch, readonly string[]>;

/**
 * The nats-server to run: the one instance.yaml names, `SANCTUM_NATS_SERVER`, or what the
 * checkout's provisioner finds or provides.
 *
 * @param named `services.nats.server` of instance.yaml
 * @throws SanctumError `prerequisite_missing` with what to install
 */
export async function natsServer(
  site: Site,
  named: string | undefined,
  search: NatsSearch,
): Promise<NatsServer> {
  const { environment } = site;
  const program =
    named ??
    environment.natsServer ??
    (await provision(site, search)) ??
    onPath(environment.path, 'nats-server');
  if (program === undefined) {
    throw new SanctumError(
      'prerequisite_missing',
      'nats-server is missing. Install 2.12.6 or newer (https://nats.io/download), or name one ' +
        'under services.nats.server in instance.yaml.',
    );
  }
  return inspect(program);
}

/** The first program of this name in a PATH. */
export function onPath(path: string, name: string): string | undefined {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((program) => existsSync(program));
}

/** Undefined where there is no checkout. */
async function provision(
  { root, environment }: Site,
  search: NatsSearch,
): Promise<string | undefined> {
  const script = join(root, 'tools', 'provision', 'nats-server.mjs');
  if (!existsSync(script)) {
    return undefined;
  }
  const args = [script, ...PROVISION_FLAGS[search]];
  try {
    const running = run(process.execPath, args, {
      env: environment.inherited,
      timeout: PROVIDE_TIMEOUT_MS,
    });
    running.child.stderr?.pipe(process.stderr);
    const found = (await running).stdout.trim();
    return found === '' ? undefined : found;
  } catch (error) {
    throw new SanctumError('prerequisite_missing', lastLine(error), { cause: error });
  }
}

async function inspect(program: string): Promise<NatsServer> {
  try {
    const { stdout } = await run(program, ['--version'], { timeout: VERSION_TIMEOUT_MS });
    const version = parseNatsVersion(stdout);
    return { program, version, label: `${version.major}.${version.minor}.${version.patch}` };
  } catch (error) {
    throw new SanctumError(
      'prerequisite_missing',
      `${program} does not run as a nats-server (${messageOf(error)}).`,
      { cause: error, param: program },
    );
  }
}

function lastLine(error: unknown): string {
  const stderr =
    typeof error === 'object' && error !== null && 'stderr' in error ? String(error.stderr) : '';
  return stderr.trim().split('\n').at(-1) ?? messageOf(error);
}
