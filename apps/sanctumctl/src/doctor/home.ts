import { existsSync } from 'node:fs';
import { loadInstance, modelTrustFiles, type Instance } from '@sanctum/catalog';
import { messageOf } from '@sanctum/errors';
import { readSignedManifest, TrustState } from '@sanctum/manifest';
import { ControlClient, probe } from '@sanctum/supervision';
import { checkCertificates } from '../commands/certs.js';
import { readStatus } from '../commands/status.js';
import { proveModel } from '../instance/model.js';
import { describeTaken, takenPorts } from '../instance/port-plan.js';
import type { Site } from '../instance/site.js';
import { fail, ok, warn, type Finding } from './check.js';

/** A leaf is renewed at two thirds of its life: below this share of 30 days nobody renewed it. */
const CERTIFICATE_WARN_DAYS = 5;
const NATS_PROBE_TIMEOUT_MS = 2_000;

export function readInstance(site: Site): { finding: Finding; instance: Instance | undefined } {
  const file = site.paths.instanceFile;
  if (!existsSync(file)) {
    const advice = 'Run `sanctumctl up`: it writes a commented one.';
    return { finding: fail('instance', `${file} is missing`, advice), instance: undefined };
  }
  try {
    return { finding: ok('instance', file), instance: loadInstance(file) };
  } catch (error) {
    const advice = 'Correct the file; running services keep what they read.';
    return { finding: fail('instance', messageOf(error), advice), instance: undefined };
  }
}

export async function checkPorts(site: Site, instance: Instance): Promise<readonly Finding[]> {
  if (await new ControlClient(site.socket).isRunning()) {
    return [ok('ports', 'held by the running services')];
  }
  const taken = await takenPorts(instance);
  return taken.length === 0
    ? [ok('ports', 'free')]
    : taken.map((port) => fail('ports', describeTaken(port), 'See above.'));
}

export async function checkCertificateFiles(site: Site): Promise<readonly Finding[]> {
  const findings = await checkCertificates(site);
  if (findings.length === 0) {
    return [fail('certificates', `none in ${site.paths.certs}`, 'Run `sanctumctl certs init`.')];
  }
  const problems = findings.flatMap(({ problems: found }) => found);
  const soonest = Math.min(...findings.map(({ daysLeft }) => daysLeft));
  if (problems.length > 0) {
    const advice = 'Run `sanctumctl certs init`: it replaces what is unusable.';
    return problems.map((problem) => fail('certificates', problem, advice));
  }
  return [
    soonest < CERTIFICATE_WARN_DAYS
      ? warn('certificates', `one ends in ${soonest} days`, 'Run `sanctumctl certs init`.')
      : ok('certificates', `${findings.length} usable, the first ends in ${soonest} days`),
  ];
}

/** `quick` checks the signature alone; otherwise every byte of the model is hashed. */
export async function checkManifest(
  site: Site,
  instance: Instance,
  quick: boolean,
): Promise<Finding> {
  const { engine } = instance.services;
  if (engine === undefined) {
    return ok('manifest', 'no engine in this instance');
  }
  try {
    if (quick) {
      const { digest } = readSignedManifest(modelTrustFiles(engine));
      TrustState.open(site.paths);
      return ok('manifest', `signature verified, digest ${digest.slice(0, 16)}`);
    }
    const { id, files, alerts } = await proveModel(engine, { paths: site.paths });
    const [alert] = alerts;
    if (alert !== undefined) {
      return warn('manifest', alert, 'See `sanctumctl model trust` and the manifests page.');
    }
    return ok('manifest', `${id}: signature and ${files} hashes verified`);
  } catch (error) {
    const advice = 'Restore the model from where it came; the engine refuses to serve it.';
    return fail('manifest', messageOf(error), advice);
  }
}

export async function checkNats(instance: Instance, running: boolean): Promise<Finding> {
  const { nats } = instance.services;
  if (nats?.enabled !== true || !running) {
    return ok('nats', nats?.enabled === true ? 'not running' : 'not enabled');
  }
  const url = `http://127.0.0.1:${nats.monitor_port}/healthz`;
  const { healthy, detail } = await probe({ type: 'http', url }, NATS_PROBE_TIMEOUT_MS);
  return healthy
    ? ok('nats', `${url} is well`)
    : fail('nats', `${url}: ${detail}`, 'See `sanctumctl logs nats`. Chat works without it.');
}

export async function checkServices(site: Site): Promise<readonly Finding[]> {
  const { services, supervisor } = await readStatus(site);
  if (supervisor === null) {
    const orphans = services.filter(({ state }) => state === 'orphaned');
    return orphans.length === 0
      ? [ok('services', 'nothing is running')]
      : orphans.map(({ name, pids }) =>
          fail(
            'services',
            `${name} (process ${pids.join(', ')}) lost its supervisor`,
            'Run `sanctumctl down`, then `sanctumctl up`.',
          ),
        );
  }
  return services.map(({ name, healthy, state, reason }) =>
    healthy
      ? ok(`service ${name}`, state)
      : fail(`service ${name}`, `${state}: ${reason ?? ''}`, `See \`sanctumctl logs ${name}\`.`),
  );
}
