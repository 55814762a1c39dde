import { isDeepStrictEqual } from 'node:util';
import type { Instance } from '@sanctum/catalog';

/** Settings a running router cannot take over, because a listener or a limit hangs on them. */
const FIXED_AT_START = ['host', 'port', 'tls', 'auth_token_file', 'limits'] as const;

/** The changed settings that act only after a restart, as paths in instance.yaml. */
export function changesThatNeedARestart(running: Instance, next: Instance): string[] {
  const router = FIXED_AT_START.filter(
    (field) => !isDeepStrictEqual(running.services.router?.[field], next.services.router?.[field]),
  ).map((field) => `services.router.${field}`);
  const nats = isDeepStrictEqual(running.services.nats, next.services.nats)
    ? []
    : ['services.nats'];
  const name = running.instance.name === next.instance.name ? [] : ['instance.name'];
  return [...name, ...nats, ...router];
}
