import { z } from 'zod';
import { engineSection, natsSection } from './engine-section.js';
import { fallbackSection } from './fallback-section.js';
import { PORT_SETTINGS, portCollisions, portsOf } from './port-table.js';
import { routerSection } from './router-section.js';
import { section } from './sections.js';

/** Accepted spellings of a service's name, the canonical one first. */
export const SERVICE_ALIASES = {
  router: 'sanctum_server',
  engine: 'sanctum_mlx',
  fallback: 'mlx_py_fallback',
} as const;

/** instance.yaml; `base` is its folder, against which paths are made absolute. */
export function instanceSchema(base: string) {
  return section({
    instance: section({
      name: z
        .string()
        .regex(
          /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/,
          'lower-case letters, digits and -, beginning with a letter, up to 40',
        ),
      timezone: z
        .string()
        .refine(isTimeZone, 'an IANA time zone such as Europe/Berlin')
        .default('UTC'),
    }),
    certificates: section({
      leaf_days: z.int().min(1).max(825).default(30),
    }).prefault({}),
    services: section({
      nats: natsSection(base).exactOptional(),
      engine: engineSection(base).exactOptional(),
      router: routerSection(base).exactOptional(),
      fallback: fallbackSection(base).exactOptional(),
    }),
  }).superRefine((value, context) => {
    for (const collision of portCollisions(portsOf(value))) {
      context.addIssue({
        code: 'custom',
        path: [...PORT_SETTINGS[collision.name]],
        message: `a port of its own (${PORT_SETTINGS[collision.with].join('.')} has the same)`,
      });
    }
  });
}

/** A checked instance.yaml: keys as in the file, defaults filled in, paths absolute. */
export type Instance = z.output<ReturnType<typeof instanceSchema>>;
export type RouterSection = NonNullable<Instance['services']['router']>;
export type EngineSection = NonNullable<Instance['services']['engine']>;
export type FallbackSection = NonNullable<Instance['services']['fallback']>;
export type NatsSection = NonNullable<Instance['services']['nats']>;
export type BackendSection = RouterSection['backends'][string];
export type UpstreamSection = Exclude<BackendSection['fallback_urls'][number], string>;

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
