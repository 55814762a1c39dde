// Prints the path of a nats-server, providing one when there is none. In this order: SANCTUM_NATS_SERVER,
// the one on PATH if it has the security fixes, one built before, one built now by an installed Go
// toolchain, an older one on PATH or of the system's packages (development only, with a warning).
// usage: nats-server.mjs [--find] [--json] [--yes]
//   --find  look only, build and install nothing
//   --json  {"path", "version", "source", "vulnerable"} instead of the path
//   --yes   let brew install without asking (also when CI is set)
import { spawnSync } from 'node:child_process';
import {
  filesInCache,
  filesOnPath,
  installWithBrew,
  keepFromDebian,
  keepInCache,
  run,
  runAsProgram,
  tell,
} from './program-cache.mjs';

/** Built when nothing newer is there; its go.mod asks for Go 1.25. */
export const PINNED_VERSION = '2.12.15';
const PINNED_GO = [1, 25];
const NAME = 'nats-server';
const MODULE = 'github.com/nats-io/nats-server/v2';
/** First releases with the fixes of CVE-2026-33248 and CVE-2026-33222, by line. */
const FIXED = { 2.11: 15, 2.12: 6 };

/** `{path, version, source, vulnerable}` of the best one here, or undefined. Changes nothing. */
export function findNatsServer(env = process.env) {
  const named = env.SANCTUM_NATS_SERVER;
  if (named) {
    const found = probe(named, 'SANCTUM_NATS_SERVER');
    if (!found) throw new Error(`SANCTUM_NATS_SERVER: ${named} is no nats-server; unset or fix it`);
    return found;
  }
  const candidates = [
    ...filesOnPath(env, NAME).flatMap((file) => probe(file, 'path') ?? []),
    ...filesInCache(env, NAME).flatMap((file) => probe(file, 'cache') ?? []),
  ];
  return candidates.find((found) => !found.vulnerable) ?? candidates[0];
}

/** Finds one, else makes one: see the head of this file. Throws with one line on what to do. */
export function provideNatsServer({ env = process.env, say = tell, yes = false } = {}) {
  const found = findNatsServer(env);
  if (found && (!found.vulnerable || env.SANCTUM_NATS_SERVER)) return warned(found, say);
  const how = { env, say, yes, name: NAME };
  const cached = { ...how, probe: (file) => probe(file, 'cache') };
  const made =
    buildWithGo(cached) ??
    found ??
    keepFromDebian({ ...cached, debianPackage: NAME }) ??
    installWithBrew({ ...how, probe: (file) => probe(file, 'path') });
  if (made) return warned(made, say);
  throw new Error(
    'nats-server is missing and could not be provided. Install Go 1.25 or newer, or nats-server ' +
      '2.12.6 or newer (https://nats.io/download), then run this again.',
  );
}

/** Whether a version lacks the fixes; the first two lines that have them are in FIXED. */
export function isVulnerable(version) {
  const [major, minor, patch] = version.split('.').map(Number);
  if (major !== 2) return major < 2;
  return minor < 11 || patch < (FIXED[`2.${minor}`] ?? 0);
}

function probe(file, source) {
  const { status, stdout } = spawnSync(file, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  const version = /nats-server: v(\d+\.\d+\.\d+)/.exec(stdout ?? '')?.[1];
  if (status !== 0 || !version) return undefined;
  return { path: file, version, source, vulnerable: isVulnerable(version) };
}

function buildWithGo(how) {
  const { env, say } = how;
  const version = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8', env }).stdout?.trim();
  if (!version) return undefined;
  const [major = 0, minor = 0] = version.replace(/^go/, '').split('.').map(Number);
  if (major < PINNED_GO[0] || (major === PINNED_GO[0] && minor < PINNED_GO[1])) {
    say(
      `${version} is too old to build nats-server ${PINNED_VERSION} (needs ${PINNED_GO.join('.')})`,
    );
    return undefined;
  }
  say(`Building nats-server ${PINNED_VERSION} with ${version} (about a minute, once) ...`);
  const fill = (folder) =>
    run('go', ['install', `${MODULE}@v${PINNED_VERSION}`], {
      ...env,
      GOBIN: folder,
      GOOS: '',
      GOARCH: '',
    });
  return keepInCache({ ...how, fill });
}

function warned(found, say) {
  if (found.vulnerable) {
    say(
      `warning: nats-server ${found.version} lacks fixes for CVE-2026-33248 and CVE-2026-33222; ` +
        'it will do for development on loopback. Production needs 2.11.15 or 2.12.6 and newer.',
    );
  }
  return found;
}

function main(args) {
  const find = args.includes('--find');
  const found = find ? findNatsServer() : provideNatsServer({ yes: args.includes('--yes') });
  if (!found) throw new Error('no nats-server here; run this without --find to get one');
  console.log(args.includes('--json') ? JSON.stringify(found) : found.path);
}

runAsProgram(import.meta.url, main);
