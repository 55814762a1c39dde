import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withProcessLock, type Instance } from '@sanctum/catalog';
import { messageOf, SanctumError } from '@sanctum/errors';
import { onPath } from './nats-server.js';
import type { Site } from './site.js';

export const FALLBACK_SERVICE = 'mlx-py-fallback';

const run = promisify(execFile);
const PYTHON_TIMEOUT_MS = 60_000;
/** Several hundred megabytes are downloaded. */
const INSTALL_TIMEOUT_MS = 1_800_000;
const OUTPUT_BYTES_MAX = 16 << 20;
/** What the locked packages need at least. */
const PYTHON_MINOR_MIN = 11;
const PYTHON_NAMES = ['python3', 'python3.14', 'python3.13', 'python3.12', 'python3.11'] as const;
const PYTHON_CHECK =
  'import sys, venv, ensurepip; print(sys.version_info.major, sys.version_info.minor)';

/** How the fallback is run. */
export interface FallbackProgram {
  readonly python: string;
  readonly script: string;
}

/** The program, when its environment is there already. */
export function findFallback(site: Site): FallbackProgram | undefined {
  const { folder, marker, script } = locate(site);
  return existsSync(marker) ? { python: pythonOf(folder), script } : undefined;
}

/**
 * Makes the fallback's own Python environment in the user's cache where there is none: the packages
 * of `deploy/fallback/requirements.txt`, each proven by its hash.
 *
 * @throws SanctumError `prerequisite_missing` with what to install
 */
export async function ensureFallback(site: Site, instance: Instance): Promise<FallbackProgram> {
  const found = findFallback(site);
  if (found !== undefined) return found;
  const { folder } = locate(site);
  mkdirSync(dirname(folder), { recursive: true });
  // Homes share the cache: who comes second waits for the environment that the first one makes.
  return withProcessLock(
    `${folder}.lock`,
    INSTALL_TIMEOUT_MS,
    async () => findFallback(site) ?? (await makeFallback(site, instance)),
  );
}

async function makeFallback(site: Site, instance: Instance): Promise<FallbackProgram> {
  const { folder, marker, requirements, script } = locate(site);
  const python = await usablePython(site, instance.services.fallback?.python);
  // Without its marker it was left unfinished.
  rmSync(folder, { recursive: true, force: true });
  await attempt(python, ['-m', 'venv', folder], PYTHON_TIMEOUT_MS);
  const pip = ['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--quiet'];
  const locked = ['--require-hashes', '--only-binary', ':all:', '-r', requirements];
  await attempt(pythonOf(folder), [...pip, ...locked], INSTALL_TIMEOUT_MS);
  writeFileSync(marker, '');
  return { python: pythonOf(folder), script };
}

/** Whether a backend's last URL is the fallback; otherwise it would run for nobody. */
export function assertFallbackConfigured(instance: Instance): void {
  const { fallback, router } = instance.services;
  if (fallback?.enabled !== true) {
    throw new SanctumError(
      'config_invalid',
      'instance.yaml has no services.fallback. Add `fallback: { port: 8901 }` under services, and ' +
        "http://127.0.0.1:8901/v1 as the last of fallback_urls of the engine's backend.",
      { param: 'services.fallback' },
    );
  }
  const lastUrls = Object.values(router?.backends ?? {}).map(({ url, fallback_urls: more }) => {
    const last = more.at(-1) ?? url;
    return new URL(typeof last === 'string' ? last : last.url);
  });
  if (lastUrls.some(({ port }) => Number(port) === fallback.port)) return;
  throw new SanctumError(
    'config_invalid',
    `No backend of services.router has port ${fallback.port} as its last URL, so nothing would ask ` +
      `the fallback. Add http://127.0.0.1:${fallback.port}/v1 to fallback_urls of the engine's backend.`,
    { param: 'services.router.backends' },
  );
}

function locate({ root, environment }: Site) {
  const folder = join(root, 'deploy', 'fallback');
  const requirements = join(folder, 'requirements.txt');
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const own = join(environment.cacheFolder, 'fallback', digest);
  return {
    folder: own,
    marker: join(own, '.complete'),
    requirements,
    script: join(folder, 'serve.py'),
  };
}

function pythonOf(folder: string): string {
  return join(folder, 'bin', 'python3');
}

async function usablePython({ environment }: Site, named: string | undefined): Promise<string> {
  const candidates =
    named === undefined
      ? PYTHON_NAMES.flatMap((name) => onPath(environment.path, name) ?? [])
      : [named];
  for (const candidate of candidates) if (await isUsable(candidate)) return candidate;
  const tried = candidates.length === 0 ? 'none is on PATH' : `tried ${candidates.join(', ')}`;
  throw new SanctumError(
    'prerequisite_missing',
    `The fallback needs Python 3.${PYTHON_MINOR_MIN} or newer with venv (${tried}). Install it ` +
      '(Debian: apt install python3 python3-venv; macOS: brew install python), or name one under ' +
      'services.fallback.python.',
  );
}

async function isUsable(python: string): Promise<boolean> {
  try {
    const { stdout } = await run(python, ['-c', PYTHON_CHECK], { timeout: PYTHON_TIMEOUT_MS });
    const [major = 0, minor = 0] = stdout.trim().split(' ').map(Number);
    return major === 3 && minor >= PYTHON_MINOR_MIN;
  } catch {
    return false;
  }
}

async function attempt(file: string, args: readonly string[], timeout: number): Promise<void> {
  try {
    await run(file, args, { timeout, maxBuffer: OUTPUT_BYTES_MAX });
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const said = (stderr ?? messageOf(error)).trim();
    throw new SanctumError(
      'prerequisite_missing',
      `The fallback's Python environment could not be made (${args.slice(0, 3).join(' ')}): ` +
        (said.split('\n').at(-1) ?? 'no reason given'),
      { cause: error },
    );
  }
}
