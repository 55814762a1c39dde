import { DIALECTS } from '@sanctum/contracts';
import { z } from 'zod';
import {
  count,
  environmentName,
  filePath,
  host,
  listenerTls,
  megabytes,
  port,
  seconds,
  section,
  slug,
} from './sections.js';
import { isPublicHost, upstreamUrl } from './upstream-url.js';

const MODEL_PATTERNS_MAX = 256;
const FALLBACK_URLS_MAX = 16;

const ATTEMPT_TIMEOUTS = {
  connect_s: seconds.exactOptional(),
  first_byte_s: seconds.exactOptional(),
  idle_s: seconds.exactOptional(),
};

const timeouts = section({ ...ATTEMPT_TIMEOUTS, total_s: seconds.exactOptional() });

/** Of one URL among several, which share the time that their backend gives them. */
const attemptTimeouts = z.strictObject(ATTEMPT_TIMEOUTS, {
  error: ({ code }) =>
    code === 'unrecognized_keys'
      ? `one of ${Object.keys(ATTEMPT_TIMEOUTS).join(', ')} (total_s is of the backend, for all URLs)`
      : undefined,
});

/** Consecutive faults that open a breaker, and how long it stays open before a probe. */
const breaker = section({
  faults: z.int().min(1).max(1_000).exactOptional(),
  open_s: seconds.exactOptional(),
});

/** How long a URL is left alone after 429: without Retry-After, and at most. */
const coolDown = section({
  default_s: seconds.exactOptional(),
  max_s: seconds.exactOptional(),
});

const detectors = section({
  repetition_chars: z.int().min(128).max(4_096).exactOptional(),
  tiny_bytes: z.int().min(0).max(64).exactOptional(),
});

function clientTls(base: string) {
  return section({
    ca: filePath(base).exactOptional(),
    cert: filePath(base).exactOptional(),
    key: filePath(base).exactOptional(),
    identity: slug.exactOptional(),
  });
}

/** What a backend is asked in natively; a request in another dialect is translated to chat. */
const dialects = z
  .array(z.enum(DIALECTS))
  .refine((list) => list.includes('chat'), 'a list that has "chat" in it');

function upstream(base: string) {
  return section({
    url: upstreamUrl,
    api_key_env: environmentName.nullable().exactOptional(),
    default_model: slug.exactOptional(),
    dialects: dialects.exactOptional(),
    tls: clientTls(base).exactOptional(),
    timeouts: attemptTimeouts.exactOptional(),
  });
}

function backend(base: string) {
  return section({
    url: upstreamUrl,
    fallback_urls: z
      .array(z.union([upstreamUrl, upstream(base)]))
      .max(FALLBACK_URLS_MAX)
      .default([]),
    models: z.array(z.string().min(1).max(128)).max(MODEL_PATTERNS_MAX).default([]),
    default_model: slug.exactOptional(),
    dialects: dialects.exactOptional(),
    api_key_env: environmentName.exactOptional(),
    tls: clientTls(base).exactOptional(),
    timeouts: timeouts.exactOptional(),
    daily_cap_completion_tokens: count.exactOptional(),
    slow_threshold_s: seconds.exactOptional(),
    slow_trip_count: count.exactOptional(),
    breaker: breaker.exactOptional(),
    strip_thinking: z.boolean().exactOptional(),
    description: z.string().max(500).exactOptional(),
  }).superRefine(refuseInheritedKeys);
}

/** A key reaches plain-string URLs of its backend; a foreign public host must be given its own. */
function refuseInheritedKeys(
  value: {
    url: string;
    api_key_env?: string;
    fallback_urls: (string | { url: string; api_key_env?: string | null })[];
  },
  context: z.core.$RefinementCtx,
): void {
  if (value.api_key_env === undefined) {
    return;
  }
  const own = new URL(value.url).hostname;
  value.fallback_urls.forEach((entry, index) => {
    const inherits = typeof entry === 'string' || entry.api_key_env === undefined;
    const { hostname } = new URL(typeof entry === 'string' ? entry : entry.url);
    if (inherits && hostname !== own && isPublicHost(hostname)) {
      context.addIssue({
        code: 'custom',
        path: ['fallback_urls', index],
        message:
          `an object {url, api_key_env} for ${hostname}: a public host never inherits ` +
          `$${String(value.api_key_env)}; name its own variable, or null for none`,
      });
    }
  });
}

/** What one caller may do: a certificate's name, or `local` and `bearer` for those without. */
const caller = section({
  backends: z.array(slug).min(1).max(256).exactOptional(),
  daily_cap_completion_tokens: count.exactOptional(),
  requests_per_minute: z.int().min(1).max(1_000_000).exactOptional(),
});

/** `services.router`, spelled as in the file. */
export function routerSection(base: string) {
  return section({
    enabled: z.boolean().default(true),
    host: host.default('127.0.0.1'),
    port: port.default(8900),
    tls: listenerTls(base).exactOptional(),
    auth_token_file: filePath(base).exactOptional(),
    default: slug.exactOptional(),
    strict_models: z.boolean().default(false),
    intent_keywords: z.record(slug, z.array(z.string().min(1)).max(256)).default({}),
    backends: z.record(slug, backend(base)).default({}),
    callers: z.record(slug, caller).default({}),
    breaker: breaker.exactOptional(),
    cool_down: coolDown.exactOptional(),
    detectors: detectors.exactOptional(),
    limits: section({
      body_mb: megabytes.exactOptional(),
      connections: count.exactOptional(),
      requests: count.exactOptional(),
      header_kb: count.exactOptional(),
      request_read_s: seconds.exactOptional(),
      drain_s: seconds.exactOptional(),
    }).prefault({}),
  }).superRefine((value, context) => {
    const named = namedBackends(value);
    for (const { path, name } of named) {
      if (!Object.hasOwn(value.backends, name)) {
        context.addIssue({
          code: 'custom',
          path,
          message: `the name of a backend (${Object.keys(value.backends).join(', ') || 'none is declared'})`,
        });
      }
    }
  });
}

interface NamedBackend {
  readonly path: (string | number)[];
  readonly name: string;
}

/** Every place but `backends` that names a backend. */
function namedBackends(value: {
  default?: string;
  intent_keywords: Record<string, unknown>;
  callers: Record<string, { backends?: string[] }>;
}): NamedBackend[] {
  const byDefault = value.default === undefined ? [] : [{ path: ['default'], name: value.default }];
  const byIntent = Object.keys(value.intent_keywords).map((name) => ({
    path: ['intent_keywords', name],
    name,
  }));
  const byCaller = Object.entries(value.callers).flatMap(([caller, { backends = [] }]) =>
    backends.map((name, at) => ({ path: ['callers', caller, 'backends', at], name })),
  );
  return [...byDefault, ...byIntent, ...byCaller];
}
