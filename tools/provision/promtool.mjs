// Prints the path of a promtool, providing one when there is none; the gate checks alert rules and
// metrics with it. In this order: SANCTUM_PROMTOOL, the one on PATH, one kept before, the one of the
// system's package `prometheus`, which is unpacked and not installed.
// usage: promtool.mjs [--find] [--yes]
//   --find  look only, fetch nothing
//   --yes   let brew install without asking (also when CI is set)
import { spawnSync } from 'node:child_process';
import {
  filesInCache,
  filesOnPath,
  installWithBrew,
  keepFromDebian,
  runAsProgram,
  tell,
} from './program-cache.mjs';

const NAME = 'promtool';

/** `{path, version}` of the one here, or undefined. Changes nothing. */
export function findPromtool(env = process.env) {
  const named = env.SANCTUM_PROMTOOL;
  if (named) {
    const found = probe(named);
    if (!found) throw new Error(`SANCTUM_PROMTOOL: ${named} is no promtool; unset or fix it`);
    return found;
  }
  return [...filesOnPath(env, NAME), ...filesInCache(env, NAME)]
    .map(probe)
    .find((found) => found !== undefined);
}

/** Finds one, else fetches one: see the head of this file. Throws with one line on what to do. */
export function providePromtool({ env = process.env, say = tell, yes = false } = {}) {
  const how = { env, say, yes, name: NAME, probe };
  const provided =
    findPromtool(env) ??
    keepFromDebian({ ...how, debianPackage: 'prometheus' }) ??
    installWithBrew({ ...how, formula: 'prometheus' });
  if (provided) return provided;
  throw new Error(
    'promtool is missing and could not be provided. Install Prometheus, which brings it ' +
      '(https://prometheus.io/download, or `brew install prometheus`), then run this again.',
  );
}

function probe(file) {
  const { status, stdout, stderr } = spawnSync(file, ['--version'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  const version = /promtool, version (\d+\.\d+\.\d+)/.exec(`${stdout ?? ''}${stderr ?? ''}`)?.[1];
  return status === 0 && version ? { path: file, version } : undefined;
}

function main(args) {
  const yes = args.includes('--yes');
  const found = args.includes('--find') ? findPromtool() : providePromtool({ yes });
  if (!found) throw new Error('no promtool here; run this without --find to get one');
  console.log(found.path);
}

runAsProgram(import.meta.url, main);
