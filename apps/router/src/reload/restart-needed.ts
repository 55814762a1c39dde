import { isDeepStrictEqual } from 'node:util';
import type { Instance } from '@sanctum/catalog';

/** Settings a running router cannot take over, because a listener or a limit hangs on them. */
const FIXED_AT_START = ['host', 'port', 'tls', 'auth_token_file', 'limits'] as const;

/** Certificates and incidents carry the name; days of budgets end by the time zone. */
const INSTANCE_FIXED_AT_START = ['name', 'timezone'] as const;

/** The changed settings that act only after a restart, as paths in instance.yaml. */
export function changesThatNeedARestart(running: Instance, next: Instance): string[] {
  const router = FIXED_AT_START.filter(
    (field) => !isDeepStrictEqual(running.services.router?.[field], next.services.router?.[field]),
  ).map((field) => `services.router.${field}`);
  const nats = isDeepStrictEqual(running.services.nats, next.services.nats)
    ? []
    : ['services.nats'];
  const instance = INSTANCE_FIXED_AT_START.filter(
    (field) => running.instance[field] !== next.instance[field],
  ).map((field) => `instance.${field}`);
  return [...instance, ...nats, ...router];
}
