import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, SanctumError } from '@sanctum/errors';
import { errnoOf } from './errno.js';
import type { HomePaths } from './home-paths.js';
import type { Instance } from './instance-schema.js';

/** Of one secret; keys and tokens are short. */
export const SECRET_BYTES_MAX = 8 * 1024;
const OTHERS = 0o077;
const ONE_LINE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;

/** The variables that instance.yaml names with `api_key_env`: each may have a file in `secrets/`. */
export function secretNames(instance: Instance): readonly string[] {
  const backends = Object.values(instance.services.router?.backends ?? {});
  const names = backends.flatMap(({ api_key_env: own, fallback_urls: fallbacks }) => [
    own,
    ...fallbacks.map((entry) => (typeof entry === 'string' ? undefined : entry.api_key_env)),
  ]);
  return [...new Set(names.filter((name) => typeof name === 'string'))].sort();
}

/**
 * The values of `secrets/<NAME>`, for those names that have a file. Throws `config_invalid`, naming
 * the file and never its content, when others may read it or it does not hold one line.
 */
export function readSecrets(
  paths: Pick<HomePaths, 'secrets'>,
  names: readonly string[],
): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = readSecret(join(paths.secrets, name));
    if (value !== undefined) found[name] = value;
  }
  return found;
}

function readSecret(path: string): string | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw invalid(path, 'is no plain file');
    if ((stats.mode & OTHERS) !== 0) {
      throw invalid(path, `can be read by others: run chmod 600 ${path}`);
    }
    if (stats.size > SECRET_BYTES_MAX) {
      throw invalid(path, `is larger than ${SECRET_BYTES_MAX} bytes`);
    }
    const text = readFileSync(fd, 'utf8').trim();
    if (!ONE_LINE.test(text)) throw invalid(path, 'does not hold one line of printable characters');
    return text;
  } catch (error) {
    if (error instanceof SanctumError) throw error;
    if (fd === undefined && errnoOf(error) === 'ENOENT') return undefined;
    throw invalid(path, `cannot be read: ${messageOf(error)}`, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function invalid(path: string, what: string, cause?: unknown): SanctumError {
  return new SanctumError('config_invalid', `The secret ${path} ${what}.`, { param: path, cause });
}
