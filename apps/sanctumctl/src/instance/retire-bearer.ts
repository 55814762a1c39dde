import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { BackendSection, HomePaths, Instance } from '@sanctum/catalog';
import { serviceAt } from './service-at.js';
import { COUNCIL_API_KEY } from './service-specs.js';

/** What is left to do, in this order, until no listener takes a bearer token and no file holds one. */
export function retirementSteps(paths: HomePaths, instance: Instance): readonly string[] {
  const { engine, router } = instance.services;
  const named = [engine?.auth_token_file, router?.auth_token_file];
  const files = [paths.councilToken, ...named].filter((file) => file !== undefined);
  const edits = [
    ...plainUrls(instance).map((at) => `point ${at} at the mTLS listener of the engine`),
    ...tokensSent(paths, instance).map((at) => `take out ${at}`),
    ...(engine?.listeners.plain.enabled === true
      ? ['set services.engine.listeners.plain.enabled to false']
      : []),
    ...(engine?.auth_token_file === undefined ? [] : ['take out services.engine.auth_token_file']),
    ...(router?.auth_token_file === undefined ? [] : ['take out services.router.auth_token_file']),
  ];
  return [
    ...edits.map((edit) => `in ${paths.instanceFile} ${edit}`),
    'run sanctumctl down',
    ...[...new Set(files)].filter((file) => existsSync(file)).map((file) => `remove ${file}`),
    'run sanctumctl up',
  ];
}

interface Place {
  readonly at: string;
  readonly url: string;
  readonly keyName: string | null | undefined;
}

/** URLs of backends that lead to the engine's plain listener. */
function plainUrls(instance: Instance): readonly string[] {
  const port = instance.services.engine?.listeners.plain.port;
  return places(instance)
    .filter(
      ({ url }) => new URL(url).port === String(port) && serviceAt(instance, url) === 'engine',
    )
    .map(({ at, url }) => `${at} (${url})`);
}

/** Settings that send the token, unless the operator keeps a key under its name. */
function tokensSent(paths: HomePaths, instance: Instance): readonly string[] {
  if (existsSync(join(paths.secrets, COUNCIL_API_KEY))) return [];
  return places(instance)
    .filter(({ keyName }) => keyName === COUNCIL_API_KEY)
    .map(({ at }) => `api_key_env of ${at}`);
}

function places({ services: { router } }: Instance): readonly Place[] {
  return Object.entries(router?.backends ?? {}).flatMap(([name, backend]) =>
    placesOf(`services.router.backends.${name}`, backend),
  );
}

function placesOf(at: string, backend: BackendSection): readonly Place[] {
  return [
    { at, url: backend.url, keyName: backend.api_key_env },
    ...backend.fallback_urls.map((entry, index) => ({
      at: `${at}.fallback_urls[${index}]`,
      ...(typeof entry === 'string'
        ? { url: entry, keyName: undefined }
        : { url: entry.url, keyName: entry.api_key_env }),
    })),
  ];
}
