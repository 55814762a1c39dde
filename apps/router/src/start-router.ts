import { join } from 'node:path';
import { homePaths, type HomePaths, type Instance, type RouterSection } from '@sanctum/catalog';
import { CONFIG_REJECTED_REASON_MAX, type Failover } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import type { AvailabilityOf } from '@sanctum/routing';
import {
  bootstrapService,
  createLogger,
  readToken,
  type ListenerOptions,
  ServiceAudit,
  type RunningService,
  type ServiceBusOptions,
  type ServiceContext,
  type ServiceOptions,
} from '@sanctum/service-kit';
import { Callers } from './access/callers.js';
import type { RequestRecord } from './audit/request-audit.js';
import { BackendProbe } from './control/backend-probe.js';
import { ControlModule } from './control/control-module.js';
import { ModelLists } from './control/model-lists.js';
import { exposeHealth } from './health/health-gauges.js';
import { HealthKeeper } from './health/health-keeper.js';
import { HealthRegistry } from './health/health-registry.js';
import { reportHealth } from './health/report-health.js';
import { limitsFrom, type RouterLimits } from './limits.js';
import { RouterMetrics } from './metrics.js';
import { mtlsListeners } from './mtls-listener.js';
import { Admission } from './proxy/admission.js';
import { openFrontDoor } from './proxy/front-door.js';
import type { ProxyContext } from './proxy/proxy-context.js';
import { StallWatch } from './proxy/stall-watch.js';
import { ConfigReloader } from './reload/config-reloader.js';
import { LiveRoutes } from './reload/live-routes.js';
import { UpstreamCertificates } from './upstream/certificate-watch.js';
import { ROUTER_IDENTITY } from './upstream/upstream-tls.js';
import type { Backend } from './upstream/upstream.js';
import { ROUTER_VERSION } from './version.js';

export interface RouterOptions {
  readonly instance: Instance;
  /** The file `instance` was read from: watched, and read again on SIGHUP. */
  readonly configFile?: string;
  /** Absolute `$SANCTUM_HOME`. */
  readonly home: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Instead of what instance.yaml says. */
  readonly host?: string;
  readonly port?: number;
  readonly limits?: Partial<RouterLimits>;
  readonly logger?: NonNullable<ServiceOptions['logger']>;
  /** Told of failovers instead of the bus. */
  readonly onFailover?: (event: Failover) => void;
  /** Signals end the process; off inside a test. */
  readonly ownsProcess?: boolean;
}

/**
 * Brings the router up: configuration and certificates are judged before any port opens. Throws
 * `config_invalid`, `certificate_invalid` or `port_in_use`.
 */
export async function startRouter(options: RouterOptions): Promise<RunningService> {
  const section = routerSectionOf(options.instance);
  const home = homePaths(options.home);
  const logger = options.logger ?? createLogger({ service: 'router' });
  const limits = { ...limitsFrom(section.limits), ...options.limits };
  const routes = await LiveRoutes.open(section, {
    home,
    limits,
    environment: options.environment,
    warn: (message) => logger.warn({ transport: 'tls' }, message),
  });
  logBackends(logger, routes);
  const health = new HealthRegistry({ timeZone: options.instance.instance.timezone });
  health.adopt(routes.current().backends.values());
  const keeper = new HealthKeeper(health, {
    path: join(home.state, 'router', 'health.json'),
    log: logger,
  });
  let audit: ServiceAudit | undefined;
  try {
    await keeper.restore();
    const instance = options.instance.instance.name;
    audit = await ServiceAudit.open({ home, service: 'router', instance, logger });
    await audit.decide('started', { version: ROUTER_VERSION });
    const mtls = await mtlsListeners({ section, home, log: logger });
    const token = tokenOf(section);
    const callers = new Callers(section, health);
    const parts = {
      ...{ section, home, logger, limits, routes, health, callers, keeper, audit, mtls, token },
    };
    const service = await bootstrapService(serviceOptions(options, parts));
    keeper.start();
    const certificates = new UpstreamCertificates({
      home,
      renew: async (latest) => {
        await routes.replace(latest);
        health.adopt(routes.current().backends.values());
        logBackends(logger, routes);
      },
      onProblem: (error) => logger.error({ err: error }, 'certificates_kept'),
    });
    certificates.follow(section);
    const reloader = startReloading(options, { ...parts, service, certificates });
    const stop = async (): Promise<void> => {
      certificates.close();
      await reloader?.stop();
      await service.stop().finally(() => routes.close());
    };
    return { ...service, stop };
  } catch (error) {
    await audit?.close();
    await routes.close();
    throw error;
  }
}

