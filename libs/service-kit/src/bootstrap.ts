import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { SERVICES } from '@sanctum/contracts';
import { AllowedMethods } from './allowed-methods.js';
import { TransportCounts, type CertificateHolder } from '@sanctum/identity';
import { Bus } from './bus.js';
import { exposeCertificates } from './certificate-gauge.js';
import { countTransports } from './count-transports.js';
import { ErrorFilter } from './error-filter.js';
import { holdCertificate } from './hold-certificate.js';
import { KitModule } from './kit-module.js';
import { HTTP_LIMITS, Listeners, type BoundAddress, type RequestHandler } from './listeners.js';
import { createLogger, NestLogger } from './logger.js';
import { Metrics } from './metrics.js';
import { handleProcessEnd } from './process-signals.js';
import type { HttpContext, ServiceContext, ServiceOptions } from './service-options.js';
import { StateHolder } from './service-state.js';

export interface RunningService extends HttpContext {
  readonly addresses: readonly BoundAddress[];
  readonly listeners: Listeners;
  /** Drains, closes listeners, modules and bus, in that order. Safe to call twice. */
  stop(): Promise<void>;
}

const DRAIN_DEADLINE_MS = 10_000;
const REQUEST_ID = /^[\w.:-]{1,128}$/;

/**
 * The only way a service comes up: parts, routes, then listeners, then the line
 * `{"msg":"ready","addresses":[…]}`. When it throws, nothing is bound and nothing runs on.
 */
export async function bootstrapService(options: ServiceOptions): Promise<RunningService> {
  const context = await startParts(options);
  try {
    const http = await createHttp(options, context);
    const handler = options.intercept?.(http.handler, context) ?? http.handler;
    const counts = await openCounts(options, context);
    exposeCertificates(context.metrics, options.listeners);
    const listeners = await Listeners.bind({
      listeners: options.listeners,
      handler: counts === undefined ? handler : countTransports(handler, counts),
      limits: { ...HTTP_LIMITS, ...options.http },
      source: options.name,
      logger: context.logger,
      onUnreadable: options.onUnreadable,
    });
    const holder = await holdCertificate(options, context);
    return announce(options, { ...http, listeners, counts, holder });
  } catch (error) {
    await context.bus?.close();
    throw error;
  }
}

function openCounts(
  { transportFile: file }: ServiceOptions,
  { logger }: ServiceContext,
): Promise<TransportCounts | undefined> {
  if (file === undefined) return Promise.resolve(undefined);
  const onProblem = (reason: string): void => logger.warn({ reason, file }, 'transports_uncounted');
  return TransportCounts.open({ file, onProblem });
}

interface Serving extends HttpContext {
  readonly listeners: Listeners;
  readonly counts: TransportCounts | undefined;
  readonly holder: CertificateHolder | undefined;
}

async function startParts(options: ServiceOptions): Promise<ServiceContext> {
  const { name, version } = options;
  const logger = options.logger ?? createLogger({ service: name });
  const metrics = new Metrics(options.metricsPrefix ?? `sanctum_${name}_`);
  const state = new StateHolder();
  const bus =
    options.bus === undefined
      ? undefined
      : await Bus.start({ ...options.bus, service: name, version, logger, metrics, state });
  options.audit?.attach({ bus, metrics });
  return { logger, metrics, state, bus };
}

interface BuiltHttp extends HttpContext {
  readonly handler: RequestHandler;
}

async function createHttp(options: ServiceOptions, context: ServiceContext): Promise<BuiltHttp> {
  const front: { handler?: RequestHandler } = {};
  const adapter = new FastifyAdapter({
    // Fastify's own server is never bound: each listener has one, before the same handler.
    serverFactory: (handler: RequestHandler) => {
      front.handler = handler;
      return createServer();
    },
    bodyLimit: options.http?.bodyBytesMax ?? HTTP_LIMITS.bodyBytesMax,
    genReqId: requestId,
    logger: false,
  });
  const health = options.health ?? (() => ({ healthy: true }));
  const app = await NestFactory.create<NestFastifyApplication>(
    KitModule.with({ ...context, health }, options.module),
    adapter,
    // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- Nest types its options as a class and documents literals
    {
      logger: new NestLogger(context.logger),
      bodyParser: options.bodyParser ?? true,
      abortOnError: false,
    },
  );
  const allowed = new AllowedMethods();
  app.useGlobalFilters(new ErrorFilter({ logger: context.logger, source: options.name, allowed }));
  const fastify = app.getHttpAdapter().getInstance();
  fastify.addHook('onRoute', ({ url, method }) => allowed.add(url, [method].flat()));
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    done();
  });
  await options.configure?.({ ...context, app, fastify });
  await app.init();
  await fastify.ready();
  const { handler } = front;
  if (handler === undefined) throw new Error('Fastify did not ask for a server');
  return { ...context, app, fastify, handler };
}

/** The caller's id when it is one, so that a request can be followed across services. */
function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
}

function announce(
  options: ServiceOptions,
  { counts, holder, ...running }: Serving,
): RunningService {
  const { logger, state, listeners } = running;
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    (stopping ??= stopService(options, running)
      .finally(() => holder?.close())
      .finally(() => counts?.close())
      .finally(release));
  const release = options.ownsProcess === false ? () => undefined : handleProcessEnd(stop, logger);
  state.set('ready');
  const { addresses } = listeners;
  logger.info({ addresses, version: options.version, identity: SERVICES[options.name] }, 'ready');
  return { ...running, addresses, stop };
}

/** New connections are refused first; then work ends or is cut; then what serves it goes. */
async function stopService(
  options: ServiceOptions,
  running: HttpContext & { readonly listeners: Listeners },
): Promise<void> {
  const { app, bus, state, listeners, logger } = running;
  state.set('draining');
  const deadline = AbortSignal.timeout(options.drainDeadlineMs ?? DRAIN_DEADLINE_MS);
  const closed = listeners.close(deadline);
  try {
    await options.drain?.(deadline);
  } catch (error) {
    logger.error({ err: error }, 'drain_failed');
  }
  await closed;
  await app.close();
  await options.audit?.close();
  await bus?.flush();
  await bus?.close();
}
