import { loadInstance, type Instance } from '@sanctum/catalog';
import { SanctumError } from '@sanctum/errors';
import type { ControlClient, ServiceStatus } from '@sanctum/supervision';
import { serviceAt } from '../instance/service-at.js';
import { serviceUrls } from '../instance/service-specs.js';
import type { Site } from '../instance/site.js';

const ROUTER_TIMEOUT_MS = 10_000;

/** What a failover drill is about. */
export interface DrillTarget {
  /** Origin of the router. */
  readonly router: string;
  readonly backend: string;
  /** Primary first. */
  readonly urls: readonly string[];
  /** The service behind the primary, and its processes. */
  readonly service: ServiceStatus;
}

interface ShownBackend {
  readonly name: string;
  readonly urls: readonly {
    readonly url: string;
    readonly last_seen: string;
    readonly breakers: readonly { readonly state: string }[];
  }[];
}

/**
 * Finds what is to be killed, and proves first that the drill would not be an outage: the primary is
 * a service of this home and ready, its breaker is at rest, and a fallback answers.
 *
 * @throws SanctumError `invalid_request` naming what is missing
 */
export async function findTarget(
  site: Site,
  client: ControlClient,
  wanted: string | undefined,
): Promise<DrillTarget> {
  if (!(await client.isRunning())) {
    throw refusal(`nothing runs in ${site.paths.home}; start it with \`sanctumctl up\``);
  }
  const instance = loadInstance(site.paths.instanceFile);
  const { router } = serviceUrls(instance);
  if (router === undefined) throw refusal('instance.yaml enables no router');
  const shown = await backendOf(router, wanted);
  const [primary, ...fallbacks] = shown.urls;
  if (primary === undefined || fallbacks.length === 0) {
    throw refusal(`backend "${shown.name}" has no fallback_urls: killing its primary is an outage`);
  }
  if (primary.breakers.length > 0) {
    throw refusal(`${primary.url} has failed of late; see GET ${router}/v1/backends`);
  }
  if (!fallbacks.some(({ last_seen: seen }) => seen.startsWith('HTTP 2'))) {
    const seen = fallbacks.map((one) => `${one.url}: ${one.last_seen}`).join(', ');
    throw refusal(`no fallback of "${shown.name}" answers (${seen}): the drill would be an outage`);
  }
  const service = await serviceBehind(instance, client, primary.url);
  return { router, backend: shown.name, urls: shown.urls.map(({ url }) => url), service };
}

async function backendOf(router: string, wanted: string | undefined): Promise<ShownBackend> {
  const answer = await fetch(`${router}/v1/backends`, {
    signal: AbortSignal.timeout(ROUTER_TIMEOUT_MS),
  });
  const listed = (await answer.json()) as { default: string; backends: readonly ShownBackend[] };
  const name = wanted ?? listed.default;
  const found = listed.backends.find((backend) => backend.name === name);
  if (found !== undefined) return found;
  const known = listed.backends.map((backend) => backend.name).join(', ');
  throw refusal(`there is no backend "${name}"; there are: ${known}`);
}

async function serviceBehind(
  instance: Instance,
  client: ControlClient,
  url: string,
): Promise<ServiceStatus> {
  const { services } = await client.status();
  const name = serviceAt(instance, url);
  const service = services.find((candidate) => candidate.name === name);
  if (service === undefined) {
    const known = services.map(({ name: one, url: at }) => `${one} at ${at}`).join(', ');
    throw refusal(
      `the primary ${url} is no service that runs in this home (${known}): ` +
        'it cannot be killed and brought back here',
    );
  }
  if (service.state !== 'ready' || service.pids.length === 0) {
    throw refusal(`${service.name} is ${service.state}, not ready`);
  }
  return service;
}

function refusal(why: string): SanctumError {
  return new SanctumError('invalid_request', `The drill was not begun: ${why}.`);
}
