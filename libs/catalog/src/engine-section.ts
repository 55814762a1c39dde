import { z } from 'zod';
import {
  count,
  filePath,
  host,
  listenerTls,
  megabytes,
  port,
  seconds,
  section,
  slug,
} from './sections.js';

/** `services.engine`, spelled as in the file. */
export function engineSection(base: string) {
  const path = filePath(base);
  return section({
    enabled: z.boolean().default(true),
    model: path,
    model_name: slug.exactOptional(),
    adapter_path: path.exactOptional(),
    library: path.exactOptional(),
    manifest: section({
      file: path.exactOptional(),
      signature: path.exactOptional(),
      public_keys: z.array(path).max(8).default([]),
      require_header: z.boolean().default(false),
    }).prefault({}),
    listeners: section({
      plain: section({
        enabled: z.boolean().default(true),
        hosts: z.array(host).min(1).max(16).default(['127.0.0.1']),
        port: port.default(1337),
      }).prefault({}),
      tls: listenerTls(base)
        .extend({ port: port.default(1338) })
        .prefault({}),
    }).prefault({}),
    auth_token_file: path.exactOptional(),
    threads: z.int().min(1).max(256).exactOptional(),
    compute_mode: z.enum(['exact', 'fast']).default('fast'),
    kv_values: z.enum(['f32', 'f16']).exactOptional(),
    limits: section({
      metal_cache_limit_mb: megabytes.exactOptional(),
      metal_memory_limit_mb: megabytes.exactOptional(),
      metal_wired_limit_mb: megabytes.exactOptional(),
      queue: count.exactOptional(),
      requests_per_client: count.exactOptional(),
      sequences: count.exactOptional(),
      batch_tokens: count.exactOptional(),
      context_tokens: count.exactOptional(),
      completion_tokens: count.exactOptional(),
      body_mb: megabytes.exactOptional(),
      request_read_s: seconds.exactOptional(),
      drain_s: seconds.exactOptional(),
    }).prefault({}),
  });
}

/** `services.nats`, spelled as in the file. */
export function natsSection(base: string) {
  return section({
    enabled: z.boolean().default(true),
    host: host.default('127.0.0.1'),
    port: port.default(4222),
    monitor_port: port.default(8222),
    server: filePath(base).exactOptional(),
    store_limit_mb: megabytes.exactOptional(),
  });
}
