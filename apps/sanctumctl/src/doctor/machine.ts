import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { natsCapabilities } from '@sanctum/contracts';
import { messageOf } from '@sanctum/errors';
import { natsServer, onPath } from '../instance/nats-server.js';
import { bundleOf, type Site } from '../instance/site.js';
import { fail, ok, warn, type Finding } from './check.js';

const NODE_OLDEST = [20, 19] as const;
const COMPILERS = ['c++', 'g++', 'clang++'] as const;
const MEBIBYTE = 1_048_576;
const DISK_WARN_MB = 2_048;
const DISK_FAIL_MB = 256;
const MEMORY_WARN_MB = 512;

export function checkNode(version: string): Finding {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const [oldestMajor, oldestMinor] = NODE_OLDEST;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
    ? ok('node', version)
    : fail('node', `${version} is too old`, `Install Node ${NODE_OLDEST.join('.')} or newer.`);
}

/** Needed to build; what is built runs without. */
export function checkCompiler({ environment }: Site): Finding {
  const found = COMPILERS.map((name) => onPath(environment.path, name)).find(
    (program) => program !== undefined,
  );
  const cmake = onPath(environment.path, 'cmake');
  return found !== undefined && cmake !== undefined
    ? ok('compiler', `${found}, ${cmake}`)
    : warn(
        'compiler',
        `${found === undefined ? 'no C++ compiler' : 'no cmake'} on PATH`,
        'Install g++ (or clang) and cmake before the native library has to be built again.',
      );
}

export function checkBuilt(site: Site): Finding {
  const missing = (['engine', 'router', 'sanctumctl'] as const)
    .map((app) => bundleOf(site, app))
    .filter((bundle) => !existsSync(bundle));
  return missing.length === 0
    ? ok('build', 'engine, router and sanctumctl are built')
    : fail('build', `${missing.join(', ')} missing`, 'Run `npx nx run-many -t build`.');
}

export async function checkNatsServer(site: Site, named: string | undefined): Promise<Finding> {
  try {
    const { program, label, version } = await natsServer(site, named, 'find');
    return natsCapabilities(version).vulnerable
      ? warn(
          'nats-server',
          `${label} at ${program} has CVE-2026-33248 and CVE-2026-33222`,
          'Keep it on loopback, or install 2.11.15, 2.12.6 or newer.',
        )
      : ok('nats-server', `${label} at ${program}`);
  } catch (error) {
    return fail('nats-server', messageOf(error), 'Run `sanctumctl up`: it provides one.');
  }
}

export function checkDisk({ paths }: Site): Finding {
  const { bavail, bsize } = statfsSync(existsSync(paths.home) ? paths.home : '/');
  const freeMb = Math.floor((bavail * bsize) / MEBIBYTE);
  const advice = `Free space on the disk that holds ${paths.home}.`;
  if (freeMb < DISK_FAIL_MB) {
    return fail('disk', `${freeMb} MB free`, advice);
  }
  return freeMb < DISK_WARN_MB
    ? warn('disk', `${freeMb} MB free`, advice)
    : ok('disk', `${freeMb} MB free`);
}

export function checkMemory(): Finding {
  const availableMb = Math.floor(availableBytes() / MEBIBYTE);
  return availableMb < MEMORY_WARN_MB
    ? warn(
        'memory',
        `${availableMb} MB available`,
        'End what is not needed, or serve a smaller model.',
      )
    : ok('memory', `${availableMb} MB available`);
}

/** What new work can have without swapping: the page cache counts, where the system says so. */
function availableBytes(): number {
  if (!existsSync('/proc/meminfo')) {
    return freemem();
  }
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return match === null ? freemem() : Number(match[1]) * 1_024;
}

export function checkAuthentication({ environment }: Site): Finding {
  return environment.authDisabled
    ? warn(
        'authentication',
        'SANCTUM_MLX_DISABLE_AUTH=1: the engine asks nobody who they are',
        'Unset it, and start Sanctum again.',
      )
    : ok('authentication', 'on');
}
