import path from 'node:path';
import { SanctumError } from '@sanctum/errors';
import { DEFAULT_SCHEDULER_LIMITS } from '@sanctum/generation';
import type { VerifiedModel } from '@sanctum/manifest';
import {
  bootstrapService,
  createLogger,
  HTTP_LIMITS,
  readToken,
  type RunningService,
  type ServiceContext,
} from '@sanctum/service-kit';
import type { Logger } from 'pino';
import { openAudit, proveModel, publishAlerts, recordServed } from './model-proof.js';
import { workerProgram } from './host/worker-program.js';
import { WorkerHost } from './host/worker-host.js';
import { Admission } from './serving/admission.js';
import { EngineMetrics } from './serving/engine-metrics.js';
import { EngineModule } from './serving/engine-module.js';
import { installFront } from './serving/front.js';
import { servedModel, type ServedModel } from './serving/served-model.js';
import { listenerOptions } from './settings/listener-options.js';
import type { EngineSettings } from './settings/settings.js';

const METRICS_PREFIX = 'sanctum_mlx_';

/**
 * The order is the promise: configuration and certificates are read, the manifest's signature and
 * hashes are verified, the weights are mapped and one token is computed; only then is a port bound.
 * Whatever throws before that, nothing was ever listened on.
 */
export async function runEngine(
  settings: EngineSettings,
  version: string,
): Promise<RunningService> {
  const logger = createLogger({ service: 'engine' });
  const phases = new Map<string, number>();
  const token = readToken(settings.auth.tokenFile);
  const listeners = await listenerOptions(settings, logger);
  warnOfOpenDoors(settings, logger);
  const audit = await openAudit(settings, logger);
  const proving = { settings, logger, audit };
  const verified = await timed(phases, 'verify', () => proveModel(proving));
  const model = servedModel(settings.model, verified);
  const host = workerHost({ settings, verified, model, logger, phases });
  try {
    await host.start();
    await recordServed(verified, audit);
    const admission = admissionTo(host, settings);
    const running = await bootstrapService({
      name: 'engine',
      version,
      module: EngineModule.with({
        host,
        model,
        identity: settings.identity,
        completionTokensMax: settings.limits.completionTokensMax,
      }),
      listeners,
      logger,
      metricsPrefix: METRICS_PREFIX,
      bodyParser: false,
      http: {
        bodyBytesMax: settings.limits.bodyBytesMax,
        requestTimeoutMs: settings.limits.requestReadMs,
        headersTimeoutMs: Math.min(HTTP_LIMITS.headersTimeoutMs, settings.limits.requestReadMs),
      },
      health: async () => ({
        healthy: await host.isAlive(),
        details: healthDetails(host, model),
      }),
      configure: (context) => {
        const metrics = context.app.get(EngineMetrics);
        for (const [phase, elapsedMs] of phases) metrics.recordStartup(phase, elapsedMs);
        const policy = { token, disabled: settings.auth.disabled };
        const { instance } = settings;
        const { bodyBytesMax } = settings.limits;
        installFront(context.fastify, { policy, instance, admission, metrics, bodyBytesMax });
        publishRestarts(host, model, context);
      },
      drain: async (deadline) => drainHost(host, deadline),
      drainDeadlineMs: settings.limits.drainMs,
      ...busOptions(settings),
      ...(settings.home && {
        transportFile: path.join(settings.home.state, 'transport', 'engine.json'),
        certificate: { home: settings.home },
      }),
      ...(audit && { audit }),
    });
    publishAlerts(verified, model, running);
    return running;
  } catch (error) {
    await host.stop();
    await audit?.close();
    verified.close();
    throw error;
  }
}

function admissionTo(host: WorkerHost, { limits: { perClientMax } }: EngineSettings): Admission {
  return new Admission({
    placesMax: () => placesOf(host),
    retryAfterS: () => host.stats?.retryAfterS ?? 1,
    ...(perClientMax !== undefined && { perClientMax }),
  });
}

function workerHost(parts: {
  readonly settings: EngineSettings;
  readonly verified: VerifiedModel;
  readonly model: ServedModel;
  readonly logger: Logger;
  readonly phases: Map<string, number>;
}): WorkerHost {
  const { settings, verified, model, logger, phases } = parts;
  return new WorkerHost({
    program: workerProgram(),
    modelId: model.id,
    model: verified,
    kernels: settings.kernels,
    limits: settings.limits.scheduler,
    logger,
    onPhase: (phase, elapsedMs) => {
      phases.set(phase, elapsedMs);
      logger.info({ phase, elapsedMs: Math.round(elapsedMs) }, 'startup_phase');
    },
    ...(settings.watched && { onForeignMessage: (message: object) => process.send?.(message) }),
    onUnproven: (error) => {
      logger.fatal({ err: error }, 'model_changed');
      process.exit(1);
    },
  });
}

function warnOfOpenDoors(settings: EngineSettings, logger: Logger): void {
  if (settings.auth.disabled) {
    logger.warn('AUTHENTICATION IS OFF: SANCTUM_MLX_DISABLE_AUTH=1 lets everybody in.');
  }
  if (settings.tls === undefined && settings.home !== undefined) {
    logger.warn(
      { expected: settings.home.server.cert },
      'no server certificate: the mTLS listener is off',
    );
  }
}

/** Requests that may be between their first header and the end of their answer. */
function placesOf(host: WorkerHost): number {
  const { queuedMax, runningMax } = host.info?.limits ?? DEFAULT_SCHEDULER_LIMITS;
  return queuedMax + runningMax;
}

function healthDetails(host: WorkerHost, model: ServedModel): Record<string, unknown> {
  const { library, contextLength } = host.info ?? {};
  return {
    model: { id: model.id, digest: model.digest, contextLength },
    worker: { state: host.state, pid: host.pid, restarts: host.restarts },
    library,
  };
}

function publishRestarts(host: WorkerHost, model: ServedModel, { bus }: ServiceContext): void {
  host.onRestart(({ cause, exit, restarts, requestsLost, downMs }) => {
    bus?.publishEvent('sanctum.incident.worker-restarted', {
      cause,
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
      ...(exit.code === undefined ? {} : { exitCode: exit.code }),
      restarts,
      requestsLost,
      downMs: Math.round(downMs),
      modelDigest: model.digest,
    });
  });
}

/** Waits for open answers; what is left at the deadline is cut with an error in its stream. */
async function drainHost(host: WorkerHost, deadline: AbortSignal): Promise<void> {
  const cut = new Promise<void>((resolve) => {
    if (deadline.aborted) resolve();
    else deadline.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([host.drain(), cut]);
  await host.stop();
}

function busOptions(settings: EngineSettings): Pick<Parameters<typeof bootstrapService>[0], 'bus'> {
  const { bus, instance } = settings;
  return bus === undefined ? {} : { bus: { ...bus, instance } };
}

async function timed<T>(
  phases: Map<string, number>,
  phase: string,
  work: () => Promise<T>,
): Promise<T> {
  const startedMs = performance.now();
  const result = await work();
  phases.set(phase, performance.now() - startedMs);
  return result;
}

/** One line for the operator: what is wrong, where, and what to do. */
export function startFailure(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof SanctumError ? ` (${error.code})` : '';
  return `sanctum engine: ${text}${code}\n`;
}