function routerSectionOf({ services }: Instance): RouterSection {
  if (services.router === undefined) {
    throw new SanctumError('config_invalid', 'instance.yaml has no services.router section.');
  }
  return services.router;
}

function startReloading(
  { instance, configFile }: RouterOptions,
  parts: Pick<Parts, 'routes' | 'health' | 'callers' | 'logger'> & {
    readonly service: RunningService;
    readonly certificates: UpstreamCertificates;
  },
): ConfigReloader | undefined {
  if (configFile === undefined) return undefined;
  const { service, routes, health, callers, logger, certificates } = parts;
  const reloader = new ConfigReloader({
    file: configFile,
    instance,
    log: logger,
    apply: async (next) => {
      const section = routerSectionOf(next);
      await routes.replace(section);
      certificates.follow(section);
      health.adopt(routes.current().backends.values());
      callers.adopt(section);
      logBackends(logger, routes);
    },
    onRejected: (reason) =>
      service.bus?.publishEvent('sanctum.incident.config-rejected', {
        service: 'router',
        reason: reason.slice(0, CONFIG_REJECTED_REASON_MAX),
      }),
  });
  reloader.start();
  return reloader;
}

interface Parts {
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
  /** For clients beyond this machine on the plain listener. */
  readonly token: string | undefined;
}

function serviceOptions(options: RouterOptions, parts: Parts): ServiceOptions {
  const { section, limits, routes, health } = parts;
  const availabilityOf: AvailabilityOf = (name, model) => {
    const backend = routes.current().backends.get(name);
    return backend === undefined
      ? { available: false, reason: 'not configured' }
      : health.availabilityOf(backend, model);
  };
  const admission = new Admission(limits);
  const backendsNow = () => [...routes.current().backends.values()];
  const probe = new BackendProbe(backendsNow);
  const models = new ModelLists(backendsNow);
  const shared = {
    ...{ routes: routes.current, availabilityOf, health, callers: parts.callers, limits },
    ...{ admission, access: { token: parts.token, disabled: false } },
    instance: options.instance.instance.name,
  };
  const told = options.onFailover === undefined ? {} : { onFailover: options.onFailover };
  const bus = busOptions(options.instance, parts.home);
  const audit = (record: RequestRecord): void => parts.audit.note('request', record);
  return {
    name: 'router',
    version: ROUTER_VERSION,
    logger: parts.logger,
    listeners: [
      {
        name: 'plain',
        host: options.host ?? section.host,
        port: options.port ?? section.port,
      },
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
    health: async () => {
      const backends = await probe.states();
      const byDefault = backends.find(({ name }) => name === routes.current().table.defaultBackend);
      return { healthy: byDefault?.healthy === true, details: { mode: 'routed', backends } };
    },
    drain: () => admission.drain().finally(() => parts.keeper.stop()),
    drainDeadlineMs: limits.drainMs,
    audit: parts.audit,
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

function tokenOf({ auth_token_file: path }: RouterSection): string | undefined {
  return path === undefined ? undefined : readToken({ path, named: true });
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

function logBackends(logger: ServiceContext['logger'], routes: LiveRoutes): void {
  for (const backend of routes.current().backends.values()) logBackend(logger, backend);
}

function logBackend(logger: ServiceContext['logger'], { name, upstreams }: Backend): void {
  const [primary, ...fallbacks] = upstreams;
  logger.info(
    {
      backend: name,
      url: primary.url,
      transport: primary.transport,
      fallback_urls: fallbacks.map(({ url }) => url),
      fallback_transports: fallbacks.map(({ transport }) => transport),
    },
    'Registered backend',
  );
}
