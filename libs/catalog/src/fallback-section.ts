import { z } from 'zod';
import { filePath, host, megabytes, port, section } from './sections.js';

/** `services.fallback`: mlx_lm.server for the engine's model, started by `up --with-fallback`. */
export function fallbackSection(base: string) {
  return section({
    enabled: z.boolean().default(true),
    host: host.default('127.0.0.1'),
    port: port.default(8901),
    /** The engine's, when absent. */
    model: filePath(base).exactOptional(),
    cache_limit_mb: megabytes.default(1_024),
    memory_limit_mb: megabytes.exactOptional(),
    python: filePath(base).exactOptional(),
  });
}
