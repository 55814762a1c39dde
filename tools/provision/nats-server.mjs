// Prints the path of a nats-server, providing one when there is none. In this order: SANCTUM_NATS_SERVER,
// the one on PATH if it has the security fixes, one built before, one built now by an installed Go
// toolchain, an older one on PATH or of the system's packages (development only, with a warning).
// usage: nats-server.mjs [--find] [--json] [--yes]
//   --find  look only, build and install nothing
//   --json  {"path", "version", "source", "vulnerable"} instead of the path
//   --yes   let brew install without asking (also when CI is set)
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Built when nothing newer is there; its go.mod asks for Go 1.25. */
export const PINNED_VERSION = '2.12.15';
const PINNED_GO = [1, 25];
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
  const candidates = [...onPath(env), ...inCache(env)];
  return candidates.find((found) => !found.vulnerable) ?? candidates[0];
}

/** Finds one, else makes one: see the head of this file. Throws with one line on what to do. */
export function provideNatsServer({ env = process.env, say = tell, yes = false } = {}) {
  const found = findNatsServer(env);
  if (found && (!found.vulnerable || env.SANCTUM_NATS_SERVER)) return warned(found, say);
  const made =
    buildWithGo(env, say) ?? found ?? downloadWithApt(env, say) ?? brew({ env, say, yes });
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

function onPath(env) {
  return (env.PATH ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, 'nats-server'))
    .filter(isFile)
    .flatMap((file) => probe(file, 'path') ?? []);
}

function inCache(env) {
  const folder = cacheFolder(env);
  return list(folder)
    .filter((name) => /^\d+\.\d+\.\d+$/.test(name))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .map((name) => path.join(folder, name, 'nats-server'))
    .filter(isFile)
    .flatMap((file) => probe(file, 'cache') ?? []);
}

function cacheFolder(env) {
  const base = env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), '.cache');
  return path.join(base, 'sanctum', 'nats-server');
}

function buildWithGo(env, say) {
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
  return keep(env, say, (folder) =>
    run('go', ['install', `${MODULE}@v${PINNED_VERSION}`], {
      ...env,
      GOBIN: folder,
      GOOS: '',
      GOARCH: '',
    }),
  );
}

/** Unpacked, not installed: the package would start a service of its own on the same port. */
function downloadWithApt(env, say) {
  if (spawnSync('apt-get', ['--version'], { env }).error) return undefined;
  say("Fetching nats-server from the system's packages ...");
  const unpack = (folder) => {
    const fetched = run('apt-get', ['download', '-qq', 'nats-server'], env, folder);
    if (fetched !== undefined) return fetched;
    const archive = list(folder).find((name) => name.endsWith('.deb'));
    const unpacked = run('dpkg-deb', ['-x', archive ?? 'nats-server.deb', 'root'], env, folder);
    if (unpacked !== undefined) return unpacked;
    const binary = ['usr/sbin', 'usr/bin']
      .map((place) => path.join(folder, 'root', place, 'nats-server'))
      .find(isFile);
    if (!binary) return 'the package holds no nats-server';
    renameSync(binary, path.join(folder, 'nats-server'));
    rmSync(path.join(folder, 'root'), { recursive: true });
    return undefined;
  };
  const first = keep(env, say, unpack);
  if (first || process.getuid?.() !== 0) return first;
  run('apt-get', ['update', '-qq'], env);
  return keep(env, say, unpack);
}

function brew({ env, say, yes }) {
  if (spawnSync('brew', ['--version'], { env }).error) return undefined;
  if (!yes && !env.CI) {
    say('Run `brew install nats-server`, or run this again with --yes.');
    return undefined;
  }
  say('Installing with: brew install nats-server');
  const failure = run('brew', ['install', 'nats-server'], env);
  if (failure !== undefined) say(failure);
  return onPath(env)[0];
}

/** Fills a draft folder and moves it into place whole, so that two at once do not meet half of one. */
function keep(env, say, fill) {
  const cache = cacheFolder(env);
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(path.join(cache, 'draft-'));
  try {
    const failure = fill(draft);
    const found =
      failure === undefined ? probe(path.join(draft, 'nats-server'), 'cache') : undefined;
    if (!found) {
      say(failure ?? 'what was made does not run');
      return undefined;
    }
    const home = path.join(cache, found.version);
    mkdirSync(home, { recursive: true });
    renameSync(found.path, path.join(home, 'nats-server'));
    return { ...found, path: path.join(home, 'nats-server') };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Undefined when it went well, else the last lines of what it said. */
function run(file, args, env, cwd) {
  const { status, error, stderr } = spawnSync(file, args, { encoding: 'utf8', env, cwd });
  if (status === 0) return undefined;
  return `${file} ${args[0]}: ${error?.message ?? stderr.trim().split('\n').slice(-3).join(' / ')}`;
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

function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isFile(file) {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

function tell(line) {
  process.stderr.write(`${line}\n`);
}

function main(args) {
  const find = args.includes('--find');
  const found = find ? findNatsServer() : provideNatsServer({ yes: args.includes('--yes') });
  if (!found) throw new Error('no nats-server here; run this without --find to get one');
  console.log(args.includes('--json') ? JSON.stringify(found) : found.path);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    tell(error.message);
    process.exitCode = 1;
  }
}
