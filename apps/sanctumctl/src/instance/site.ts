import { existsSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { homePaths, type HomePaths } from '@sanctum/catalog';
import type { Environment } from '../env.js';

/** Longest path of a Unix socket on any supported system, less its terminator. */
const SOCKET_PATH_MAX = 103;

/** Where this command works: the code it came from and the home it is about. */
export interface Site {
  readonly environment: Environment;
  /** Folder that holds `apps/` and `deploy/`. */
  readonly root: string;
  readonly paths: HomePaths;
  readonly socket: string;
}

/** `--home`, else `SANCTUM_HOME`, else `.sanctum` in a checkout, else `~/.sanctum`. */
export function locateSite(environment: Environment, home: string | undefined): Site {
  const root = environment.checkout ?? fileURLToPath(new URL('../../../..', import.meta.url));
  const inCheckout = environment.checkout !== undefined || existsSync(join(root, 'nx.json'));
  const fallback = inCheckout ? join(root, '.sanctum') : join(homedir(), '.sanctum');
  const paths = homePaths(resolve(home ?? environment.home ?? fallback));
  return { environment, root, paths, socket: socketPath(paths) };
}

/** The program of a service, as the build leaves it. */
export function bundleOf(site: Site, app: 'engine' | 'router' | 'sanctumctl'): string {
  return join(site.root, 'apps', app, 'dist', 'bundle', 'main.mjs');
}

/** In the home, unless its path is too long for a socket: then in a private folder for short ones. */
function socketPath(paths: HomePaths): string {
  const own = join(paths.state, 'supervisor.sock');
  if (Buffer.byteLength(own) <= SOCKET_PATH_MAX) {
    return own;
  }
  const folder = join(tmpdir(), `sanctum-${userInfo().uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const digest = createHash('sha256').update(paths.home).digest('hex').slice(0, 16);
  return join(folder, `${digest}.sock`);
}
