// What the provisioning scripts share: looking for a program, and keeping one in the user's cache.
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const LOCK_LOOK_S = 5;
const LOCK_LOOKS_MAX = 60;

/** Files called `name` in the absolute folders of PATH. */
export function filesOnPath(env, name) {
  return (env.PATH ?? '')
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder))
    .map((folder) => path.join(folder, name))
    .filter(isFile);
}

/** Files called `name` that were kept before, newest version first. */
export function filesInCache(env, name) {
  const folder = cacheFolder(env, name);
  return list(folder)
    .filter((version) => /^\d+\.\d+\.\d+$/.test(version))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
    .map((version) => path.join(folder, version, name))
    .filter(isFile);
}

/**
 * Has `fill` put the program `name` into a draft folder (undefined, or a line on why not) and moves
 * it into the cache whole, so that two at once do not meet half of one. `probe(file)` tells
 * `{path, version, …}` of a program that runs.
 */
export function keepInCache({ env, say, name, probe, fill }) {
  const cache = cacheFolder(env, name);
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(path.join(cache, 'draft-'));
  try {
    const failure = fill(draft);
    const found = failure === undefined ? probe(path.join(draft, name)) : undefined;
    if (!found) {
      say(failure ?? 'what was made does not run');
      return undefined;
    }
    const home = path.join(cache, found.version);
    mkdirSync(home, { recursive: true });
    renameSync(found.path, path.join(home, name));
    return { ...found, path: path.join(home, name) };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/**
 * Takes the program `name` out of a Debian package into the cache: unpacked, not installed, because
 * such packages start services of their own. Undefined where that cannot be done.
 */
export function keepFromDebian({ env, say, name, probe, debianPackage }) {
  if (spawnSync('apt-get', ['--version'], { env }).error) return undefined;
  say(`Fetching ${name} from the system's packages ...`);
  const fill = (folder) => {
    const fetched = run('apt-get', ['download', '-qq', debianPackage], env, folder);
    if (fetched !== undefined) return fetched;
    const archive = list(folder).find((file) => file.endsWith('.deb'));
    const unpacked = run('dpkg-deb', ['-x', archive ?? `${name}.deb`, 'root'], env, folder);
    if (unpacked !== undefined) return unpacked;
    const binary = ['usr/sbin', 'usr/bin']
      .map((place) => path.join(folder, 'root', place, name))
      .find(isFile);
    if (!binary) return `the package holds no ${name}`;
    renameSync(binary, path.join(folder, name));
    rmSync(path.join(folder, 'root'), { recursive: true });
    return undefined;
  };
  const first = keepInCache({ env, say, name, probe, fill });
  if (first || process.getuid?.() !== 0) return first;
  updatePackageLists(env);
  return keepInCache({ env, say, name, probe, fill });
}

/** Another apt at work, such as the daily one, is waited for; `update` has no option for that. */
function updatePackageLists(env) {
  for (let look = 0; look < LOCK_LOOKS_MAX; look += 1) {
    const failure = run('apt-get', ['update', '-qq'], { ...env, LC_ALL: 'C' });
    if (!failure?.includes('Could not get lock')) return;
    spawnSync('sleep', [String(LOCK_LOOK_S)], { env });
  }
}

/** Installs with Homebrew when `yes` or CI says so, else tells how; what is on PATH afterwards. */
export function installWithBrew({ env, say, yes, name, probe, formula = name }) {
  if (spawnSync('brew', ['--version'], { env }).error) return undefined;
  if (!yes && !env.CI) {
    say(`Run \`brew install ${formula}\`, or run this again with --yes.`);
    return undefined;
  }
  say(`Installing with: brew install ${formula}`);
  const failure = run('brew', ['install', formula], env);
  if (failure !== undefined) say(failure);
  return filesOnPath(env, name)
    .map((file) => probe(file))
    .find((found) => found);
}

/** Undefined when it went well, else the last lines of what it said. */
export function run(file, args, env, cwd) {
  const { status, error, stderr } = spawnSync(file, args, { encoding: 'utf8', env, cwd });
  if (status === 0) return undefined;
  return `${file} ${args[0]}: ${error?.message ?? stderr.trim().split('\n').slice(-3).join(' / ')}`;
}

export function tell(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs `main` with the arguments when the module is the program, and tells what it throws. */
export function runAsProgram(moduleUrl, main) {
  // As typed it may lead through a link, and modules are known by where they are.
  if (moduleUrl !== pathToFileURL(realpathSync(process.argv[1] ?? '.')).href) return;
  try {
    main(process.argv.slice(2));
  } catch (error) {
    tell(error.message);
    process.exitCode = 1;
  }
}

function cacheFolder(env, name) {
  const base = env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), '.cache');
  return path.join(base, 'sanctum', name);
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
