import { join } from 'node:path';
import { homePaths, type Instance, type RouterSection } from '@sanctum/catalog';
import { CONFIG_REJECTED_REASON_MAX } from '@sanctum/contracts';
import { SanctumError } from '@sanctum/errors';
import {
  bootstrapService,
  createLogger,
  readToken,
  ServiceAudit,
  type RunningService,
  type ServiceContext,
} from '@sanctum/service-kit';
import { Callers } from './access/callers.js';
import { HealthKeeper } from './health/health-keeper.js';
import { HealthRegistry } from './health/health-registry.js';
import { limitsFrom } from './limits.js';
import { mtlsListeners } from './mtls-listener.js';
import { ConfigReloader } from './reload/config-reloader.js';
import { LiveRoutes } from './reload/live-routes.js';
import type { RouterOptions } from './router-options.js';
import { routerService, type RouterParts } from './router-service.js';
import { loadTracing } from './tracing/load-tracing.js';
import type { Tracing } from './tracing/request-trace.js';
import { UpstreamCertificates } from './upstream/certificate-watch.js';
import type { Backend } from './upstream/upstream.js';
import { ROUTER_VERSION } from './version.js';

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
  const certificates = new UpstreamCertificates({
    home,
    renew: async () => {
      await routes.renew();
      health.adopt(routes.current().backends.values());
      logBackends(logger, routes);
    },
    onProblem: (error) => logger.error({ err: error }, 'certificates_kept'),
  });
  let audit: ServiceAudit | undefined;
  let tracing: Tracing | undefined;
  try {
    await keeper.restore();
    const instance = options.instance.instance.name;
    audit = await ServiceAudit.open({ home, service: 'router', instance, logger });
    await audit.decide('started', { version: ROUTER_VERSION });
    tracing = await loadTracing(options.environment, logger);
    const mtls = await mtlsListeners({ section, home, log: logger });
    const token = tokenOf(section);
    const callers = new Callers(section, health);
    const parts = {
      ...{ section, home, logger, limits, routes, health, callers, keeper, audit, mtls, token },
      ...{ certificates, tracing },
    };
    // Who hears that the router is ready may change certificates at once.
    await certificates.follow(section);
    const service = await bootstrapService(routerService(options, parts));
    keeper.start();
    const reloader = startReloading(options, { ...parts, service });
    const stop = async (): Promise<void> => {
      certificates.close();
      await reloader?.stop();
      await service.stop().finally(() => routes.close());
    };
    return { ...service, stop };
  } catch (error) {
    certificates.close();
    await audit?.close();
    await tracing?.close();
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
  parts: Pick<RouterParts, 'routes' | 'health' | 'callers' | 'logger' | 'certificates'> & {
    readonly service: RunningService;
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
      health.adopt(routes.current().backends.values());
      callers.adopt(section);
      logBackends(logger, routes);
      await certificates.follow(section);
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

function tokenOf({ auth_token_file: path }: RouterSection): string | undefined {
  return path === undefined ? undefined : readToken({ path, named: true });
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
