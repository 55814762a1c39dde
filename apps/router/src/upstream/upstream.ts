import type { Dialect } from '@sanctum/contracts';
import type { AttemptTimeouts, FailoverPolicy, ModelSplice, RoutingTable } from '@sanctum/routing';
import type { Pool } from 'undici';
import type { Resilience } from '../health/resilience.js';

/** How the router presents itself to an upstream. */
export type Transport = 'mtls' | 'tls' | 'bearer' | 'plain-loopback' | 'plain';

/** One URL of a backend, ready to be called. */
export interface Upstream {
  readonly backend: string;
  /** 0 is the primary. */
  readonly urlIndex: number;
  /** As configured, without credentials. */
  readonly url: string;
  /** Path of `url` without a trailing slash; replaces the client's `/v1`. */
  readonly basePath: string;
  readonly pool: Pool;
  readonly transport: Transport;
  /** `Bearer …`, or undefined. */
  readonly authorization: string | undefined;
  /** What it is asked in natively; the rest is translated. */
  readonly dialects: ReadonlySet<Dialect>;
  /** Replaces `model` in the body. */
  readonly defaultModel: ModelSplice | undefined;
  readonly timeouts: AttemptTimeouts;
}

export interface Backend {
  readonly name: string;
  readonly description: string | undefined;
  readonly models: readonly string[];
  /** Primary first; never empty. */
  readonly upstreams: readonly [Upstream, ...Upstream[]];
  readonly policy: FailoverPolicy;
  readonly resilience: Resilience;
  /** Thoughts are taken out of its answers. */
  readonly stripsThinking: boolean;
}

/** What requests are routed by; replaced as a whole, so a request sees one version of it. */
export interface ActiveRoutes {
  readonly table: RoutingTable;
  readonly backends: ReadonlyMap<string, Backend>;
}
