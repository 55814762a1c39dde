import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errnoOf, homePaths, type HomePaths } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
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

/**
 * `--home`, else `SANCTUM_HOME`, else `.sanctum` in a checkout, else `~/.sanctum`. Throws `io` when a
 * long one needs the folder for short socket paths and that is not this user's alone.
 */
export function locateSite(environment: Environment, home: string | undefined): Site {
  const root = environment.checkout ?? fileURLToPath(new URL('../../../..', import.meta.url));
  const inCheckout = environment.checkout !== undefined || existsSync(join(root, 'nx.json'));
  const fallback = inCheckout ? join(root, '.sanctum') : join(homedir(), '.sanctum');
  const paths = homePaths(resolve(home ?? environment.home ?? fallback));
  return { environment, root, paths, socket: socketPath(paths, environment) };
}

/** The program of a service, as the build leaves it. */
export function bundleOf(site: Site, app: 'engine' | 'router' | 'sanctumctl'): string {
  return join(site.root, 'apps', app, 'dist', 'bundle', 'main.mjs');
}

/** In the home, unless its path is too long for a socket: then in a private folder for short ones. */
function socketPath(paths: HomePaths, { temporaryFolder }: Environment): string {
  const own = join(paths.state, 'supervisor.sock');
  if (Buffer.byteLength(own) <= SOCKET_PATH_MAX) {
    return own;
  }
  const folder = ensurePrivateFolder(join(temporaryFolder, `sanctum-${userInfo().uid}`));
  const digest = createHash('sha256').update(paths.home).digest('hex').slice(0, 16);
  return join(folder, `${digest}.sock`);
}

/** Its name can be guessed: whoever made it first could listen in our place. */
function ensurePrivateFolder(path: string): string {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  const stats = lstatSync(path);
  const isOurs = stats.isDirectory() && stats.uid === userInfo().uid;
  if (isOurs && (stats.mode & 0o777) === 0o700) return path;
  throw new SanctumError(
    'io',
    `${path}, where the control socket of a home with a long path lies, has to be a folder of this ` +
      'user with mode 0700, and no link. Remove it, or name a home with a shorter path.',
    { param: path },
  );
}
