export { type AccessPolicy, type Admitted } from './access/access-rule.js';
export { guard, presentedKey } from './access/guard.js';
export { readToken, type TokenFile } from './access/token-file.js';
export { bootstrapService, type RunningService } from './bootstrap.js';
export type {
  HttpContext,
  HttpInstance,
  ServiceBusOptions,
  ServiceCertificateOptions,
  ServiceContext,
  ServiceModule,
  ServiceOptions,
} from './service-options.js';
export { Bus, type BusOptions } from './bus.js';
export { streamConfig } from './bus-session.js';
export { HealthController, type HealthCheck, type HealthReport } from './health.js';
export { asKnownError, errorReply, sendError, type ErrorReply } from './http-error.js';
export { joinWrites } from './join-writes.js';
export { listenersAt } from './listeners-at.js';
export {
  HTTP_LIMITS,
  Listeners,
  type BoundAddress,
  type HttpLimits,
  type ListenerOptions,
  type RequestHandler,
  type UnreadableRequest,
} from './listeners.js';
export { createLogger, NestLogger, type LoggerOptions, type LogLevel } from './logger.js';
export {
  Metrics,
  type GaugeOptions,
  type HistogramOptions,
  type MetricOptions,
} from './metrics.js';
export { Counter, Histogram } from './series.js';
export { ServiceAudit, type ServiceAuditOptions } from './service-audit.js';
export { StateHolder } from './service-state.js';
export { SPOOL_BYTES_MAX, Spool, type SpoolEntry, type SpoolOptions } from './spool.js';
export { BUS, HEALTH, LOGGER, METRICS, STATE } from './tokens.js';
