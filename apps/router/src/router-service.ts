import { join } from 'node:path';
import type { HomePaths, Instance, RouterSection } from '@sanctum/catalog';
import { withLoopback } from '@sanctum/contracts';
import type { AvailabilityOf } from '@sanctum/routing';
import {
  listenersAt,
  type ListenerOptions,
  type ServiceAudit,
  type ServiceBusOptions,
  type ServiceContext,
  type ServiceOptions,
} from '@sanctum/service-kit';
import type { Callers } from './access/callers.js';
import { Refusals } from './audit/refusals.js';
import type { RequestRecord } from './audit/request-audit.js';
import { BackendProbe } from './control/backend-probe.js';
import { ControlModule } from './control/control-module.js';
import { ModelLists } from './control/model-lists.js';
import { exposeHealth } from './health/health-gauges.js';
import type { HealthKeeper } from './health/health-keeper.js';
import type { HealthRegistry } from './health/health-registry.js';
import { reportHealth } from './health/report-health.js';
import type { RouterLimits } from './limits.js';
import { RouterMetrics } from './metrics.js';
import { Admission } from './proxy/admission.js';
import { openFrontDoor } from './proxy/front-door.js';
import type { ProxyContext } from './proxy/proxy-context.js';
import { StallWatch } from './proxy/stall-watch.js';
import type { LiveRoutes } from './reload/live-routes.js';
import type { RouterOptions } from './router-options.js';
import type { Tracing } from './tracing/request-trace.js';
import { ROUTER_IDENTITY } from './upstream/upstream-tls.js';
import { ROUTER_VERSION } from './version.js';
import type { UpstreamCertificates } from './upstream/certificate-watch.js';

/** What a router is made of before it listens. */
export interface RouterParts {
  readonly section: RouterSection;
  readonly home: HomePaths;
  readonly logger: ServiceContext['logger'];
  readonly limits: RouterLimits;
  readonly routes: LiveRoutes;
  readonly health: HealthRegistry;
  readonly callers: Callers;
  readonly keeper: HealthKeeper;
  readonly mtls: readonly ListenerOptions[];
  readonly audit: ServiceAudit;
  readonly certificates: UpstreamCertificates;
  /** Undefined where nobody collects traces. */
  readonly tracing: Tracing | undefined;
  /** For clients beyond this machine on the plain listener. */
  readonly token: string | undefined;
}

/** The service around the front door: listeners, limits, control pages, health, drain. */
export function routerService(options: RouterOptions, parts: RouterParts): ServiceOptions {
  const { section, limits, routes, health } = parts;
  const availabilityOf: AvailabilityOf = (name, model) => {
    const backend = routes.current().backends.get(name);
    return backend === undefined
      ? { available: false, reason: 'not configured' }
      : health.availabilityOf(backend, model);
  };
  const admission = new Admission(limits);
  const refusals = new Refusals({ audit: parts.audit, log: parts.logger });
  const backendsNow = () => [...routes.current().backends.values()];
  const probe = new BackendProbe(backendsNow);
  const models = new ModelLists(backendsNow);
  const shared = {
    ...{ routes: routes.current, availabilityOf, health, callers: parts.callers, limits },
    ...{ admission, refusals, access: { token: parts.token, disabled: false } },
    instance: options.instance.instance.name,
    tracing: parts.tracing,
  };
  const told = options.onFailover === undefined ? {} : { onFailover: options.onFailover };
  const bus = busOptions(options.instance, parts.home);
  const audit = (record: RequestRecord): void => parts.audit.note('request', record);
  return {
    name: 'router',
    version: ROUTER_VERSION,
    logger: parts.logger,
    listeners: [
      ...listenersAt('plain', {
        hosts: withLoopback([options.host ?? section.host]),
        port: options.port ?? section.port,
      }),
      ...parts.mtls,
    ],
    http: {
      headerBytesMax: limits.headerBytesMax,
      headersTimeoutMs: limits.headersReadMs,
      requestTimeoutMs: limits.requestReadMs,
      connectionsMax: limits.connectionsMax,
      bodyBytesMax: limits.bodyBytesMax,
    },
    module: ControlModule.with({ ...shared, probe, models }),
    intercept: (next, context) =>
      openFrontDoor({ ...proxyContext(shared, context), ...told, audit }, next),
    onUnreadable: (refused) => refusals.unreadable(refused),
    health: async () => {
      const backends = await probe.states();
      const byDefault = backends.find(({ name }) => name === routes.current().table.defaultBackend);
      return { healthy: byDefault?.healthy === true, details: { mode: 'routed', backends } };
    },
    drain: () =>
      admission.drain().finally(async () => {
        refusals.flush();
        await Promise.all([parts.keeper.stop(), parts.tracing?.close()]);
      }),
    drainDeadlineMs: limits.drainMs,
    audit: parts.audit,
    certificate: { home: parts.home, watches: () => parts.certificates.watches },
    transportFile: join(parts.home.state, 'transport', 'router.json'),
    ...(bus === undefined ? {} : { bus }),
    ...(options.ownsProcess === undefined ? {} : { ownsProcess: options.ownsProcess }),
  };
}

function proxyContext(
  shared: Omit<ProxyContext, 'stalls' | 'log' | 'metrics' | 'audit' | 'onFailover'>,
  { logger, metrics, bus }: ServiceContext,
): ProxyContext {
  const { health, routes } = shared;
  health.onEvent = (event) => reportHealth(event, logger, bus);
  exposeHealth(metrics, health, () => routes().backends.values());
  return {
    ...shared,
    stalls: new StallWatch(),
    log: logger,
    metrics: new RouterMetrics(metrics, () => shared.admission.inFlight),
    onFailover: (event) => bus?.publishEvent('sanctum.incident.failover', event),
  };
}

/** NATS is for incidents and heartbeats; without a client certificate the router runs without it. */
function busOptions(instance: Instance, home: HomePaths): ServiceBusOptions | undefined {
  const { nats } = instance.services;
  if (nats?.enabled !== true) return undefined;
  return {
    instance: instance.instance.name,
    url: `tls://${nats.host}:${nats.port}`,
    tls: { ca: home.ca.cert, ...home.client(ROUTER_IDENTITY) },
    spoolFile: `${home.spool}/router.jsonl`,
  };
}
