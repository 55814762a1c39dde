import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Instance, RouterSection } from '@sanctum/catalog';
import type { Site } from '../instance/site.js';
import { fail, ok, type Finding } from './check.js';

const OTHERS = 0o077;
/** Also those of a CA to come, and those that were archived. */
const KEY_FILE = /\.key(\.|$)/;

/** Keys and tokens, wherever they lie, and the home itself are for their owner only. */
export function checkPermissions({ paths }: Site, instance: Instance | undefined): Finding {
  const candidates = [
    paths.home,
    paths.secrets,
    ...filesBelow(paths.secrets),
    ...filesBelow(paths.certs).filter((path) => KEY_FILE.test(path)),
    ...(instance === undefined ? [] : namedFiles(instance)),
  ];
  const open = [...new Set(candidates)].filter(
    (path) => existsSync(path) && (statSync(path).mode & OTHERS) !== 0,
  );
  return open.length === 0
    ? ok('permissions', 'keys, secrets and home are private')
    : fail('permissions', `others may read ${open.join(', ')}`, `chmod go= ${open.join(' ')}`);
}

/** Keys and tokens that instance.yaml names; they may lie anywhere. */
function namedFiles({ services: { engine, router } }: Instance): readonly string[] {
  return [
    engine?.auth_token_file,
    engine?.listeners.tls.key,
    router?.auth_token_file,
    router?.tls?.key,
    ...clientKeys(router),
  ].filter((path) => path !== undefined);
}

function clientKeys(router: RouterSection | undefined): readonly (string | undefined)[] {
  return Object.values(router?.backends ?? {}).flatMap(({ tls, fallback_urls: fallbacks }) => [
    tls?.key,
    ...fallbacks.map((entry) => (typeof entry === 'string' ? undefined : entry.tls?.key)),
  ]);
}

function filesBelow(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}
