import type { Failover } from '@sanctum/contracts';
import type { AccessPolicy } from '@sanctum/service-kit';
import type { Callers } from '../access/callers.js';
import type { Refusals } from '../audit/refusals.js';
import type { RequestRecord } from '../audit/request-audit.js';
import type { HealthRegistry } from '../health/health-registry.js';
import type { RouterLog } from '../log.js';
import type { RouterMetrics } from '../metrics.js';
import type { Tracing } from '../tracing/request-trace.js';
import type { Admission } from './admission.js';
import type { PlanContext } from './plan-request.js';
import type { StallWatch } from './stall-watch.js';

/** What every proxied request shares. */
export interface ProxyContext extends PlanContext {
  /** Who may come in at all. */
  readonly access: AccessPolicy;
  /** Name of the instance, as its certificates carry it. */
  readonly instance: string;
  readonly callers: Callers;
  readonly health: HealthRegistry;
  readonly admission: Admission;
  readonly refusals: Refusals;
  readonly stalls: StallWatch;
  readonly metrics: RouterMetrics;
  readonly log: RouterLog;
  /** Takes one record per request, and costs it no time. */
  readonly audit?: (record: RequestRecord) => void;
  /** Follows requests; undefined where nobody collects traces. */
  readonly tracing?: Tracing | undefined;
  /** Called outside of any request's path. */
  readonly onFailover: (event: Failover) => void;
}
