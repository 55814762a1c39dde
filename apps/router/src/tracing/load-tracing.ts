import type { RouterLog } from '../log.js';
import type { Tracing } from './request-trace.js';
import { readTracingSettings } from './tracing-settings.js';

/**
 * Undefined, and nothing is loaded, unless OpenTelemetry's variables name a collector: its libraries
 * are a bundle of their own. Throws `config_invalid`.
 */
export async function loadTracing(
  environment: Readonly<Record<string, string | undefined>>,
  log: RouterLog,
): Promise<Tracing | undefined> {
  const settings = readTracingSettings(environment);
  if (settings === undefined) return undefined;
  const { openTracing } = await import('./open-tracing.js');
  log.info({ collector: new URL(settings.url).origin }, 'tracing');
  return openTracing(settings, log);
}
