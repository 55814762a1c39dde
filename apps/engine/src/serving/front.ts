import { SanctumError } from '@sanctum/errors';
import { guard, type AccessPolicy, type HttpInstance } from '@sanctum/service-kit';
import { remember } from './admitted.js';
import type { Admission } from './admission.js';
import type { EngineMetrics } from './engine-metrics.js';
import { parseJsonBody } from './json-body.js';

export interface FrontOptions {
  readonly policy: AccessPolicy;
  readonly instance: string;
  readonly admission: Admission;
  readonly metrics: EngineMetrics;
  readonly bodyBytesMax: number;
}

const INFERENCE_ROUTES = new Set(['/v1/chat/completions', '/v1/completions']);

/** What every request meets before its route: who may pass, whether there is room, what counts. */
export function installFront(fastify: HttpInstance, options: FrontOptions): void {
  const { policy, instance, admission, metrics } = options;
  fastify.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer' },
    (_request, body, done) => {
      try {
        done(null, parseJsonBody(body));
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    },
  );
  fastify.addHook('onRequest', (request, reply, done) => {
    const startedMs = performance.now();
    const route = request.routeOptions.url ?? 'unmatched';
    metrics.httpStarted();
    reply.raw.once('close', () => {
      const seconds = (performance.now() - startedMs) / 1000;
      metrics.httpEnded({ route, method: request.method, status: reply.raw.statusCode, seconds });
    });
    try {
      const visitor = guard(request.raw, policy, instance);
      remember(request.raw, visitor);
      assertBodyFits(request.headers['content-length'], options.bodyBytesMax);
      if (INFERENCE_ROUTES.has(route)) {
        reply.raw.once('close', admission.enter(visitor.client));
      }
      done();
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

/**
 * Refused here, the rest of the body is read and dropped, and the client gets to read why; Fastify
 * would close the connection under a client that is still sending.
 */
function assertBodyFits(contentLength: string | undefined, bytesMax: number): void {
  if (contentLength === undefined || Number(contentLength) <= bytesMax) return;
  throw new SanctumError(
    'body_too_large',
    `The body has ${contentLength} bytes; at most ${bytesMax} are accepted.`,
  );
}
