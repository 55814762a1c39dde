import { readSecrets, secretNames, type HomePaths, type Instance } from '@sanctum/catalog';
import type { ServiceSpec } from '@sanctum/supervision';
import { COUNCIL_API_KEY } from './service-specs.js';

/** Who sends keys upstream, and traces; nobody else is given one. */
const KEY_HOLDER = 'router';
/** Where OpenTelemetry has the credentials of a collector. */
const COLLECTOR_HEADERS = ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS'];

/**
 * Puts the keys that instance.yaml names, and the credentials of a collector, into the environment of
 * the router alone, from `secrets/<NAME>` where there is such a file, and takes them out of everybody
 * else's. Throws `config_invalid` for a file that others may read.
 */
export function withSecrets(
  specs: readonly ServiceSpec[],
  instance: Instance,
  paths: HomePaths,
): readonly ServiceSpec[] {
  const names = [...secretNames(instance), COUNCIL_API_KEY, ...COLLECTOR_HEADERS];
  const secrets = readSecrets(paths, names);
  return specs.map((spec) => ({
    ...spec,
    env: spec.name === KEY_HOLDER ? { ...spec.env, ...secrets } : without(spec.env, names),
  }));
}

function without(
  environment: Readonly<Record<string, string>>,
  names: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !names.includes(name)));
}
