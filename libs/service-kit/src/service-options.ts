import type { ModuleMetadata } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { HomePaths } from '@sanctum/catalog';
import type { ServiceName } from '@sanctum/contracts';
import type { FileWatch, TlsPaths } from '@sanctum/identity';
import type { Logger } from 'pino';
import type { Bus } from './bus.js';
import type { HealthCheck } from './health.js';
import type {
  HttpLimits,
  ListenerOptions,
  RequestHandler,
  UnreadableRequest,
} from './listeners.js';
import type { Metrics } from './metrics.js';
import type { ServiceAudit } from './service-audit.js';
import type { StateHolder } from './service-state.js';

export type HttpInstance = ReturnType<
  ReturnType<NestFastifyApplication['getHttpAdapter']>['getInstance']
>;

export interface ServiceContext {
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly state: StateHolder;
  readonly bus: Bus | undefined;
}

export interface HttpContext extends ServiceContext {
  readonly app: NestFastifyApplication;
  /** For hooks and for routes that stay out of Nest's pipeline. */
  readonly fastify: HttpInstance;
}

export interface ServiceBusOptions {
  readonly instance: string;
  /** `tls://host:port`. */
  readonly url: string;
  readonly tls: TlsPaths;
  readonly spoolFile: string;
  readonly heartbeatMs?: number;
  readonly retryMaxMs?: number;
}

export interface ServiceCertificateOptions {
  readonly home: HomePaths;
  /** What follows certificate files beside the kit's own listeners and bus. */
  readonly watches?: () => readonly FileWatch[];
}

export interface ServiceOptions {
  readonly name: ServiceName;
  readonly version: string;
  /** The service's own module; it may inject the kit's tokens. */
  readonly module: ServiceModule;
  readonly listeners: readonly ListenerOptions[];
  /** Before routes exist: hooks, content-type parsers, raw routes. */
  readonly configure?: (context: HttpContext) => void | Promise<void>;
  /** Takes requests before Fastify does; call `next` for those that are not its own. */
  readonly intercept?: (next: RequestHandler, context: ServiceContext) => RequestHandler;
  /** Told of what Node's parser refused. */
  readonly onUnreadable?: (refused: UnreadableRequest) => void;
  readonly health?: HealthCheck;
  /** Finishes work under way; what is left when `deadline` fires is cut. */
  readonly drain?: (deadline: AbortSignal) => Promise<void>;
  readonly drainDeadlineMs?: number;
  readonly bus?: ServiceBusOptions;
  /** Whose client certificate this is, where a job of the same home renews it. */
  readonly certificate?: ServiceCertificateOptions;
  /** Where it is counted who came in how, for `sanctumctl certs migration`. */
  readonly transportFile?: string;
  /** Opened by the service, which may write to it before anything listens; closed by the kit. */
  readonly audit?: ServiceAudit;
  /** `sanctum_<name>_` by default. */
  readonly metricsPrefix?: string;
  readonly http?: Partial<HttpLimits>;
  /** Nest's JSON and form parsers; on by default. */
  readonly bodyParser?: boolean;
  readonly logger?: Logger;
  /** Signals and defects end the process; on by default, off for a service inside a test. */
  readonly ownsProcess?: boolean;
}
export type ServiceModule = NonNullable<ModuleMetadata['imports']>[number];
