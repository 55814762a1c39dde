import { relative } from 'node:path';
import { createHome } from './home-paths.js';
import { writeFileAtomic } from './atomic-file.js';
import { parseInstance } from './load-instance.js';
import type { Instance } from './instance-schema.js';

export interface ExampleOptions {
  readonly home: string;
  /** Trust domain: `spiffe://sanctum.<name>/…`. */
  readonly name: string;
  readonly timezone: string;
  /** Absolute folder of the model. */
  readonly model: string;
  readonly modelName: string;
  /** Absolute paths; left out, the files beside the model count. */
  readonly manifestPublicKeys?: readonly string[];
  /** The Python fallback is set up as the last URL. */
  readonly withFallback?: boolean;
}

/**
 * Writes a commented instance.yaml that names only what `up` starts. What it writes has been
 * parsed by the same schema that reads it.
 */
export function writeExampleInstance(options: ExampleOptions): Instance {
  const { instanceFile } = createHome(options.home);
  const text = exampleInstance(options);
  const instance = parseInstance(text, instanceFile);
  writeFileAtomic(instanceFile, text);
  return instance;
}

/** The text of the example; paths below the home's parent are written relative to the home. */
export function exampleInstance(options: ExampleOptions): string {
  const path = (absolute: string) => JSON.stringify(portable(options.home, absolute));
  const keys = options.manifestPublicKeys ?? [];
  const trust =
    keys.length === 0 ? '' : `    manifest:\n      public_keys: [${keys.map(path).join(', ')}]\n`;
  return `# Sanctum instance. The one file you edit; every key is checked when a service starts.
# Paths are absolute, start with ~/, or are relative to this folder.

instance:
  name: ${options.name} # trust domain of the certificates: spiffe://sanctum.${options.name}/svc/...
  timezone: ${options.timezone}

services:
  nats: # control plane; chat works without it
    port: 4222
    monitor_port: 8222

  engine: # also accepted as sanctum_mlx
    model: ${path(options.model)}
    model_name: ${options.modelName}
${trust}    listeners:
      plain: # loopback without a token; other addresses need the bearer token
        port: 1337
      tls: # client certificate only
        port: 1338
    # threads: 2             # default: all cores
    # compute_mode: exact    # float32 activations; default: fast
    # limits:
    #   queue: 64            # requests waiting; beyond it clients get 429
    #   metal_memory_limit_mb: 4096

  router: # also accepted as sanctum_server
    host: 127.0.0.1
    port: 8900
    # tls: { port: 8943 }    # opens the mTLS listener
    default: council-secure
    backends:
      council-secure:
        url: https://127.0.0.1:1338/v1
        ${options.withFallback === true ? FALLBACK_URLS : `# ${SHADOW_URLS}`}
        models: [${options.modelName}, council-secure, "council-*"]
        default_model: ${options.modelName}
        tls: { identity: sanctum-server }
      # council-ops:
      #   url: http://127.0.0.1:1234/v1
      #   models: [council-ops]
      # coder:
      #   url: http://127.0.0.1:1234/v1
      #   models: [coder, "code-*"]
      # cloud:
      #   url: https://openrouter.ai/api/v1
      #   models: [cloud, "claude-*"]
      #   api_key_env: OPENROUTER_API_KEY
    # intent_keywords: { coder: [function, debug, refactor] }
${options.withFallback === true ? FALLBACK : ''}`;
}

const FALLBACK_URLS = 'fallback_urls: [http://127.0.0.1:8901/v1]';
const SHADOW_URLS = 'fallback_urls: [https://shadow.lan:8902/v1, http://127.0.0.1:8901/v1]';

const FALLBACK = `
  fallback: # mlx_lm.server; runs when started with: sanctumctl up --with-fallback
    port: 8901
    cache_limit_mb: 1024
`;

/** Relative while the target lies under the home's parent, so that a checkout may be moved. */
function portable(home: string, absolute: string): string {
  const near = relative(home, absolute);
  return near.startsWith('../..') || near === '' ? absolute : near;
}
